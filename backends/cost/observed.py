"""Counts what data decide while a program runs: rows driven, pulses, charge, and what the ADCs read."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cimc.backends.cost.counters import NOTHING, Counters
from cimc.backends.cost.counting import held, phases_of
from cimc.backends.machine.facts import machine
from cimc.backends.machine.observer import BlockSums, Observer
from cimc.isa.program import Program
from cimc.isa.region import region

Array = NDArray[Any]


@dataclass
class _Taken:
    """What the products of one block took so far."""

    driven: int = 0
    pulse: int = 0
    codes: int = 0
    rows: Array = field(default_factory=lambda: np.zeros(1, np.int64))

    def add(self, block: BlockSums) -> None:
        self.rows = self.rows + block.rows
        for each in block.conversions:
            self.driven += each.driven
            self.pulse += each.pulse
            self.codes += each.codes


class DataCounting(Observer):
    """Sums the data counters of a run: whole numbers, for each instruction and tile, over all samples observed."""

    def __init__(self, program: Program) -> None:
        self.samples = 0
        self._taken: dict[int, dict[int, _Taken]] = defaultdict(dict)
        self._machine, self._code = machine(program.meta), program.instructions
        programmed = [one for one in program.instructions if one.name == "program"]
        self._regions = {one["block"]: region(one) for one in programmed}
        held_by = {one["block"]: held(one, program.conductances, self._machine) for one in programmed}
        self._conducts: dict[int, list[int]] = {block: cells.rows.tolist() for block, cells in held_by.items()}

    def begin(self, samples: range) -> None:
        self.samples += len(samples)

    def wants_write(self, index: int) -> bool:
        return False

    def wants_sums(self, index: int) -> bool:
        return self._code[index].spec.is_product

    def summed(self, index: int, blocks: Sequence[BlockSums]) -> None:
        for block in blocks:
            self._taken[index].setdefault(block.block, _Taken()).add(block)

    def means(self, index: int) -> Mapping[int, Counters]:
        """Return what one sample took of an instruction on each tile, in the mean."""
        share, tiles = Fraction(1, max(self.samples, 1)), dict[int, Counters]()
        for block, taken in self._taken[index].items():
            tile, done = self._regions[block].tile, self._counted(block, taken)
            tiles[tile] = tiles.get(tile, NOTHING) + done.times(share)
        return tiles

    def _counted(self, block: int, taken: "_Taken") -> Counters:
        phases = phases_of(self._machine, self._regions[block].cols)
        rows: list[int] = taken.rows.tolist()
        return Counters(
            row_on=phases * taken.driven,
            pulse=phases * taken.pulse,
            charge=sum(on * each for on, each in zip(rows, self._conducts[block], strict=True)),
            adc_mag=taken.codes,
        )
