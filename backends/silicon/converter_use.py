"""An observer that counts what the ADCs do: conversions, clips of each sign, and the codes that occur."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cimc.backends.machine.facts import Machine
from cimc.backends.machine.observer import BlockProducts, Conversions, Observer, Products

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
    """Codes of each column, those of all read phases."""

    @staticmethod
    def fresh(blocks: int, columns: int, low: int, high: int) -> "ConverterCounts":
        """Return counts of nothing yet."""
        number = high - low + 1
        codes = np.zeros((blocks, columns, number), bool) if number <= MOST_CODES else None
        return ConverterCounts(np.zeros((blocks, 2, columns), np.int64), codes, low)

    def add(self, block: int, products: BlockProducts) -> None:
        """Note the conversions of one block, counted from 0."""
        for each in products.conversions:
            self._add(block, each)

    def _add(self, block: int, conversions: Conversions) -> None:
        codes = conversions.codes.reshape(-1, conversions.codes.shape[-1]).astype(np.int64)
        self.conversions += len(codes) if block == 0 else 0
        for side, sign in enumerate((-1, 1)):
            self.clips[block, side] += (conversions.clipped == sign).sum(axis=(0, 1))
        if self.codes is not None:
            self.codes[block, np.arange(codes.shape[1]), codes - self.low] = True


class ConverterUse(Observer):
    """Counts the conversions of some instructions over all runs that it observes: `counts` by instruction."""

    def __init__(self, machine: Machine, instructions: Collection[int]) -> None:
        self.counts: dict[int, ConverterCounts] = {}
        self._adc = machine.adc_range
        self._instructions = instructions

    def vectors(self, index: int, count: int) -> Sequence[int]:
        return range(count) if index in self._instructions else ()

    def multiplied(self, index: int, products: Products) -> None:
        if index not in self.counts:
            columns = products.blocks[0].codes.shape[-1]
            self.counts[index] = ConverterCounts.fresh(len(products.blocks), columns, *self._adc)
        for number, block in enumerate(products.blocks):
            self.counts[index].add(number, block)
