"""Tables for tile registers, as tiles.h takes them: digits of weights, and what is packed of a vector."""

from collections.abc import Sequence

import numpy as np

from cimc.backends.kernels.layout import filled
from cimc.backends.kernels.library import BLOCK, FAR_BYTES, GROUP, MOST_TILED, NEAR_BYTES, TILE_BYTES
from cimc.backends.plan.memory import Array

LARGEST = 127 * 256 + 127
"""Weights up to this magnitude have two signed digits."""
MOST_WEIGHTS = 1 << 22
"""Tables of more weights are not worth their memory: others stay for few vectors."""
LEAST_WEIGHTS = 1 << 10
"""Products of fewer, columns filled up, take longer to pack than is saved: measured on KWS, VWW and ResNet-8."""


def suit(matrices: Sequence[Array]) -> bool:
    """Return whether tile registers can make the sums of blocks of rows [rows, columns], and have enough to do."""
    rows, columns = sum(len(matrix) for matrix in matrices), matrices[0].shape[1]
    return bool(
        len(matrices) <= MOST_TILED
        and rows * filled(columns) >= LEAST_WEIGHTS
        and rows * columns <= MOST_WEIGHTS
        and all(np.abs(matrix).max() <= LARGEST for matrix in matrices)
    )


def digits(matrix: Array) -> Array:
    """Return the signed digits of weights [rows, columns], the high first: [columns / BLOCK, depth, 2, 16, BLOCK, 4].

    A column's four neighbours among the rows lie side by side, as tile registers multiply them.
    """
    rows, columns = matrix.shape
    padded = np.zeros((depth(rows) * TILE_BYTES, filled(columns)), np.int64)
    padded[:rows, :columns] = matrix
    low = (padded + 128 & 255) - 128
    both = np.stack([padded - low >> 8, low]).astype(np.int8)
    return both.reshape(2, depth(rows), TILE_BYTES // 4, 4, -1, BLOCK).transpose(4, 1, 0, 2, 5, 3)


def runs(elements: Array) -> Array:
    """Return (first, count) of the neighbours among a vector's elements [runs, 2]."""
    starts = np.flatnonzero(np.diff(elements, prepend=elements[0] - 2) != 1)
    return np.stack([elements[starts], np.diff(starts, append=len(elements))], axis=1)


def depth(rows: int) -> int:
    """Return how many tile registers the rows of a block take."""
    return -(-rows // TILE_BYTES)


def scratch(packed: int, columns: int) -> int:
    """Return the bytes of scratch for vectors of so many bytes, packed, that are multiplied by columns; 0 for none."""
    room = NEAR_BYTES if 2 * packed * columns <= FAR_BYTES else FAR_BYTES
    return packed and GROUP * max(room // (packed * GROUP), 1) * packed
