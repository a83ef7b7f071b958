"""What the digital sums of a layer are multiplied by, column by column, to come as near as can be to those aimed at."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cimc.backends.plan.exact import column_sums

Sums = NDArray[np.int32]
Reals = NDArray[np.float64]

LARGEST = 1 << 31
"""Magnitude that no sum exceeds."""
AT_ONCE = 1 << 13
"""About so many sums are taken at a time: what is made of them should stay in the nearest caches."""


@dataclass(frozen=True)
class Aim:
    """Sums i32 [vectors, cols] that a fit aims at, and their means [cols]."""

    sums: Sums
    means: Reals

    @staticmethod
    def of(sums: Sums) -> "Aim":
        """Return sums [vectors, cols] as an aim."""
        return Aim(sums, means(sums))

    def slopes(self, found: Sums, found_means: Reals) -> Reals:
        """Return the least-squares slope of each column over what was found; 1 where that never changes."""
        covariance, variance = _Total(), _Total()
        for part in _parts(found):
            off = found[part] - found_means
            covariance.add((self.sums[part] - self.means) * off)
            variance.add(np.square(off))
        a_b, b_b = covariance.rows[0] / len(found), variance.rows[0] / len(found)
        slopes: Reals = np.divide(a_b, b_b, out=np.ones_like(b_b), where=b_b > 0.0)
        return slopes


def means(sums: Sums) -> Reals:
    """Return the mean of each column of sums [vectors, cols]."""
    total = np.zeros(sums.shape[1])
    for part in _parts(sums):
        total += column_sums(sums[part].astype(np.float64), LARGEST)
    return total / len(sums)


class _Total:
    """The sum of rows met so far, [1, cols] or no row yet: they are added one by one, as numpy adds all at once."""

    def __init__(self) -> None:
        self.rows = np.empty((0, 0))

    def add(self, rows: Reals) -> None:
        met = np.concatenate([self.rows, rows]) if len(self.rows) else rows
        self.rows = met.sum(axis=0, keepdims=True)


def _parts(sums: Sums) -> Iterator[slice]:
    """Yield the rows taken at a time. A lone column, which numpy adds up in another order, is taken whole."""
    vectors, cols = sums.shape
    rows = max(AT_ONCE // cols, 1) if cols > 1 else max(vectors, 1)
    return (slice(start, start + rows) for start in range(0, vectors, rows))
