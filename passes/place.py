"""Placement: pack the blocks of all layers into the tiles, or say in full why they do not fit."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from cimc.diagnostics import DiagnosticError, fail
from cimc.ir.attributes import integer, ints
from cimc.ir.graph import Graph
from cimc.ir.location import names_of
from cimc.ir.nn import Computed, Layer
from cimc.ir.xbar import MvmOp
from cimc.isa.limits import PLACES_MOST
from cimc.passes.choices import require_choice
from cimc.passes.packing import ENDS, WAYS, Block, blocks_of, gains_of, pack, pack_layers, tiles_of
from cimc.passes.room import blocks_for, matrix_of
from cimc.targets import Target


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

    `pack` is 2d, all layers side by side in as few tiles as that takes, or tile: each block in a tile of its own.
    Every further copy of a layer lies in tiles of its own; a layer that shares another's blocks gets those.
    `near` adc: blocks stand side by side at the ADC's end of their tiles, largest first, stacked only where there is no
    room: each row between a block and the ADC is a wire that carries the block's whole current, so it costs IR drop.
    start: packed from the first row on, as densely as possible; what adc falls back to, turned over, where blocks do
    not fit otherwise.
    """

    name: ClassVar[str] = "place"
    target: Target
    pack: str = "2d"
    near: str = "adc"

    def __call__(self, graph: Graph) -> Graph:
        require_choice(self.name, "pack", self.pack, WAYS)
        require_choice(self.name, "near", self.near, ENDS)
        layers = [op for op in graph.operations if isinstance(op, MvmOp)]
        owners = [op for op in layers if op.shares is None]
        copies = [op.copies for op in owners]
        blocks = [list(blocks_of(op)) for op in owners]
        spots = pack_layers(blocks, copies, gains_of(owners), self.target, self.pack, self.near)
        if spots is None:
            raise self.misfit([_needed(op) for op in owners])
        first = 0
        for op, own in zip(owners, spots, strict=True):
            op.properties["blocks"] = ints(value for spot in own for value in spot)
            op.properties["first_block"] = integer(first)
            first += len(own)
        places = {op.label.data: op for op in owners}
        for op in layers:
            if op.shares is not None:
                owner = places[op.shares.data]
                op.properties |= {key: owner.properties[key] for key in ("blocks", "first_block")}
        return graph

    def misfit(self, layers: Sequence[Needed]) -> DiagnosticError:
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
        """Return how many tiles, and chips of so many, one copy of the blocks would take."""
        spots = pack(blocks, self.target, PLACES_MOST, self.pack, self.near)
        if spots is None:
            return ""
        tiles = tiles_of(spots)
        chips = "" if not self.target.tiles else f", {-(-tiles // self.target.tiles)} chips"
        return f": {tiles} tiles{chips}"

    def _tiles(self) -> str:
        return f"{self.target.tiles} tile{'' if self.target.tiles == 1 else 's'}"


def capacity(target: Target) -> int:
    """Return how many weights all tiles of a target hold."""
    return (target.tiles or PLACES_MOST) * target.rows * target.columns


def require_cells(graph: Graph, target: Target) -> None:
    """Refuse an imported graph with more weights than the target has cells, before any work is done on them.

    Weights of several layers that are equal count once here: `reuse` may let them share cells.
    """
    products = [op for op in graph.operations if isinstance(op, Layer) and not op.is_depthwise]
    layers = [_imported(op, target) for op in products]
    if sum(layer.cells for layer in layers) <= capacity(target):
        return
    distinct = {graph.weights.digest(op.weight): one.cells for op, one in zip(products, layers, strict=True)}
    if sum(distinct.values()) > capacity(target):
        raise Place(target).misfit(layers)


def _imported(op: Layer, target: Target) -> Needed:
    return Needed(_name(op), matrix_of(op, target), blocks_for(op, target))


def _needed(op: MvmOp) -> Needed:
    return Needed(_name(op), op.matrix, list(blocks_of(op)))


def _name(op: Computed) -> str:
    return ", ".join(names_of(op.location)) or str(op.label.data)
