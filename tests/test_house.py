"""The rules of the house: floors, light imports, documents that run, pins, lengths of files and functions."""

import ast
import importlib
import inspect
import re
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

import elman
from elman import errors

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "src" / "elman").rglob("*.py"))
OURS = SOURCES + sorted(file for room in ("tests", "bench", "docs") for file in (ROOT / room).rglob("*.py"))
HEAVY = ("lightning", "pytorch_lightning", "torchmetrics", "matplotlib", "typer", "triton")


def tree(file):
    return ast.parse(file.read_text(encoding="utf-8"))


def name(file):
    return str(file.relative_to(ROOT))


def module(file):
    parts = file.relative_to(ROOT / "src").with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def test_imports_point_downwards():
    lint = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([lint, "--no-logo", "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
@pytest.mark.parametrize(
    "what", ["elman", "elman.nn, elman.patterns, elman.data, elman.training, elman.tasks, elman.inspection"]
)
def test_import_is_light(what):
    # torch itself may load some of them (triton does come with it on a GPU): only what comes on top counts.
    code = f"import sys, torch; before = set(sys.modules); import {what}; print(*(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = {module.partition(".")[0] for module in done.stdout.split()}
    assert not loaded & set(HEAVY)


def test_python_in_the_readme_runs():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL)
    assert blocks
    for block in blocks:
        scope = {"__name__": "readme"}
        exec(compile(block, "README.md", "exec"), scope)
        if "y" in scope:
            assert scope["y"].shape == (100, 8, 64)


def test_links_in_the_documents_lead_somewhere():
    for document in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\(([^)#]+)\)", document.read_text(encoding="utf-8")):
            assert target.startswith("http") or (document.parent / target).exists(), f"{document.name}: {target}"


def test_public_names_are_documented():
    rooms = [elman, *(importlib.import_module(f"elman.{room}") for room in public_rooms())]
    for room in rooms:
        for member in getattr(room, "__all__", []):
            thing = getattr(room, member)
            if inspect.isclass(thing) or inspect.isfunction(thing) or inspect.ismodule(thing):
                assert inspect.getdoc(thing), f"{room.__name__}.{member} has no docstring"


def public_rooms():
    rooms = ("cells", "around", "init", "layers", "nn", "decoding", "patterns", "data", "training", "tasks")
    rooms += ("inspection", "export")
    return [room for room in rooms if any((ROOT / "src/elman").glob(f"{room}*"))]


@pytest.mark.parametrize("file", SOURCES, ids=name)
def test_modules_are_documented(file):
    assert not tree(file).body or ast.get_docstring(tree(file)) or file.name == "version.py"


@pytest.mark.parametrize("file", OURS, ids=name)
def test_files_and_functions_are_short(file):
    assert len(file.read_text(encoding="utf-8").splitlines()) < 500
    for node in ast.walk(tree(file)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            # A signature with its defaults, and a docstring, are read and not followed: they do not count.
            length = node.end_lineno - body(node)[0].lineno + 1 if body(node) else 0
            assert length <= 60, f"{file.name}:{node.lineno} {node.name} has {length} lines"


def body(function):
    return function.body[1:] if ast.get_docstring(function) else function.body


def test_functions_in_the_mean_are_shorter_than_ten_lines():
    lengths = []
    for file in SOURCES:
        functions = [node for node in ast.walk(tree(file)) if isinstance(node, ast.FunctionDef)]
        lengths += [f.end_lineno - body(f)[0].lineno + 1 for f in functions if body(f)]
    assert sorted(lengths)[len(lengths) // 2] < 10


@pytest.mark.parametrize("file", SOURCES, ids=name)
def test_no_error_is_swallowed_and_no_file_is_run(file):
    for node in ast.walk(tree(file)):
        if isinstance(node, ast.ExceptHandler):
            assert node.type is not None, f"{file.name}:{node.lineno}: bare except"
            assert not all(isinstance(line, ast.Pass) for line in node.body), f"{file.name}:{node.lineno}: except: pass"
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names] + [getattr(node, "module", None) or ""]
            assert not {"pickle", "dill", "joblib", "shelve"} & {n.partition(".")[0] for n in names}, file.name
        if isinstance(node, ast.Attribute) and node.attr in ("load", "save"):
            assert ast.unparse(node.value) != "torch", f"{file.name}:{node.lineno}: torch.{node.attr} pickles"


def test_the_tree_of_errors_is_the_family():
    family = {key: value for key, value in vars(errors).items() if isinstance(value, type)}
    assert len(family) <= 8
    drawn = dict(re.findall(r"(?:├──|└──) (\w+) .*\((.*)\)", errors.__doc__))
    assert {"ElmanError", *drawn} == set(family)
    for key, said in drawn.items():
        assert issubclass(family[key], errors.ElmanError)
        if said.startswith("also"):
            bases = [base.__name__ for base in family[key].__bases__ if base is not errors.ElmanError]
            assert bases == said.removeprefix("also ").split(", ")


def requirements(package, extras):
    """What a package asks for; of elman itself what pyproject.toml says now, not when it was installed."""
    if package == "elman":
        project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        optional = project["optional-dependencies"]
        texts = project["dependencies"] + [text for extra in extras for text in optional[extra]]
    else:
        texts = distribution(package).requires or []
    for requirement in map(Requirement, texts):
        scopes = [{"extra": extra} for extra in ("", *extras)]
        if requirement.marker is None or any(requirement.marker.evaluate(scope) for scope in scopes):
            yield requirement


def test_whatever_the_set_up_installs_is_pinned():
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = dict(line.split("==") for line in lines if line and not line.startswith("#"))
    pinned = {canonicalize_name(key) for key in pins}
    todo, seen = [("elman", frozenset({"jobs", "dev"}))], set()
    while todo:
        package, extras = todo.pop()
        for requirement in requirements(package, extras):
            key = canonicalize_name(requirement.name)
            if key.startswith(("setuptools", "triton", "nvidia", "cuda")):  # torch's own, and not in each of its builds
                continue
            assert key in pinned, f"{key}, which {package} needs, is not in constraints.txt"
            if (key, frozenset(requirement.extras)) not in seen:
                seen.add((key, frozenset(requirement.extras)))
                todo.append((key, frozenset(requirement.extras)))
    assert pinned == {key for key, _ in seen}, "pinned, but nothing needs it"
    assert f"torch=={pins['torch']}" in (ROOT / "Makefile").read_text(encoding="utf-8")


def test_no_trace_of_the_machine_that_it_was_written_on():
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode or not shutil.which("git"):
        pytest.skip("not a git checkout")
    folder = "/" + "work" + "/"
    for line in listed.stdout.splitlines():
        file = ROOT / line
        if file.suffix in (".py", ".md", ".toml", ".txt", ".mmd", ".svg") and file.exists():
            assert folder not in file.read_text(encoding="utf-8"), line
