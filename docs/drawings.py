"""Draw the pictures of docs/drawings: `make docs`."""

from pathlib import Path

from elman.inspection import Structure, draw

FOLDER = Path(__file__).parent / "drawings"

ELMAN = Structure("Elman", ("x",), ("h",), "o", False, (("x", "h", "U"), ("h", "h", "W"), ("h", "o", "V")))
JORDAN = Structure("Jordan", ("x",), ("h",), "o", True, (("x", "h", "U"), ("o", "h", "W"), ("h", "o", "V")))
LSTM = Structure(
    "LSTM",
    ("x",),
    ("h", "c"),
    None,
    False,
    tuple((source, target, label) for target in ("h", "c") for source, label in (("x", "U"), ("h", "W"), ("c", ""))),
)


def main():
    """Write the rolled and the unfolded graph of three networks."""
    FOLDER.mkdir(exist_ok=True)
    for structure in (ELMAN, JORDAN, LSTM):
        for suffix, steps in (("rolled", None), ("unfolded", 3)):
            file = FOLDER / f"{structure.name.lower()}_{suffix}.svg"
            file.write_text(draw(structure, steps, "svg"), encoding="utf-8")
            print(file)


if __name__ == "__main__":
    main()
