"""A rectangle of cells in one tile: what `program` and `pattern` write, and what a block number names."""

from types import EllipsisType
from typing import NamedTuple

from cimc.isa.program import Instruction


class Region(NamedTuple):
    """The cells row..row + rows - 1, col..col + cols - 1 of a tile, each a plus and a minus side."""

    tile: int
    row: int
    col: int
    rows: int
    cols: int

    @property
    def window(self) -> tuple[EllipsisType, slice, slice]:
        """The index of these cells in arrays [..., rows, columns] of their tile."""
        return ..., slice(self.row, self.row + self.rows), slice(self.col, self.col + self.cols)

    def overlaps(self, other: "Region") -> bool:
        """Return whether both share a cell."""
        rows = self.row < other.row + other.rows and other.row < self.row + self.rows
        cols = self.col < other.col + other.cols and other.col < self.col + self.cols
        return self.tile == other.tile and rows and cols


def region(instruction: Instruction) -> Region:
    """Return the region that a `program` or `pattern` instruction names."""
    return Region(*(instruction[name] for name in Region._fields))


def blocks_streamed(one: Instruction) -> range:
    """Return the numbers of the blocks that an instruction streams vectors through, none for any other."""
    if not one.spec.streams_blocks:
        return range(0)
    return range(one["block"], one["block"] + (one["blocks"] if "blocks" in one.spec.places else 1))
