"""The ratios of the grid in one picture."""

KINDS = ("training", "inference")


def draw(done, path):
    """A panel for each kind and cell: the best peer's time / ours, case by case, on a logarithmic scale."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    cells = list(dict.fromkeys(m.job.cell for m in done))
    kinds = [kind for kind in KINDS if any(m.job.kind == kind for m in done)]
    figure, panels = pyplot.subplots(
        len(kinds), len(cells), figsize=(4.4 * len(cells) + 0.6, 3.6 * len(kinds)), sharey=True, squeeze=False
    )
    for kind, line in zip(kinds, panels, strict=True):
        for cell, axes in zip(cells, line, strict=True):
            _panel(axes, [m for m in done if (m.job.kind, m.job.cell) == (kind, cell)], f"{cell.upper()}, {kind}")
        line[0].set_ylabel("best peer's time / ours")
    figure.legend(*panels[0][0].get_legend_handles_labels(), loc="lower center", ncols=2, fontsize=8)
    figure.tight_layout(rect=(0, 0.03, 1, 1))
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def _panel(axes, group, title):
    """One kind of one cell."""
    from matplotlib.ticker import FuncFormatter, LogLocator

    places = range(len(group))
    colours = ["tab:blue" if m.met else "tab:red" for m in group]
    axes.bar(places, [m.ratio - 1 for m in group], bottom=1, width=0.6, color=colours)
    axes.axhline(1, color="black", linewidth=1)
    if group:
        axes.axhline(group[0].least, color="tab:green", linewidth=1, linestyle="--", label="asked of each case")
        axes.hlines(
            [m.floor for m in group], [p - 0.4 for p in places], [p + 0.4 for p in places],
            color="tab:green", linewidth=2.5, label="the floor, where products leave less room",
        )  # fmt: skip
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.set_title(title)
    axes.set_xticks(list(places), [str(m.job.case) for m in group], rotation=40, ha="right", fontsize=8)
    axes.set_xlabel("T, B, H", fontsize=8)
    axes.grid(axis="y", alpha=0.3)
