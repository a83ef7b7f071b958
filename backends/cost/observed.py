"""Counts what data decide while a program runs: rows driven, pulses, charge, and what the ADCs read."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cimc.backends.cost.cells import Held
from cimc.backends.cost.counters import NOTHING, Counters
from cimc.backends.cost.counting import counted, phases_of
from cimc.backends.machine.facts import machine
from cimc.backends.machine.observer import BlockSums, Observer
from cimc.diagnostics import fail
from cimc.isa.program import Program
from cimc.isa.region import Region

Array = NDArray[Any]

MOST_TOGETHER, ROOM = 100, 1 << 24
"""Images that are counted together, and the bytes of activations that they may take."""


def together(program: Program) -> int:
    """Return how many images a run on the kernels should have in flight while it is counted.

    Sums are told once for all of them: of as few as a cache holds, telling would take as long as the run. In numpy
    a run takes so much longer that the cache is worth more.
    """
    return max(min(MOST_TOGETHER, ROOM // max(program.activation_bytes, 1)), 1)


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
    """Sums the data counters of a run: whole numbers, for each instruction and tile, over all samples observed.

    A block that turns of a loop write anew is known once all is summed: it cannot be told apart then.
    """

    def __init__(self, program: Program) -> None:
        self.samples = 0
        self._taken: dict[int, dict[tuple[int, int], _Taken]] = defaultdict(dict)
        self._machine, self._program = machine(program.meta), program

    @cached_property
    def _read(self) -> Sequence[Mapping[int, tuple[Region, Held]]]:
        return [_alone(index, read) for index, read in enumerate(counted(self._program).read_by)]

    def begin(self, samples: range) -> None:
        self.samples += len(samples)

    def wants_write(self, index: int) -> bool:
        return False

    def wants_sums(self, index: int) -> bool:
        return self._program.instructions[index].spec.is_product

    def summed(self, index: int, blocks: Sequence[BlockSums]) -> None:
        for block in blocks:
            self._taken[index].setdefault((block.block, len(block.rows)), _Taken()).add(block)

    def means(self, index: int) -> Mapping[int, Counters]:
        """Return what one sample took of an instruction on each tile, in the mean.

        Raises CimcError CIM0003 where turns of a loop read other cells under the number of one block.
        """
        share, tiles = Fraction(1, max(self.samples, 1)), dict[int, Counters]()
        for (block, _), taken in self._taken[index].items():
            cells, held = self._read[index][block]
            tile, done = cells.tile, self._counted(taken, cells, held)
            tiles[tile] = tiles.get(tile, NOTHING) + done.times(share)
        return tiles

    def _counted(self, taken: "_Taken", cells: Region, held: Held) -> Counters:
        phases = phases_of(self._machine, cells.cols)
        rows: list[int] = taken.rows.tolist()
        return Counters(
            row_on=phases * taken.driven,
            pulse=phases * taken.pulse,
            charge=sum(on * each for on, each in zip(rows, held.rows.tolist(), strict=True)),
            adc_mag=taken.codes,
        )


def _alone(index: int, read: Mapping[int, Sequence[tuple[Region, Held]]]) -> Mapping[int, tuple[Region, Held]]:
    """Return block -> the one region that an instruction read as it, with what that held."""
    for block, found in read.items():
        if len(found) > 1:
            message = f"instruction {index} reads block b{block} before and after its cells are written anew"
            raise fail("CIM0003", f"{message}: what data decide of both is summed as one", hint="leave out --input")
    return {block: found[0] for block, found in read.items()}
