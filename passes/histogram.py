"""Where to clip: the range of |x| from a histogram, by one of four rules. All return the number of bins kept."""

import math
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int64]

FEWEST_BINS = 128
"""As many bins as an 8-bit code has levels above zero: a range with fewer could not show what its rounding costs."""
STRIDE = 16
"""Searches look at every STRIDE-th bin edge from FEWEST_BINS on."""


def whole(counts: Counts, levels: int, percentile: float) -> int:
    """Keep everything: min-max."""
    return len(counts)


def share(counts: Counts, levels: int, percentile: float) -> int:
    """Keep the wanted share of all values, in percent."""
    wanted = share_kept(int(counts.sum()), percentile)
    return min(int(np.searchsorted(np.cumsum(counts), wanted)), len(counts) - 1) + 1


def share_kept(count: int, percentile: float) -> int:
    """Return how many of `count` values a percentile keeps."""
    return min(math.ceil(percentile / 100.0 * count), count)


class Tail:
    """The largest |x| of a stream of at most `most` values: enough to tell the last one that `share` keeps."""

    def __init__(self, most: int, percentile: float) -> None:
        self._percentile = percentile
        self._count = self._beyond(most)
        self._seen = 0
        self._kept = np.zeros(0, np.float32)

    def add(self, magnitudes: NDArray[np.float32]) -> None:
        """Take in more values of |x|."""
        self._seen += magnitudes.size
        if len(self._kept) == self._count:
            magnitudes = magnitudes[magnitudes > self._kept[0]]
        if magnitudes.size:
            kept = np.append(self._kept, magnitudes)
            first = max(len(kept) - self._count, 0)
            kept.partition(first)
            self._kept = kept[first:].copy()  # the smallest comes first; a view would keep all others alive

    def reach(self) -> np.float32:
        """Return the last |x| kept. It lies in the last bin that `share` keeps, however many bins there are."""
        first = len(self._kept) - self._beyond(self._seen)
        return np.float32(np.partition(self._kept, first)[first])

    def _beyond(self, count: int) -> int:
        """Return how many of `count` values are as large as the last one kept, at least."""
        return count - share_kept(count, self._percentile) + 1


def least_squares(counts: Counts, levels: int, percentile: float) -> int:
    """Minimise the squared error of rounding to `levels` steps inside the range and of clipping outside it."""
    centres = np.arange(len(counts)) + 0.5
    tails = [np.append(np.cumsum((counts * centres**power)[::-1])[::-1], 0.0) for power in range(3)]
    kept = _candidates(len(counts))
    total = float(counts.sum())
    clipping = tails[2][kept] - 2.0 * kept * tails[1][kept] + kept.astype(np.float64) ** 2 * tails[0][kept]
    rounding = (total - tails[0][kept]) * np.square(kept / levels) / 12.0
    return int(kept[np.argmin(clipping + rounding)])


def entropy(counts: Counts, levels: int, percentile: float) -> int:
    """Minimise the Kullback-Leibler divergence of the quantised histogram from the clipped one.

    The first bin, which holds the zeros of every Relu, counts like the second: it would hide all the others.
    """
    kept = _candidates(len(counts))
    shown = np.append(counts[1], counts[1:]).astype(np.float64)
    divergences = [_divergence(shown, int(size), levels) for size in kept]
    return int(kept[int(np.argmin(divergences))])


RULES: Mapping[str, Callable[[Counts, int, float], int]] = {
    "minmax": whole,
    "percentile": share,
    "mse": least_squares,
    "entropy": entropy,
}
"""Name -> rule of (counts of |x|, code levels above zero, percentile)."""


def _candidates(bins: int) -> NDArray[np.int64]:
    return np.arange(min(FEWEST_BINS, bins), bins + 1, STRIDE)


def _divergence(counts: NDArray[np.float64], size: int, levels: int) -> float:
    clipped = counts[:size].copy()
    clipped[-1] += counts[size:].sum()
    groups = np.arange(size) * levels // size
    filled = counts[:size] > 0
    sums = np.bincount(groups, counts[:size], levels)
    members = np.bincount(groups, filled, levels)
    spread = np.where(filled, sums[groups] / np.maximum(members[groups], 1), 0.0)
    both = (clipped > 0) & (spread > 0)
    if not both.any():
        return float("inf")
    p, q = clipped[both] / clipped.sum(), spread[both] / spread.sum()
    # Values that only the clipped side has count as if the quantised side had a ten-thousandth of a value there.
    missing = clipped[(clipped > 0) & ~both].sum() / clipped.sum()
    return float((p * np.log(p / q)).sum() + missing * np.log(1e4 * max(clipped.sum(), 1.0)))
