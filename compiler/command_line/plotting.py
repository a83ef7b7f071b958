"""The picture of a sweep: score over time, with the chips behind each mean. Needs the extra `plot`."""

import io
from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

FIRST = 1
"""Where time 0 stands on the logarithmic axis, in seconds."""

HIGHEST = 100.5
"""Where the axis of an accuracy ends at most: an interval may reach beyond 100 %."""

Point = Mapping[str, Any]
AXES = {"energy_uj": "energy (uJ a sample)", "latency_us": "time (us a sample)", "chip_tops_per_w": "chip (TOPS/W)"}
"""Column of a sweep -> what an axis of it says; that of a score says the metric."""


def scatter(points: Sequence[Point], best: Mapping[str, Point], x: str, y: str) -> bytes:
    """Return a PNG of points by two of their measures; those of the front, by what they are called, are joined."""
    figure, axes = _figure()
    for name, one in best.items():
        axes.annotate(name, (one[x], one[y]), (4, -10), textcoords="offset points", fontsize=7)
    axes.plot([one[x] for one in points], [one[y] for one in points], "o", color="0.7", markersize=4)
    front = [(one[x], one[y]) for one in best.values()]
    axes.plot(*zip(*front, strict=True), "s-", color="C0", label="no point is better in both")
    axes.legend(frameon=False)
    metric = points[0]["metric"]
    axes.set(**{f"{axis}label": AXES.get(name, metric) for axis, name in (("x", x), ("y", y))})
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
