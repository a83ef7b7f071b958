"""Counts what data decide while a program runs: rows driven, pulses, charge, and what the ADCs read."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from cimc.backends.cost.counters import Counters
from cimc.backends.cost.counting import phases_of
from cimc.backends.cost.overlap import READING
from cimc.backends.machine.facts import machine
from cimc.backends.machine.observer import BlockProducts, Conversions, Observer, Products
from cimc.isa.conductances import targets
from cimc.isa.program import Instruction, Program
from cimc.isa.region import region

Sums = NDArray[np.int64]


class DataCounting(Observer):
    """Sums the data counters of a run: whole numbers, for each instruction and tile, over all samples observed."""

    def __init__(self, program: Program) -> None:
        self.samples = 0
        self.sums: dict[int, dict[int, Counters]] = defaultdict(dict)
        self._machine, self._code = machine(program.meta), program.instructions
        programmed = [one for one in program.instructions if one.name == "program"]
        self._regions = {one["block"]: region(one) for one in programmed}
        self._conducts = {one["block"]: self._conductance(program, one) for one in programmed}

    def begin(self, samples: range) -> None:
        self.samples += len(samples)

    def vectors(self, index: int, count: int) -> Sequence[int]:
        return range(count) if self._code[index].name in READING else ()

    def multiplied(self, index: int, products: Products) -> None:
        for block in products.blocks:
            tile, sums = self._regions[block.block].tile, self.sums[index]
            sums[tile] = sums.get(tile, Counters()) + self._counted(block)

    def means(self, index: int) -> Mapping[int, Counters]:
        """Return what one sample took of an instruction on each tile, in the mean."""
        return {tile: done.times(Fraction(1, max(self.samples, 1))) for tile, done in self.sums[index].items()}

    def _counted(self, block: BlockProducts) -> Counters:
        inputs = block.inputs.reshape(-1, block.inputs.shape[-1]).astype(np.int64)
        rows: Sums = np.abs(inputs).sum(axis=0)
        charge = sum(on * each for on, each in zip(rows.tolist(), self._conducts[block.block], strict=True))
        return sum((self._converted(inputs, each) for each in block.conversions), Counters(charge=charge))

    def _converted(self, inputs: Sums, read: Conversions) -> Counters:
        """Return what one read phase takes of the vectors [n, rows]: of the sign of inputs that it reads."""
        phases = phases_of(self._machine, read.codes.shape[-1])
        driven = np.maximum(read.phase.inputs * inputs, 0) if read.phase.inputs else np.abs(inputs)
        return Counters(
            row_on=phases * int(np.count_nonzero(driven)),
            pulse=phases * int(driven.sum()),
            adc_mag=int(np.abs(read.codes.astype(np.int64)).sum()),
        )

    def _conductance(self, program: Program, one: Instruction) -> list[int]:
        """Return G+ + G- of each row of a block: targets, and what devices conduct that are never programmed."""
        pairs = np.abs(targets(program.conductances, one).astype(np.int64))
        left = 2 * (pairs == 0).sum(axis=1) + (pairs != 0).sum(axis=1) if one.choice("zeros") == "skip" else 0
        whole: list[int] = (pairs.sum(axis=1) + self._machine.unprogrammed * left).tolist()
        return whole
