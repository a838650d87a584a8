"""The picture of a classification: which labels are taken for which."""

from pathlib import Path

from elman.training.curve import INK
from elman.training.files import write_picture

from .score import ClassifyScore

_NUMBERED = 20  # labels up to which the numbers are written into the squares


def draw_confusion(score: ClassifyScore, path: Path) -> None:
    """Draw how often each label (a row) was taken for each (a column) as a PNG file; shares of the rows of the label.

    For several labels a row it is one bar for each label: the F1.
    """
    from matplotlib.figure import Figure

    count = len(score.labels)
    side = min(4 + 0.3 * count, 14)
    figure = Figure(figsize=(side + 1, side), dpi=150, layout="constrained")
    axes = figure.add_subplot()
    if score.confusion.dim() == 2:
        shares = score.confusion.double() / score.confusion.sum(1, keepdim=True).clamp(min=1)
        axes.imshow(shares.numpy(), cmap="Blues", vmin=0, vmax=1)
        axes.set_xticks(range(count), score.labels, rotation=90)
        axes.set_yticks(range(count), score.labels)
        axes.set_xlabel("said", color=INK)
        axes.set_ylabel("right", color=INK)
        for row, column in score.confusion.nonzero().tolist() if count <= _NUMBERED else ():
            colour = "white" if shares[row, column] > 0.5 else INK
            axes.text(
                column, row, str(int(score.confusion[row, column])), ha="center", va="center", color=colour, size=7
            )
    else:
        hits, missed, wrong = score.confusion[:, 1, 1], score.confusion[:, 1, 0], score.confusion[:, 0, 1]
        f1 = 2 * hits / (2 * hits + missed + wrong).clamp(min=1)
        axes.barh(range(count), f1.tolist(), color="#9db4c8")
        axes.set_yticks(range(count), score.labels)
        axes.set_xlim(0, 1)
        axes.set_xlabel("F1", color=INK)
        axes.invert_yaxis()
    axes.set_title(f"{score.rows:,} rows, {score.accuracy:.1%} right", loc="left", color=INK, fontsize=11)
    axes.tick_params(colors=INK, length=0, labelsize=8)
    axes.spines[:].set_visible(False)
    write_picture(figure, path)
