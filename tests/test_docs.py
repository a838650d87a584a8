"""The pages of docs/: their Python runs, each page from top to bottom in one scope."""

import re
from pathlib import Path

import pytest
import torch

DOCS = Path(__file__).parents[1] / "docs"
FENCED = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
NOT_TO_RUN = {"bench.md"}  # `make bench` writes it, and the step that it shows is a part of a program


def blocks(page):
    """The Python of a page, each block on the lines where it stands, so that an error names the right one."""
    text = page.read_text(encoding="utf-8")
    return ["\n" * text.count("\n", 0, found.start(1)) + found.group(1) for found in FENCED.finditer(text)]


PAGES = [page for page in sorted(DOCS.glob("*.md")) if page.name not in NOT_TO_RUN and blocks(page)]


# seconds of training
LONG = {"power.md", "forecast.md", "translate.md", "classify.md", "tag.md", "describe.md", "jobs.md", "music.md"}


@pytest.mark.parametrize(
    "page",
    [pytest.param(page, marks=[pytest.mark.slow] if page.name in LONG else [], id=page.name) for page in PAGES],
)
def test_the_python_of_a_page_runs(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # what a page writes
    scope = {"__name__": page.stem}
    with torch.random.fork_rng():
        for block in blocks(page):
            exec(compile(block, str(page), "exec"), scope)
