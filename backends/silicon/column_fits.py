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
AT_ONCE = 1 << 14
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
        covariance, variance = _Total(found), _Total(found)
        for part in _parts(found):
            products, off = covariance.room(found[part]), variance.room(found[part])
            np.copyto(off, found[part])
            off -= found_means
            np.copyto(products, self.sums[part])
            products -= self.means
            products *= off
            off *= off
            covariance.add(products)
            variance.add(off)
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
    """Room for rows, and before them the sum of those met: they are added one by one, as numpy adds all at once."""

    def __init__(self, sums: Sums) -> None:
        self.rows = np.zeros((_at_once(sums) + 1, sums.shape[1]))
        self._first = 1

    def room(self, part: Sums) -> Reals:
        """Return where as many rows as of a part are to be written."""
        return self.rows[1 : len(part) + 1]

    def add(self, written: Reals) -> None:
        """Add the rows written to the room."""
        self.rows[0] = self.rows[self._first : len(written) + 1].sum(axis=0)
        self._first = 0


def _at_once(sums: Sums) -> int:
    """Return how many rows are taken at a time. A lone column, which numpy adds up in another order, is taken whole."""
    cols = int(sums.shape[1])
    return max(AT_ONCE // cols, 1) if cols > 1 else max(len(sums), 1)


def _parts(sums: Sums) -> Iterator[slice]:
    rows = _at_once(sums)
    return (slice(start, start + rows) for start in range(0, len(sums), rows))
