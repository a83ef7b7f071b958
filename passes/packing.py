"""Packing: rectangles into tiles, by one of the ways `place` offers."""

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise

from cimc.ir.attributes import int_values
from cimc.ir.xbar import MvmOp
from cimc.isa.limits import PLACES_MOST
from cimc.targets import Target

WAYS = ("2d", "tile")
"""Blocks of all layers side by side in two dimensions, or each block in a tile of its own."""

ENDS = ("adc", "start")
"""The rows of a tile that blocks lie at: those next to the ADCs, or the first."""

Spot = tuple[int, int, int]
"""Tile, first row, first column."""


@dataclass(frozen=True)
class Block:
    """A rectangle to place: group, column block and row block of a layer."""

    rows: int
    cols: int


def blocks_of(op: MvmOp) -> Iterator[Block]:
    """Yield the blocks of one copy of a layer in the order group, column block, row block."""
    return blocks_in(op.matrix[0], int_values(op.row_cuts), int_values(op.col_cuts))


def gains_of(layers: Sequence[MvmOp]) -> list[Hashable]:
    """Return the ADC gain of each layer: only layers of equal ones can share tiles."""
    return [(op.adc_multiplier, op.adc_shift) for op in layers]


def blocks_in(groups: int, rows: Sequence[int], cols: Sequence[int]) -> Iterator[Block]:
    """Yield the blocks between row cuts and column cuts of each group, in the same order."""
    for _ in range(groups):
        for c0, c1 in pairwise(cols):
            for r0, r1 in pairwise(rows):
                yield Block(r1 - r0, c1 - c0)


def pack(blocks: Sequence[Block], target: Target, tiles: int, way: str = "2d", near: str = "adc") -> list[Spot] | None:
    """Return where every block lies in tiles of the target, or None where `tiles` of them do not hold all."""
    if len(blocks) > PLACES_MOST:
        return None
    if way == "tile":
        rows = [target.rows - block.rows if near == "adc" else 0 for block in blocks]
        return [(tile, row, 0) for tile, row in enumerate(rows)] if len(blocks) <= tiles else None
    whole = [i for i, block in enumerate(blocks) if (block.rows, block.cols) == (target.rows, target.columns)]
    spots = {index: (tile, 0, 0) for tile, index in enumerate(whole)}
    rest = [(block.cols, block.rows, i) for i, block in enumerate(blocks) if i not in spots]
    if len(whole) > tiles or (rest and len(whole) == tiles):
        return None
    if rest:
        for tile, col, row, _, height, index in _rectangles(rest, target, tiles - len(whole), near):
            first = target.rows - row - height if near == "adc" else row
            spots[index] = (len(whole) + tile, first, col)
    return [spots[i] for i in range(len(blocks))] if len(spots) == len(blocks) else None


def pack_layers(
    layers: Sequence[Sequence[Block]],
    copies: Sequence[int],
    gains: Sequence[Hashable],
    target: Target,
    way: str = "2d",
    near: str = "adc",
) -> list[list[Spot]] | None:
    """Return where each layer's blocks lie, copy by copy, or None where the target does not hold them.

    Only layers of equal ADC gains share tiles.
    """
    found: list[list[Spot]] = [[] for _ in layers]
    used = 0
    for copy in range(max(copies, default=0)):
        # Copies of one layer must work at once: none may lie in a tile of another.
        for gain in dict.fromkeys(gains):
            chosen = [index for index, count in enumerate(copies) if count > copy and gains[index] == gain]
            blocks = [block for index in chosen for block in layers[index]]
            spots = pack(blocks, target, (target.tiles or PLACES_MOST) - used, way, near)
            if spots is None:
                return None
            rest = iter(spots)
            for index in chosen:
                found[index] += [(used + tile, row, col) for tile, row, col in islice(rest, len(layers[index]))]
            used += tiles_of(spots)
    return found


def tiles_of(spots: Sequence[Spot]) -> int:
    """Return how many tiles a packing takes."""
    return 1 + max((tile for tile, _, _ in spots), default=-1)


def _rectangles(
    rectangles: list[tuple[int, int, int]], target: Target, tiles: int, near: str
) -> list[tuple[int, int, int, int, int, int]]:
    import rectpack

    flat = [rectpack.SkylineBlWm] if near == "adc" else []
    found: list[tuple[int, int, int, int, int, int]] = []
    for algorithm in (*flat, rectpack.MaxRectsBssf):
        packer = rectpack.newPacker(pack_algo=algorithm, sort_algo=rectpack.SORT_AREA, rotation=False)
        for width, height, index in rectangles:
            packer.add_rect(width, height, index)
        packer.add_bin(target.columns, target.rows, min(tiles, len(rectangles)))
        packer.pack()
        found = packer.rect_list()
        if len(found) == len(rectangles):
            break
    return found
