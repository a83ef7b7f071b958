"""Weights on fewer levels: which step a column has, and which of the levels next to it each weight takes."""

from itertools import product

import numpy as np
from numpy.typing import NDArray

SHARES = tuple(1.0 - 0.05 * number for number in range(9))
"""Of a column's largest weight, what its highest level may be: 1 to 0.6."""
IN_COMMON, ALIKE = 0.5, 0.5
"""What values in a window of an image have in common, as a share of their mean square; of the rest, how much a
neighbour has of it. Of five pairs this one left the least noise of VWW's outputs on its calibration images."""
LEAST_GAIN = 1e-9
"""What another level must win, in squared steps: less is rounding of floating point."""

Reals = NDArray[np.float64]


def rounded_weights(weight: NDArray[np.generic], bits: int) -> NDArray[np.float32]:
    """Return weights rounded to 2^(bits - 1) - 1 levels a polarity of their column, the last axis.

    The highest level is that share of the column's largest, of `SHARES`, which leaves the least squared error.
    """
    return _rounded(weight, bits, None)


def rounded_taps(weight: NDArray[np.generic], bits: int) -> NDArray[np.float32]:
    """Return taps (height, width, 1, channels) of a depthwise layer rounded as weights, for the least error of sums.

    Values of a window are alike: errors of its taps add up where they have one sign, and cancel out where they sum up
    to nothing. So the error is weighed by second moments of a window, as AdaRound does (arXiv 2004.10568), those that
    images have in general: the same for all data, so that stored bits give the same taps.
    """
    return _rounded(weight, bits, _moments(*weight.shape[:2]))


def _moments(height: int, width: int) -> Reals:
    """Return the second moments of the values of a window, each with each, over their mean square."""
    places = np.array(list(product(range(height), range(width))), np.float64)
    apart = np.sqrt(np.square(places[:, None] - places).sum(axis=-1))
    return np.asarray(IN_COMMON + (1.0 - IN_COMMON) * ALIKE**apart)


def _rounded(weight: NDArray[np.generic], bits: int, moments: Reals | None) -> NDArray[np.float32]:
    real = np.asarray(weight, np.float64).reshape(-1, weight.shape[-1])
    levels, largest = (1 << (bits - 1)) - 1, np.abs(real).max(axis=0)
    rounded, least = real, np.full(largest.shape, np.inf)
    for share in SHARES:
        step = np.where(largest > 0.0, largest, 1.0) * share / levels
        codes = np.clip(np.rint(real / step), -levels, levels)
        codes = codes if moments is None else _settled(codes, real / step, levels, moments)
        off = codes * step - real
        error = (off * (off if moments is None else _weighed(moments, off))).sum(axis=0)
        rounded, least = np.where(error < least, codes * step, rounded), np.minimum(error, least)
    return rounded.reshape(weight.shape).astype(np.float32)


def _settled(codes: Reals, wanted: Reals, levels: int, moments: Reals) -> Reals:
    """Return codes (taps, channels) of which no single one, a level up or down, lowers the error of the sums.

    One at an end of the levels stays: what a level is worth is the largest weight's share.
    """
    steps, columns = np.array([[[1.0]], [[-1.0]]]), np.arange(codes.shape[1])
    while True:
        ends = np.abs(codes) == levels
        fixed = (np.abs(codes + steps) > levels) | (ends & (ends.sum(axis=0) == 1))
        slope = 2.0 * _weighed(moments, codes - wanted)
        change = np.where(fixed, np.inf, steps * slope + np.diagonal(moments)[:, None])
        flat = change.reshape(-1, len(columns))
        best = flat.argmin(axis=0)
        gains = flat[best, columns] < -LEAST_GAIN
        if not gains.any():
            return codes
        way, tap = np.divmod(best, len(codes))
        codes = codes.copy()
        codes[tap[gains], columns[gains]] += steps[way[gains], 0, 0]


def _weighed(moments: Reals, off: Reals) -> Reals:
    """Return moments @ off, summed in one order on all machines."""
    return np.asarray((moments[:, :, None] * off).sum(axis=1))
