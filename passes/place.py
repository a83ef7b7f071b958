"""Placement: pack the blocks of all layers into the tiles, or say in full why they do not fit."""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from cimc.diagnostics import CimcError, fail
from cimc.ir.attributes import int_value, int_values, integer, ints
from cimc.ir.graph import Graph
from cimc.ir.location import names_of
from cimc.ir.nn import Computed, ConvOp, DenseOp
from cimc.ir.xbar import MvmOp
from cimc.passes.quantise import is_product
from cimc.passes.split import balanced_cuts
from cimc.targets import Target

MOST_TILES = 65535
ENDS = ("adc", "start")


@dataclass(frozen=True)
class Block:
    """A rectangle to place: group, column block and row block of a layer."""

    rows: int
    cols: int


@dataclass(frozen=True)
class Needed:
    """What a layer takes: node names, (group, rows, columns) of its matrix, and its blocks."""

    name: str
    matrix: tuple[int, int, int]
    blocks: Sequence[Block]

    @property
    def cells(self) -> int:
        return math.prod(self.matrix)


@dataclass(frozen=True)
class Place:
    """Set `blocks` (tile, row, col each) and `first_block` of every xbar.mvm; a block as large as a tile is alone.

    `near` adc: blocks stand side by side at the ADC's end of their tiles, largest first, stacked only where there is no
    room: each row between a block and the ADC is a wire that carries the block's whole current, so it costs IR drop.
    start: packed from the first row on, as densely as possible; what adc falls back to, turned over, where blocks do
    not fit otherwise.
    """

    name: ClassVar[str] = "place"
    target: Target
    near: str = "adc"

    def __call__(self, graph: Graph) -> Graph:
        if self.near not in ENDS:
            raise fail("CIM0305", f"place has no end {self.near!r}", hint=f"ends: {', '.join(ENDS)}")
        layers = [op for op in graph.operations if isinstance(op, MvmOp)]
        blocks = [block for op in layers for block in blocks_of(op)]
        spots = self._pack(blocks, self.target.tiles or MOST_TILES)
        if spots is None:
            raise self.misfit([_needed(op) for op in layers])
        first = 0
        for op in layers:
            count = sum(1 for _ in blocks_of(op))
            op.properties["blocks"] = ints(value for spot in spots[first : first + count] for value in spot)
            op.properties["first_block"] = integer(first)
            first += count
        return graph

    def _pack(self, blocks: list[Block], tiles: int) -> list[tuple[int, int, int]] | None:
        """Return (tile, row, col) of every block, or None where they do not fit."""
        whole = [
            i for i, block in enumerate(blocks) if (block.rows, block.cols) == (self.target.rows, self.target.columns)
        ]
        spots = {index: (tile, 0, 0) for tile, index in enumerate(whole)}
        rest = [(block.cols, block.rows, i) for i, block in enumerate(blocks) if i not in spots]
        if len(whole) > tiles or len(blocks) > MOST_TILES:
            return None
        if rest:
            if len(whole) == tiles:
                return None
            for tile, col, row, _, height, index in self._rectangles(rest, tiles - len(whole)):
                first = self.target.rows - row - height if self.near == "adc" else row
                spots[index] = (len(whole) + tile, first, col)
        return [spots[i] for i in range(len(blocks))] if len(spots) == len(blocks) else None

    def _rectangles(
        self, rectangles: list[tuple[int, int, int]], tiles: int
    ) -> list[tuple[int, int, int, int, int, int]]:
        import rectpack

        flat = [rectpack.SkylineBlWm] if self.near == "adc" else []
        found: list[tuple[int, int, int, int, int, int]] = []
        for algorithm in (*flat, rectpack.MaxRectsBssf):
            packer = rectpack.newPacker(pack_algo=algorithm, sort_algo=rectpack.SORT_AREA, rotation=False)
            for width, height, index in rectangles:
                packer.add_rect(width, height, index)
            packer.add_bin(self.target.columns, self.target.rows, min(tiles, len(rectangles)))
            packer.pack()
            found = packer.rect_list()
            if len(found) == len(rectangles):
                break
        return found

    def misfit(self, layers: Sequence[Needed]) -> CimcError:
        """Return the error that says in full why the layers do not fit, to be raised by the caller."""
        blocks = [block for layer in layers for block in layer.blocks]
        lines = [
            f"the blocks of {len(layers)} layers do not fit target {self.target.name}",
            f"    target has {self._tiles()} of {self.target.rows} x {self.target.columns} cells"
            f" = {capacity(self.target)} cells",
            f"    model needs {sum(layer.cells for layer in layers)} cells in {len(blocks)} blocks"
            f"{self._enough(blocks)}",
        ]
        for layer in layers:
            cells, count = " x ".join(map(str, layer.matrix)), len(layer.blocks)
            lines.append(f"    {layer.name}: {cells} = {layer.cells} cells, {count} block{'' if count == 1 else 's'}")
        hint = "`--tiles auto` takes as many tiles as needed; or take a target with more or larger tiles "
        return fail("CIM0303", "\n".join(lines), hint=f"{hint}(`cimc target list`); fewer bits do not help")

    def _enough(self, blocks: list[Block]) -> str:
        """Return how many tiles, and chips of so many, the blocks would take."""
        spots = self._pack(blocks, MOST_TILES)
        if spots is None:
            return ""
        tiles = 1 + max(tile for tile, _, _ in spots)
        chips = "" if not self.target.tiles else f", {-(-tiles // self.target.tiles)} chips"
        return f": {tiles} tiles{chips}"

    def _tiles(self) -> str:
        return f"{self.target.tiles} tile{'' if self.target.tiles == 1 else 's'}"


def capacity(target: Target) -> int:
    """Return how many weights all tiles of a target hold."""
    return (target.tiles or MOST_TILES) * target.rows * target.columns


def require_cells(graph: Graph, target: Target) -> None:
    """Refuse an imported graph with more weights than the target has cells, before any work is done on them."""
    products = [op for op in graph.operations if isinstance(op, ConvOp | DenseOp) and is_product(op)]
    layers = [_imported(op, target) for op in products]
    if sum(layer.cells for layer in layers) > capacity(target):
        raise Place(target).misfit(layers)


def _imported(op: ConvOp | DenseOp, target: Target) -> Needed:
    dims = op.weight.dims
    group = int_value(op.group) if isinstance(op, ConvOp) else 1
    matrix = group, math.prod(dims[:-1]), dims[-1] // group
    blocks = _cut(group, balanced_cuts(matrix[1], target.rows), balanced_cuts(matrix[2], target.columns))
    return Needed(_name(op), matrix, list(blocks))


def _needed(op: MvmOp) -> Needed:
    return Needed(_name(op), op.matrix, list(blocks_of(op)))


def _name(op: Computed) -> str:
    return ", ".join(names_of(op.location)) or str(op.label.data)


def blocks_of(op: MvmOp) -> Iterator[Block]:
    """Yield a layer's blocks in the order group, column block, row block."""
    return _cut(op.matrix[0], int_values(op.row_cuts), int_values(op.col_cuts))


def _cut(groups: int, rows: Sequence[int], cols: Sequence[int]) -> Iterator[Block]:
    for _ in range(groups):
        for c0, c1 in itertools.pairwise(cols):
            for r0, r1 in itertools.pairwise(rows):
                yield Block(r1 - r0, c1 - c0)
