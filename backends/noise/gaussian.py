"""The integer Gaussian: a random 32-bit word becomes a normal variable in units of 2^-16, the same on every machine.

Bit 31 is the sign. u is the low 31 bits (0 becomes 1) and p = u / 2^31 the probability to be exceeded in magnitude.
With e leading zeros of u, the next 5 bits choose a cell of row e and the 25 bits after them interpolate in it.
"""

from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
CELL_BITS, INTERPOLATION_BITS = 5, 25
HALF = 1 << (INTERPOLATION_BITS - 1)
MAGNITUDE = 0x7FFFFFFF
DOUBLE_CELL, DOUBLE_REST = 52 - CELL_BITS, 52 - CELL_BITS - INTERPOLATION_BITS
FIRST = 1023 << CELL_BITS
"""Exponent and cell bits of the double 1.0."""


@cache
def table() -> tuple[tuple[int, ...], ...]:
    """Return the 31 rows of 33 entries that gaussian_table.py has written."""
    text = files(__package__).joinpath("gaussian.txt").read_text()
    return tuple(tuple(map(int, line.split())) for line in text.splitlines())


def largest() -> int:
    """Return the largest magnitude of a variable."""
    return table()[-1][0]


def of_word(word: int) -> int:
    """Return the variable of one word."""
    u = (word & MAGNITUDE) or 1
    zeros = 31 - u.bit_length()
    digits = u << zeros
    cell = digits >> INTERPOLATION_BITS & ((1 << CELL_BITS) - 1)
    rest = digits & ((1 << INTERPOLATION_BITS) - 1)
    high, low = table()[zeros][cell : cell + 2]
    magnitude = high - ((high - low) * rest + HALF >> INTERPOLATION_BITS)
    return -magnitude if word >> 31 else magnitude


@cache
def cells() -> tuple[Array, Array]:
    """Return the first entry of every cell, and by how much it falls within the cell; row 30 comes first."""
    rows = np.array(table()[::-1], np.int64)
    return rows[:, :-1].ravel(), (rows[:, :-1] - rows[:, 1:]).ravel()


def of_words(words: Array) -> Array:
    """Return the variables of an array of uint32, as int64. A double's exponent and top bits are row and cell."""
    start, fall = cells()
    bits = np.maximum(words & np.uint32(MAGNITUDE), 1).astype(np.float64).view(np.int64)
    cell = (bits >> DOUBLE_CELL) - FIRST
    rest = (bits >> DOUBLE_REST) & ((1 << INTERPOLATION_BITS) - 1)
    magnitude = start[cell] - (fall[cell] * rest + HALF >> INTERPOLATION_BITS)
    signed: Array = np.where(words >> np.uint32(31), -magnitude, magnitude)
    return signed
