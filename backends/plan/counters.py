"""What the ADCs did, counted while products run: conversions, clips of each sign, and the codes that occurred."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
MOST_CODES = 1 << 14
"""Codes of wider ADCs are not told apart."""


@dataclass
class ConverterCounts:
    """The ADCs of one instruction: `clips` [blocks, 2, cols], negative first, and `codes`, each from `low` on.

    `codes` [blocks, cols, number of codes] says whether a code occurred; it is None where there are too many codes.
    """

    clips: Array
    codes: Array | None
    low: int
    conversions: int = 0
    """Codes of each column."""

    @staticmethod
    def fresh(blocks: int, columns: int, low: int, high: int) -> "ConverterCounts":
        """Return counts of nothing yet."""
        number = high - low + 1
        codes = np.zeros((blocks, columns, number), bool) if number <= MOST_CODES else None
        return ConverterCounts(np.zeros((blocks, 2, columns), np.int64), codes, low)

    def add(self, block: int, codes: Array) -> None:
        """Note the codes [n, cols] of one block."""
        self.conversions += len(codes) if block == 0 else 0
        if self.codes is not None:
            self.codes[block, np.arange(codes.shape[1]), codes.astype(np.int64) - self.low] = True
