"""What all tests share: profiles of hypothesis, one thread per worker, golden files."""

import os
from collections.abc import Callable
from pathlib import Path

import hypothesis
import pytest

GOLDEN = Path(__file__).parent / "golden"

os.environ.setdefault("ELMAN_TUNED", "0")  # what somebody tuned on this machine is none of the tests' business

if "PYTEST_XDIST_WORKER" in os.environ:
    # Before torch is imported: workers share the cores, and so do the processes that tests start.
    os.environ.setdefault("OMP_NUM_THREADS", "1")

COMMON = {"deadline": None, "print_blob": True, "suppress_health_check": [hypothesis.HealthCheck.too_slow]}
hypothesis.settings.register_profile("quick", max_examples=25, **COMMON)
hypothesis.settings.register_profile("full", max_examples=300, **COMMON)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))


def pytest_addoption(parser):
    parser.addoption("--golden", action="store_true", help="write the golden files anew instead of comparing")


def pytest_configure(config):
    import torch

    if "PYTEST_XDIST_WORKER" in os.environ:
        torch.set_num_threads(1)


def pytest_report_header(config):
    now = hypothesis.settings.default
    return f"hypothesis: {now.max_examples} examples a law; a failure prints the line that repeats it"


def pytest_collection_modifyitems(items):
    for item in items:
        if "golden" in getattr(item, "fixturenames", ()):
            item.add_marker("golden")


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """Compare a text with tests/golden/NAME; `make golden` writes the files anew."""

    def compare(name: str, text: str) -> None:
        file = GOLDEN / name
        if request.config.getoption("--golden"):
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text, encoding="utf-8")
            return
        assert file.exists(), f"{file} is not there: `make golden` writes it"
        assert text == file.read_text(encoding="utf-8"), f"{file} says otherwise: is it meant? `make golden`"

    return compare
