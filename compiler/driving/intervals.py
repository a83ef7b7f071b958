"""Mean, standard deviation and the 95 % interval of the mean over chips."""

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

QUANTILES = (
    *(12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228),
    *(2.201, 2.179, 2.160, 2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086),
    *(2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042),
)
"""Student's t for 95 %, by degrees of freedom from 1."""

HIGHEST = {"accuracy": 1.0, "mse": math.inf}
"""What a metric can reach: intervals are cut to 0 .. this."""


SPREAD_HEADS = ("mean", "deviation", "95 % interval of the mean")


def spread(values: Sequence[float], metric: str) -> dict[str, float | None]:
    """Return mean, deviation, low and high of the scores of chips; all but the mean are None for a single one."""
    mean, n = statistics.fmean(values), len(values)
    if n == 1:
        return {"mean": mean, "deviation": None, "low": None, "high": None}
    deviation = statistics.stdev(values)
    quantile = QUANTILES[n - 2] if n - 1 <= len(QUANTILES) else 1.96 + 2.4 / (n - 1)
    half = quantile * deviation / math.sqrt(n)
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
