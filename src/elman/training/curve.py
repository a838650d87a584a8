"""The picture of a training: its figure over the epochs, in training and in validation."""

from pathlib import Path

from .files import write_picture
from .history import History

INK, FAINT, TRAINING, VALIDATION = "#222222", "#d9d9d9", "#9db4c8", "#c4452d"


def draw_curve(history: History, path: Path, title: str = "") -> None:
    """Draw the learning curve as a PNG file."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.5), dpi=150, layout="constrained")
    axes = figure.add_subplot()
    _draw_lines(axes, history)
    _draw_best(axes, history)
    axes.set_xlabel("epochs", color=INK)
    axes.set_ylabel(history.measure.name, color=INK)
    axes.set_title(title, loc="left", color=INK, fontsize=11)
    axes.grid(axis="y", color=FAINT, linewidth=0.8)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(colors=INK, length=0)
    if history.rows:
        axes.legend(frameon=False, labelcolor=INK, loc="upper right")
    write_picture(figure, path)


def _draw_lines(axes, history: History) -> None:  # type: ignore[no-untyped-def] # noqa: ANN001
    rows, epochs = history.rows, history.epochs
    if rows:
        axes.plot([row.epoch for row in rows], [row.training for row in rows], color=TRAINING, lw=1.2, label="training")
        axes.set_xlim(left=0)
        axes.set_ylim(*_range(history))
    if epochs:
        axes.plot(
            [row.epoch for row in epochs],
            [row.validation for row in epochs],
            color=VALIDATION,
            lw=1.8,
            marker="o",
            ms=3.5,
            label="validation",
        )


def _range(history: History) -> tuple[float, float]:
    """From just below the lowest figure to where the first steep fall is over, else it would flatten the rest."""
    figures = sorted(row.training for row in history.rows)
    lowest = min([*figures, *(row.validation or figures[0] for row in history.epochs)])
    highest = max([figures[int(0.97 * (len(figures) - 1))], *(row.validation or 0.0 for row in history.epochs)])
    margin = 0.05 * (highest - lowest) or 0.1
    return lowest - margin, highest + 2 * margin


def _draw_best(axes, history: History) -> None:  # type: ignore[no-untyped-def] # noqa: ANN001
    best = history.best
    if best is None:
        return
    axes.annotate(
        f"best {best.validation:.3f}",
        (best.epoch, best.validation),
        xytext=(0, 14),
        textcoords="offset points",
        ha="right" if best.epoch > 0.8 * history.rows[-1].epoch else "center",
        color=VALIDATION,
    )
