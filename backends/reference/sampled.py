"""The reference interpreter on a seeded sample: what it does for programs too large for plain integers.

Each instruction is executed by its own arm of the reference, on some of its vectors. What later instructions read is
`truth`: values that two other executors agree on. So each instruction is checked by itself, on inputs that are proved,
and the reference claims no more than the elements it computed.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cimc.backends.machine.facts import Machine
from cimc.backends.reference.crossbar import Crossbar, ProgrammedBlock, drift_factor
from cimc.backends.reference.devices import Cell
from cimc.backends.reference.instructions import Reference
from cimc.isa.program import Instruction, Program
from cimc.isa.region import Region, region
from cimc.isa.streams import StreamState
from cimc.isa.table import FACTOR_ONE

RANDOM_VECTORS = 64
RANDOM_ELEMENTS = 1024
COLUMNS = 4
NEVER = -1

Codes = NDArray[np.int64]
Truth = Callable[[int], Codes | None]
"""What an instruction writes, in stream order; None where that is not known, and it is then computed whole."""
Watch = Callable[[int, Codes, Codes], None]
"""Called with an instruction's index, the numbers of the elements computed, and their values."""


def run(program: Program, inputs: Mapping[str, Sequence[Any]], truth: Truth, watch: Watch) -> "SampledReference":
    """Run one sample without noise; return the machine, which counts what it did. Raises Trap on a fault."""
    machine = SampledReference(program, truth, watch)
    machine.perform(inputs)
    return machine


class SampledReference(Reference):
    """A reference that reads a sample of each stream: edges, corners and RANDOM_VECTORS others of its vectors.

    `columns_calibrated` counts the columns whose drift factor was computed, of `columns`; others have the factor 1,
    which is what calibration finds on a chip without noise.
    """

    def __init__(self, program: Program, truth: Truth, watch: Watch) -> None:
        super().__init__(program)
        self.crossbar: Tables = Tables(self.crossbar.machine)
        self.truth = truth
        self.sampled = watch
        self.numbers: list[int] = []
        self.columns_calibrated = self.columns = 0

    def program(self, i: Instruction) -> None:
        cells = region(i)
        self.crossbar.machine.require_region(cells)
        shape = (cells.rows, cells.cols)
        values = np.array(self._targets(i["data"], cells.rows * cells.cols), np.int16).reshape(shape)
        self.crossbar.write_region(cells, values, i.choice("zeros") == "program")
        self.crossbar.define(i["block"], cells)

    def calibrate(self, i: Instruction) -> None:
        source, blocks = self._in(i["in"]), self._blocks(i["block"], i["blocks"])
        cols = blocks[0].cells.cols
        self.columns += cols * len(blocks)
        if i.choice("per") != "column":
            super().calibrate(i)
            return
        references = self.memory.constant(i["reference"], "i64", len(blocks) * cols)
        chosen = _chosen(cols, COLUMNS, self.index)
        for j in chosen:
            column = [
                ProgrammedBlock(block.cells._replace(col=block.cells.col + j, cols=1), [FACTOR_ONE]) for block in blocks
            ]
            for t, read in enumerate(self._read(source, column, calibrating=True)):
                total = sum(abs(code) for (code,) in read.codes)
                blocks[t].factors[j] = drift_factor(references[t * cols + j], total)
        self.columns_calibrated += len(chosen) * len(blocks)

    def _vectors(self, source: StreamState) -> list[tuple[int, list[int]]]:
        self.numbers = _chosen_vectors(source, self.index)
        return list(zip(self.numbers, self.memory.read(source, self.numbers), strict=True))

    def _elements(self, source: StreamState) -> list[tuple[int, int]]:
        self.numbers = _chosen(source.elements, RANDOM_ELEMENTS, self.index)
        return [(n, self.memory.element(source, n)) for n in self.numbers]

    def _write(self, out: StreamState, values: list[int]) -> None:
        truth = self.truth(self.index)
        if truth is None:
            super()._write(out, values)
            return
        if len(values) == out.elements:
            super()._write(out, values)
            self.sampled(self.index, np.arange(len(values)), np.array(values, np.int64))
            return
        unit = len(values) // len(self.numbers)
        numbers = (np.array(self.numbers)[:, np.newaxis] * unit + np.arange(unit)).ravel()
        self.sampled(self.index, numbers, np.array(values, np.int64))
        self.memory.write_all(out, truth)


class Tables(Crossbar):
    """Arrays without noise, whose devices lie in tables by tile: a cell conducts what it was last asked to."""

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine)
        self._tables: dict[int, NDArray[np.int16]] = {}

    def write_region(self, cells: Region, values: NDArray[np.int16], zeros: bool) -> None:
        """Programme differences (rows, cols), one side of each cell and with `zeros` the other to 0."""
        for side, targets in enumerate((np.maximum(values, 0), np.maximum(-values, 0))):
            part = self._part(cells)[side]
            np.copyto(part, targets, where=True if zeros else targets > 0)

    def write(self, tile: int, row: int, col: int, targets: Mapping[str, int]) -> None:
        for polarity, target in targets.items():
            self._part(Region(tile, row, col, 1, 1))[int(polarity == "minus")] = target

    def programmed(self, cell: Cell) -> int:
        tile, row, col, polarity = cell
        return int(self._conducted(Region(tile, row, col, 1, 1))[int(polarity == "minus"), 0, 0])

    def columns(self, cells: Region, side: int, against: int = 0) -> list[list[int]]:
        plus, minus = self._conducted(cells)
        columns: list[list[int]] = {0: plus - minus, 1: plus, -1: minus}[side].T.tolist()
        return columns

    def _conducted(self, cells: Region) -> NDArray[np.int64]:
        part = self._part(cells).astype(np.int64)
        return np.where(part == NEVER, self.machine.unprogrammed, part)

    def _part(self, cells: Region) -> NDArray[np.int16]:
        """Return a view of plus and minus targets (2, rows, cols)."""
        if cells.tile not in self._tables:
            self._tables[cells.tile] = np.full((2, self.machine.rows, self.machine.columns), NEVER, np.int16)
        return self._tables[cells.tile][cells.window]


def _chosen(count: int, random: int, seed: int) -> list[int]:
    """Return first, last and `random` seeded others of `count` numbers, or all of them where that is as many."""
    if count <= random + 2:
        return list(range(count))
    drawn = np.random.Generator(np.random.Philox(seed)).choice(count - 2, random, replace=False) + 1
    return [0, *sorted(drawn.tolist()), count - 1]


def _chosen_vectors(source: StreamState, seed: int) -> list[int]:
    """Return a sample of a stream's vectors; of a window's also the corners and the middle of each edge."""
    chosen = set(_chosen(source.vectors, RANDOM_VECTORS, seed))
    if source.window:
        height, width = source.window.out
        rows, cols = (0, height // 2, height - 1), (0, width // 2, width - 1)
        chosen |= {y * width + x for y in rows for x in cols if source.vectors}
    return sorted(chosen)
