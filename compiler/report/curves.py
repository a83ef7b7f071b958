"""Scores of chips over time as SVG: the mean, and the band that it lies in."""

from collections.abc import Mapping, Sequence
from math import log
from typing import Any

from cimc.report.drawings import WIDTH, drawing
from cimc.report.markup import Markup, element

HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 260, 60, 20, 12, 36
NAMED = 5
"""Values named on the axis upwards."""


def scores_over_time(times: Sequence[Mapping[str, Any]], metric: str) -> Markup:
    """Return a curve of the means that `cimc eval --json` tells, and the band of their bounds; time is logarithmic."""
    low, high = min(one["low"] for one in times), max(one["high"] for one in times)
    margin = 0.05 * (high - low) or 0.01
    up = _scale(low - margin, high + margin, HEIGHT - BOTTOM, TOP)
    moments = [log(1 + one["seconds"]) for one in times]
    across = _scale(min(moments), max(moments), LEFT + 20, WIDTH - RIGHT - 20)
    places = [across(moment) for moment in moments]
    edge = [*zip(places, (up(one["high"]) for one in times), strict=True)]
    edge += [*zip(places, (up(one["low"]) for one in times), strict=True)][::-1]
    means = [*zip(places, (up(one["mean"]) for one in times), strict=True)]
    levels = [low + (high - low) * step / (NAMED - 1) for step in range(NAMED)] if high > low else [low]
    return drawing(
        WIDTH,
        HEIGHT,
        f"{metric} over time",
        element("polygon", points=_points(edge), class_="band"),
        element("polyline", points=_points(means), class_="curve"),
        *(_mark(x, y, one, metric) for (x, y), one in zip(means, times, strict=True)),
        *(element("text", one["time"], x=f"{x:.1f}", y=HEIGHT - 12) for x, one in zip(places, times, strict=True)),
        *(element("text", f"{level:.4g}", x=0, y=f"{up(level) + 5:.1f}") for level in levels),
    )


def _scale(low: float, high: float, start: float, end: float) -> Any:
    """Return what takes low..high to start..end; the middle where both are the same."""
    if high == low:
        return lambda _: (start + end) / 2
    return lambda value: start + (value - low) / (high - low) * (end - start)


def _points(places: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in places)


def _mark(x: float, y: float, one: Mapping[str, Any], metric: str) -> Markup:
    about = f"{one['time']}: {metric} {one['mean']:.4g}, {one['low']:.4g} to {one['high']:.4g}"
    return element("circle", element("title", about), cx=f"{x:.1f}", cy=f"{y:.1f}", r=4, class_="bar")
