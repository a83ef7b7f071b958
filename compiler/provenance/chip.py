"""The devices of one noisy chip behind a program: what programming has left, and what they conduct at a time."""

import numpy as np
from numpy.typing import NDArray

from cimc.backends.machine.facts import machine
from cimc.backends.noise.sources import Noise
from cimc.backends.plan.walk import Walk
from cimc.isa.program import Program

BOTH = 0
"""Both sides of a pair carry current at once."""


class Chip:
    """A program's arrays at its end, on the chip that a noise draws. Raises Trap and Refusal as runs do."""

    def __init__(self, program: Program, noise: Noise) -> None:
        walk = Walk(program, machine(program.meta), noise)
        walk.to(None)
        self._crossbar = walk.state.crossbar
        self._blocks: dict[int, tuple[NDArray[np.int32], NDArray[np.int32]]] = {}

    def cell(self, block: int, row: int, col: int) -> tuple[tuple[int, int], tuple[int, int]]:
        """Return (plus, minus) as programmed and as conducted of a cell of a block, by its place in the tile."""
        cells = self._crossbar.block(block)
        if block not in self._blocks:
            tile = self._crossbar.tile(cells.tile)
            present = tile.conductances(cells, self._crossbar.seconds, BOTH)
            self._blocks[block] = (tile.programmed(cells), present)
        programmed, present = (both[:, row - cells.row, col - cells.col] for both in self._blocks[block])
        return (int(programmed[0]), int(programmed[1])), (int(present[0]), int(present[1]))
