"""Addressed random words: Philox4x64-10 exactly as in Random123, one block at a time and in bulk."""

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Words = tuple[int, int, int, int]

MULTIPLIERS = (0xD2E7470EE14C6C93, 0xCA5A826395121157)
STEPS = (0x9E3779B97F4A7C15, 0xBB67AE8584CAA73B)
ROUNDS, SHARED_ROUNDS = 10, 2
MASK = (1 << 64) - 1
LOW = np.uint64(0xFFFFFFFF)
HALF = np.uint64(32)
DRAWS = 8
"""32-bit words in a block of four 64-bit words: word 0 low half, word 0 high half, word 1 low half, ..."""

BATCH = 1 << 13
"""Blocks computed at a time: the work arrays should stay in cache."""


def block(counter: Words, key: tuple[int, int]) -> Words:
    """Return the four 64-bit words at a counter."""
    a, b, c, d = counter
    for i in range(ROUNDS):
        k, m = ((key[n] + i * STEPS[n]) & MASK for n in (0, 1))
        first, second = MULTIPLIERS[0] * a, MULTIPLIERS[1] * c
        a, b, c, d = (second >> 64) ^ b ^ k, second & MASK, (first >> 64) ^ d ^ m, first & MASK
    return a, b, c, d


@lru_cache(maxsize=1 << 16)
def draws(counter: Words, key: tuple[int, int]) -> tuple[int, ...]:
    """Return the eight 32-bit words at a counter."""
    return tuple(word >> shift & 0xFFFFFFFF for word in block(counter, key) for shift in (0, 32))


def bulk(counters: tuple[Array, Array, Array, Array], key: tuple[int, int]) -> Array:
    """Return the 32-bit words [..., 8] at counters given as four arrays of uint64 that broadcast.

    In the first rounds what is multiplied depends on few of the four: on a grid of counters it is few numbers.
    """
    shape = np.broadcast_shapes(*(word.shape for word in counters))
    begun = _turned([np.atleast_1d(word) for word in counters], key, range(SHARED_ROUNDS))
    flat = [np.ascontiguousarray(np.broadcast_to(word, shape or 1).reshape(-1)) for word in begun]
    result = np.empty((flat[0].size, 4), "<u8")
    for start in range(0, flat[0].size, BATCH):
        part = slice(start, start + BATCH)
        for n, word in enumerate(_turned([word[part] for word in flat], key, range(SHARED_ROUNDS, ROUNDS))):
            result[part, n] = word
    return result.view("<u4").reshape(*shape, DRAWS)


def _turned(words: list[Array], key: tuple[int, int], rounds: range) -> list[Array]:
    """Return what rounds make of the four words of each counter."""
    a, b, c, d = words
    for i in rounds:
        k, m = (np.uint64((key[n] + i * STEPS[n]) & MASK) for n in (0, 1))
        (high0, low0), (high1, low1) = _product(MULTIPLIERS[0], a), _product(MULTIPLIERS[1], c)
        a, b, c, d = high1 ^ b ^ k, low1, high0 ^ d ^ m, low0
    return [a, b, c, d]


def _product(constant: int, values: Array) -> tuple[Array, Array]:
    """Return the high and low 64 bits of a constant times uint64 values."""
    low, high = np.uint64(constant & 0xFFFFFFFF), np.uint64(constant >> 32)
    value_low, value_high = values & LOW, values >> HALF
    middle = high * value_low + ((low * value_low) >> HALF)
    other = low * value_high + (middle & LOW)
    return high * value_high + (middle >> HALF) + (other >> HALF), values * np.uint64(constant)
