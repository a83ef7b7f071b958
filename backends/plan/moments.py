"""Moments of the columns of whole numbers, all terms added one row after the other."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from cimc.backends.plan.exact import column_sums

Sums = NDArray[np.int32]
Reals = NDArray[np.float64]

LARGEST = 1 << 31
"""Magnitude that no sum exceeds."""
AT_ONCE = 1 << 14
"""About so many sums are taken at a time: what is made of them should stay in the nearest caches."""


def totals(parts: Sequence[Sums]) -> NDArray[np.int64]:
    """Return the sum of each column of parts [images, vectors, cols]."""
    total = np.zeros(parts[0].shape[2], np.int64)
    for part in map(flat, parts):
        for rows in _at_a_time(part):
            total += column_sums(part[rows].astype(np.float64), LARGEST)
    return total


def moments(parts: Sequence[Sums], aim: Sums, centres: tuple[Reals, Reals]) -> Reals:
    """Return [2, cols]: sums of the products of what sums and aim are off their centres, and of squares of the former.

    The sums are parts [images, vectors, cols], the aim is [all vectors, cols], centres [cols] are those of both.
    """
    sums = np.concatenate([flat(part) for part in parts])
    products, squares = _Total(sums), _Total(sums)
    for rows in _at_a_time(sums):
        product, off = products.room(sums[rows]), squares.room(sums[rows])
        np.copyto(off, sums[rows])
        off -= centres[0]
        np.copyto(product, aim[rows])
        product -= centres[1]
        product *= off
        off *= off
        products.add(product)
        squares.add(off)
    return np.stack([products.rows[0], squares.rows[0]])


def flat(part: Sums) -> Sums:
    """Return a part [images, vectors, cols] as [vectors, cols]."""
    return part.reshape(-1, part.shape[2])


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


def _at_a_time(sums: Sums) -> Iterator[slice]:
    rows = _at_once(sums)
    return (slice(start, start + rows) for start in range(0, len(sums), rows))
