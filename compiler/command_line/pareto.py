"""cimc sweep pareto: the points of a sweep that no other point is better than in both of two measures."""

import argparse
import json
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from cimc.command_line.extras import require_packages
from cimc.command_line.files import keep_inputs, write
from cimc.command_line.plotting import scatter
from cimc.diagnostics import fail
from cimc.driving.tables import tabulate, terminal_width

Point = Mapping[str, Any]

BY_HAND = {
    "energy": "energy_uj",
    "latency": "latency_us",
    "efficiency": "chip_tops_per_w",
    "accuracy": "score",
    "mse": "score",
}
"""Short names of measures -> columns of the table."""
GROWING = ("chip_tops_per_w",)
"""Measures of which more is better, beside a score that is an accuracy."""
SHARED = ("model", "target", "passes", "noise", "sources", "compensation", "time")
MEASURES = ("score", "latency_us", "energy_uj", "chip_tops_per_w")


def pareto_command(options: argparse.Namespace) -> int:
    from cimc.sweep.store import read_table

    if options.plot:
        require_packages("--plot", "plot", "matplotlib")
    if not options.table:
        raise fail("CIM0003", "`cimc sweep pareto` needs the table of a sweep", hint="cimc sweep pareto SWEEP.parquet")
    points = points_of(read_table(options.table), options.table)
    x, y = (_column(name) for name in (options.x, options.y))
    best = front(points, (x, y))
    if options.plot:
        keep_inputs(options, [options.plot])
        write(options.plot, scatter(points, _named(best), x, y))
    if options.json:
        print(json.dumps({"x": x, "y": y, "points": best}))
    else:
        print("\n".join(_table(best, (x, y))))
        print(f"{len(best)} of {len(points)} points are best in {x} or {y}")
    return 0


def points_of(rows: Sequence[Point], name: str) -> list[Point]:
    """Return one point for all chips of each choice, with their mean score. Raises CimcError CIM0201."""
    missing = [key for key in (*SHARED, *MEASURES, "metric") if rows and key not in rows[0]]
    if missing or not rows:
        hint = "a sweep of this version writes them: run it again, finished trials are kept"
        raise fail("CIM0201", f"{name} has no column {', '.join(missing) or 'with a row'}", hint=hint)
    ordered = sorted(rows, key=_shared)
    return [_mean(list(chips)) for _, chips in groupby(ordered, _shared)]


def _shared(row: Point) -> tuple[Any, ...]:
    return tuple(row[key] for key in SHARED)


def _mean(chips: Sequence[Point]) -> Point:
    score = sum(chip["score"] for chip in chips) / len(chips)
    return {key: chips[0][key] for key in (*SHARED, *MEASURES, "metric")} | {"score": score, "chips": len(chips)}


def front(points: Sequence[Point], measures: Sequence[str]) -> list[Point]:
    """Return the points that no other is at least as good as in every measure and better in one, by the first."""
    better = [tuple(_goodness(point, measure) for measure in measures) for point in points]
    beaten = [any(_beats(other, own) for other in better) for own in better]
    kept = [point for point, out in zip(points, beaten, strict=True) if not out]
    return sorted(kept, key=lambda point: float(point[measures[0]]))


def _beats(one: Sequence[float], other: Sequence[float]) -> bool:
    return one != other and all(a >= b for a, b in zip(one, other, strict=True))


def _goodness(point: Point, measure: str) -> float:
    grows = measure in GROWING or (measure == "score" and point["metric"] == "accuracy")
    return float(point[measure]) if grows else -float(point[measure])


def _column(name: str) -> str:
    column = BY_HAND.get(name, name)
    if column not in MEASURES:
        raise fail("CIM0003", f"{name!r} is no measure of a sweep", hint=f"known: {', '.join((*BY_HAND, *MEASURES))}")
    return column


def _table(points: Sequence[Point], measures: Sequence[str]) -> list[str]:
    told = ["model", *_differing(points, SHARED[1:])]
    rows = [[*(str(p[key]) or "-" for key in told), *(f"{p[key]:.4g}" for key in measures)] for p in points]
    return tabulate([[*told, *measures], *rows], terminal_width())


def _differing(points: Sequence[Point], keys: Sequence[str]) -> list[str]:
    """Return the keys in which points differ."""
    return [key for key in keys if len({point[key] for point in points}) > 1]


def _named(points: Sequence[Point]) -> Mapping[str, Point]:
    """Return points by what tells them from one another, by their model where there is one alone."""
    keys = _differing(points, SHARED) or SHARED[:1]
    return {", ".join(str(point[key]) or "-" for key in keys): point for point in points}
