"""The picture of a sweep: score over time, with the chips behind each mean. Needs the extra `plot`."""

import io
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

FIRST = 1
"""Where time 0 stands on the logarithmic axis, in seconds."""

HIGHEST = 100.5
"""Where the axis of an accuracy ends at most: an interval may reach beyond 100 %."""


def scatter(points: Sequence[Mapping[str, Any]], best: Sequence[Mapping[str, Any]], x: str, y: str) -> bytes:
    """Return a PNG of points by two of their measures, those of the front joined."""
    figure, axes = _figure()
    axes.plot([one[x] for one in points], [one[y] for one in points], "o", color="0.7", markersize=4)
    axes.plot([one[x] for one in best], [one[y] for one in best], "s-", color="C0", label="no point is better in both")
    axes.legend(frameon=False)
    axes.set(xlabel=x, ylabel=y)
    return _png(figure)


def _figure() -> tuple[Any, Any]:
    figure = import_module("matplotlib.figure").Figure(figsize=(6.4, 4.0), dpi=150, layout="constrained")
    import_module("matplotlib.backends.backend_agg").FigureCanvasAgg(figure)
    return figure, figure.add_subplot()


def _png(figure: Any) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", metadata={"Software": None})
    return buffer.getvalue()


def picture(rows: Sequence[Mapping[str, Any]], metric: str, title: str) -> bytes:
    """Return a PNG of the rows of a sweep: time, seconds, mean, low, high, values."""
    factor, label = (100, "top-1 accuracy (%)") if metric == "accuracy" else (1, "mean squared error")
    rows = sorted(rows, key=lambda row: row["seconds"])
    places = [max(row["seconds"], FIRST) for row in rows]
    figure, axes = _figure()
    for place, row in zip(places, rows, strict=True):
        values = [factor * value for value in row["values"]]
        axes.plot([place] * len(values), values, "o", color="0.7", markersize=3, zorder=1)
    means = [factor * row["mean"] for row in rows]
    if all(row["low"] is not None for row in rows):
        low = [mean - factor * row["low"] for mean, row in zip(means, rows, strict=True)]
        axes.errorbar(places, means, low, color="C0", marker="s", capsize=4, label="mean and its 95 % interval")
        axes.plot([], [], "o", color="0.7", markersize=3, label="one chip")
        axes.legend(frameon=False)
    else:
        axes.plot(places, means, "s-", color="C0")
    axes.set_xscale("log")
    axes.set_xticks(places, [row["time"] for row in rows])
    axes.minorticks_off()
    if metric == "accuracy":
        axes.set_ylim(top=min(axes.get_ylim()[1], HIGHEST))
    axes.set(xlabel="time since the first read", ylabel=label, title=title)
    axes.grid(axis="y", color="0.9")
    return _png(figure)
