"""What the cells of blocks hold, without noise: as the last instruction that wrote each of them left it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cimc.backends.machine import checks
from cimc.backends.machine.facts import Machine
from cimc.isa.conductances import targets
from cimc.isa.program import Instruction
from cimc.isa.region import Region, region

Array = NDArray[np.int64]

LEFT = -1
"""In place of a target: the device stays as it was."""


@dataclass(frozen=True)
class Held:
    """What the cells of a block hold, without noise."""

    programmed: int
    """Cells that are programmed: all, or those with a target alone where zeros are skipped."""
    programmed_rows: int
    """Rows in which any cell is."""
    rows: Array
    """G+ + G- of each row: targets, and what devices conduct that are never programmed."""


class Cells:
    """The cells that instructions have written so far; a device that none has written is not programmed."""

    def __init__(self, conductances: bytes, machine: Machine) -> None:
        self.conductances, self.machine = conductances, machine
        self.writes: dict[int, list[Instruction]] = {}

    def write(self, i: Instruction) -> bool:
        """Let a `program` or `pattern` instruction write its region; return whether it was written before in part."""
        before = self.writes.setdefault(i["tile"], [])
        again = any(region(i).overlaps(region(other)) for other in before)
        before.append(i)
        return again

    def programmed(self, i: Instruction) -> Held:
        """Return what a `program` instruction that has just written leaves in its block. Raises Trap CIM0501."""
        start, size = i["data"], 2 * i["rows"] * i["cols"]
        checks.inside(start, start + size, len(self.conductances), "the conductance section")
        chosen = targets(self.conductances, i)
        if i.choice("zeros") == "skip":
            chosen = chosen != 0
            return Held(int(chosen.sum()), int(chosen.any(axis=1).sum()), self.conducted(region(i)))
        return Held(chosen.size, len(chosen), self.conducted(region(i)))

    def conducted(self, cells: Region) -> Array:
        """Return G+ + G- of each row of a region [rows]."""
        written_by = self._since_the_whole(cells)
        if len(written_by) == 1 and written_by[0].name == "program" and not self._keeps(cells, written_by[0]):
            rows: Array = np.abs(targets(self.conductances, written_by[0]).astype(np.int32)).sum(axis=1, dtype=np.int64)
            return rows
        values = np.full((2, cells.rows, cells.cols), self.machine.unprogrammed, np.int32)
        for i in written_by:
            inside, of = _shared(cells, region(i))
            written = self._targets(i)[of]
            values[inside] = np.where(written == LEFT, values[inside], written)
        summed: Array = values.sum(axis=(0, 2), dtype=np.int64)
        return summed

    def _since_the_whole(self, cells: Region) -> list[Instruction]:
        """Return what has written into a region, from the last instruction on that wrote all of it."""
        found: list[Instruction] = []
        for i in self.writes.get(cells.tile, ()):
            if cells.overlaps(region(i)):
                found = [*found, i] if self._keeps(cells, i) else [i]
        return found

    def _keeps(self, cells: Region, i: Instruction) -> bool:
        """Return whether an instruction may leave devices of a region as they were."""
        return region(i) != cells or _skips(i)

    def _targets(self, i: Instruction) -> NDArray[np.int32]:
        """Return what an instruction writes to the plus and the minus devices of its region [2, rows, cols]."""
        if i.name == "pattern":
            sides = np.array([i["plus"], i["minus"]], np.int32)
            return np.broadcast_to(sides[:, None, None], (2, i["rows"], i["cols"]))
        differences = targets(self.conductances, i).astype(np.int32)
        written = np.maximum(np.stack([differences, -differences]), 0)
        return np.where(written == 0, LEFT, written) if _skips(i) else written


def _skips(i: Instruction) -> bool:
    return i.name == "program" and i.choice("zeros") == "skip"


Window = tuple[slice, slice, slice]


def _shared(cells: Region, other: Region) -> tuple[Window, Window]:
    """Return the places of the cells that two regions share: in the one, and in the other."""
    top, left = max(cells.row, other.row), max(cells.col, other.col)
    bottom = min(cells.row + cells.rows, other.row + other.rows)
    right = min(cells.col + cells.cols, other.col + other.cols)
    first, second = (
        (slice(None), slice(top - one.row, bottom - one.row), slice(left - one.col, right - one.col))
        for one in (cells, other)
    )
    return first, second
