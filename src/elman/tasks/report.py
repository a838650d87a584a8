"""The report beside a model: one page, with its pictures in it, that any browser shows without a network."""

from base64 import b64encode
from collections.abc import Iterable
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from elman.training.files import beside, write_atomically
from elman.version import __version__

if TYPE_CHECKING:
    from .job import Job

PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
  body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222; }}
  h1 {{ font-size: 1.6rem; margin-bottom: 0; }} h2 {{ font-size: 1.1rem; margin-top: 2rem; }}
  p.under {{ color: #666; margin-top: 0; }}
  table {{ border-collapse: collapse; }} td {{ padding: .15rem 1.5rem .15rem 0; vertical-align: top; }}
  td.figure {{ text-align: right; font-variant-numeric: tabular-nums; }}
  img {{ max-width: 100%; }} code {{ background: #f4f4f4; padding: .1rem .3rem; }}
</style>
<h1>{title}</h1>
<p class="under">{under}</p>
{sections}
</html>
"""


def write_report(model: "Job", out: Path) -> None:
    """Write the report of a model: scores beside a naive baseline, curve and pictures, data and options.

    Args:
        model: a trained one.
        out: its model file; the report comes beside it.

    Raises:
        DataError: the file cannot be written.
    """
    sections = [
        ("How well it does on data that it has not learned from", _table(model.checked, figures=True)),
        ("How it learned", _picture(beside(out, ".png"))),
        *((_headline(ending), _picture(beside(out, ending))) for ending in model.PICTURES),
        ("What it learned from", _table(model.about)),
        ("Its options", _table(model.configuration())),
        ("How to use it", _usage(model.NAME, out)),
    ]
    page = PAGE.format(
        title=escape(f"{out.name}: {model.NAME}"),
        under=escape(f"{model.summary}; {datetime.now(UTC):%Y-%m-%d %H:%M} UTC; elman {__version__}"),
        sections="\n".join(f"<h2>{escape(name)}</h2>\n{body}" for name, body in sections if body),
    )
    write_atomically(beside(out, ".html"), page.encode())


def _table(values: dict[str, Any], figures: bool = False) -> str:
    """Names and values, a row each."""
    if not values:
        return ""
    kind = ' class="figure"' if figures else ""
    rows = (f"<tr><td>{escape(name)}</td><td{kind}>{escape(_shown(value))}</td></tr>" for name, value in values.items())
    return f"<table>{''.join(rows)}</table>"


def _picture(path: Path) -> str:
    """A picture, inside the page."""
    if not path.is_file():
        return ""
    return f'<img alt="{escape(path.name)}" src="data:image/png;base64,{b64encode(path.read_bytes()).decode()}">'


def _headline(ending: str) -> str:
    """What a picture is called: of ".labels.png", Labels."""
    return ending.removeprefix(".").removesuffix(".png").capitalize()


def _usage(name: str, out: Path) -> str:
    lines: Iterable[str] = (f"elman info {out.name}", f"elman {name} --help", f'elman.load("{out.name}")')
    return "".join(f"<p><code>{escape(line)}</code></p>" for line in lines)


def _shown(value: Any) -> str:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return f"{value:,}" if isinstance(value, int) else f"{value:,.4g}"
