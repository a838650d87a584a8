"""Draw the pictures of docs/drawings: `make docs`."""

from pathlib import Path

from elman.cli.show import show
from elman.inspection import Structure, draw

FOLDER = Path(__file__).parent / "drawings"
READOUT = Structure("Elman", ("x",), ("h",), "o", False, (("x", "h", "U"), ("h", "h", "W"), ("h", "o", "V")))


def main():
    """Write the rolled and the unfolded graph of some cells, and what the compiler makes of them."""
    FOLDER.mkdir(exist_ok=True)
    for suffix, steps in (("rolled", None), ("unfolded", 3)):
        (FOLDER / f"elman_{suffix}.svg").write_text(draw(READOUT, steps, "svg"), encoding="utf-8")
        for cell in ("jordan", "lstm"):
            show(cell, unfold=steps, format="svg", out=FOLDER / f"{cell}_{suffix}.svg")
    for cell in ("elman", "lstm", "gru"):
        show(cell, stage="hoist", format="svg", out=FOLDER / f"{cell}_hoist.svg")


if __name__ == "__main__":
    main()
