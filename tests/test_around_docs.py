"""The code of docs/around.md runs, from top to bottom."""

import re
from pathlib import Path

import torch

PAGE = Path(__file__).parents[1] / "docs" / "around.md"


def test_the_page_runs():
    text = PAGE.read_text(encoding="utf-8")
    scope = {"__name__": "around"}
    with torch.random.fork_rng():
        for found in re.finditer(r"^```python\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL):
            lines = "\n" * text.count("\n", 0, found.start(1))
            exec(compile(lines + found.group(1), str(PAGE), "exec"), scope)
