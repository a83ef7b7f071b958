"""Replication: copies of the layers that take longest in tiles that are free, each copy for a part of the vectors."""

from dataclasses import dataclass
from typing import ClassVar

from cimc.diagnostics import fail
from cimc.ir.attributes import integer
from cimc.ir.graph import Graph
from cimc.ir.xbar import MvmOp
from cimc.isa.limits import PLACES_MOST
from cimc.passes.costs import array_cost, lines_of, longest_part, vectors_of
from cimc.passes.packing import Block, blocks_of, gains_of, pack, pack_layers, tiles_of
from cimc.targets import Target

FREE = -1
"""What the option `tiles` says for all that are free."""


@dataclass(frozen=True)
class Replicate:
    """Set `replicas` of every xbar.mvm, so that the copies take at most `tiles` more tiles: 0 none, -1 all free ones.

    Each step gives more copies to the layer that gains most time for each tile it then takes. No bit changes.
    """

    name: ClassVar[str] = "replicate"
    target: Target
    tiles: int = 0

    def __call__(self, graph: Graph) -> Graph:
        if self.tiles:
            self._replicate([op for op in graph.operations if isinstance(op, MvmOp) and op.shares is None])
        return graph

    def _replicate(self, layers: list[MvmOp]) -> None:
        shapes = [list(blocks_of(op)) for op in layers]
        copies = [1] * len(layers)
        first = self._used(layers, shapes, copies)
        most = first + (self._free(first) if first else 0)
        # A step counts whole tiles for a copy; copies of several layers then share tiles, so some are free again.
        while self._step(layers, shapes, copies, most - self._used(layers, shapes, copies)):
            pass
        for op, count in zip(layers, copies, strict=True):
            if count > 1:
                op.properties["replicas"] = integer(count)

    def _step(self, layers: list[MvmOp], shapes: list[list[Block]], copies: list[int], left: int) -> bool:
        """Add copies, each in tiles of its own, while they pay and `left` tiles hold them; return whether any was."""
        own = [pack(blocks, self.target, PLACES_MOST) or [] for blocks in shapes]
        sizes, added = [tiles_of(spots) for spots in own], False

        def time(index: int, count: int) -> float:
            placed = [(tile, block) for (tile, _, _), block in zip(own[index], shapes[index], strict=True)]
            longest = longest_part(layers[index], count)
            return array_cost(self.target, placed, vectors_of(layers[index]), longest).time_ns

        def gain(index: int) -> float:
            tiles = (wanted[index] - copies[index]) * sizes[index]
            return (time(index, copies[index]) - time(index, wanted[index])) / tiles

        while True:
            wanted = [_next(lines_of(op), count) for op, count in zip(layers, copies, strict=True)]
            fitting = [n for n, more in enumerate(wanted) if 0 < (more - copies[n]) * sizes[n] <= left]
            best = max(fitting, key=gain, default=None)
            if best is None or gain(best) <= 0.0:
                return added
            left -= (wanted[best] - copies[best]) * sizes[best]
            copies[best] = wanted[best]
            added = True

    def _used(self, layers: list[MvmOp], shapes: list[list[Block]], copies: list[int]) -> int:
        """Return the tiles that the layers and their copies take, 0 where they do not fit."""
        spots = pack_layers(shapes, copies, gains_of(layers), self.target) or []
        return tiles_of([spot for own in spots for spot in own])

    def _free(self, used: int) -> int:
        if self.target.tiles is not None:
            free = self.target.tiles - used
            return free if self.tiles == FREE else min(self.tiles, free)
        if self.tiles == FREE:
            raise fail(
                "CIM0305",
                "replicate{tiles=-1} takes all free tiles, and there is no end of tiles",
                hint="say how many tiles the copies may take, or give --tiles N",
            )
        return self.tiles


def _next(lines: int, copies: int) -> int:
    """Return the next larger number of copies with which the busiest has fewer lines, or the same number."""
    most = -(-lines // copies)
    return copies if most <= 1 else -(-lines // (most - 1))
