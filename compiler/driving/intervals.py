"""Mean, standard deviation and the 95 % interval of the mean over chips."""

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from cimc.backends.silicon.student import student

LEVEL = 0.95
"""How surely the mean over very many chips lies within the interval."""

HIGHEST = {"accuracy": 1.0, "mse": math.inf}
"""What a metric can reach: intervals are cut to 0 .. this."""

SPREAD_HEADS = ("mean", "deviation", f"{100 * LEVEL:g} % interval of the mean")


def spread(values: Sequence[float], metric: str) -> dict[str, float | None]:
    """Return mean, deviation, low and high of the scores of chips; all but the mean are None for a single one."""
    mean, n = statistics.fmean(values), len(values)
    if n == 1:
        return {"mean": mean, "deviation": None, "low": None, "high": None}
    deviation = statistics.stdev(values)
    half = student(LEVEL, n - 1) * deviation / math.sqrt(n)
    return {
        "mean": mean,
        "deviation": deviation,
        "low": max(mean - half, 0.0),
        "high": min(mean + half, HIGHEST[metric]),
    }


def spread_cells(facts: Mapping[str, Any], metric: str) -> tuple[str, str, str]:
    """Return the cells of a table under SPREAD_HEADS for what `spread` found: accuracies in percent."""
    factor, unit = (100, " %") if metric == "accuracy" else (1, "")
    keys = ("mean", "deviation", "low", "high")
    mean, deviation, low, high = ("-" if facts[key] is None else f"{factor * facts[key]:.2f}" for key in keys)
    return mean, deviation, "-" if low == "-" else f"{low} to {high}{unit}"
