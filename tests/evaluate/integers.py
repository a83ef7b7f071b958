"""Plain integer arithmetic that the tests compare with: int64, no floating point."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def half_even(value: Array, shift: int) -> Array:
    """Return value / 2^shift rounded half to even, on integers alone."""
    quotient, rest = value >> shift, value & ((1 << shift) - 1)
    half = 1 << shift >> 1
    up = (rest > half) | ((rest == half) & (quotient % 2 == 1))
    return quotient + (up if shift else 0)


def patches(x: Array, window: Sequence[int], fill: int) -> Array:
    """Return [N, output height, output width, taps, channels] of x [N, height, width, channels]."""
    kh, kw, sh, sw, dh, dw, top, left, oh, ow = window
    n, height, width, channels = x.shape
    found = np.full((n, oh, ow, kh * kw, channels), fill, dtype=np.int64)
    for row, col, i, j in np.ndindex(oh, ow, kh, kw):
        r, c = row * sh + i * dh - top, col * sw + j * dw - left
        if 0 <= r < height and 0 <= c < width:
            found[:, row, col, i * kw + j] = x[:, r, c]
    return found


def scaled(sums: Array, scale: Array, offset: Array, shift: int, low: int, high: int) -> Array:
    """Return clamp(round((sums * scale + offset) / 2^shift))."""
    return np.clip(half_even(sums * scale + offset, shift), low, high)
