"""The arrays of the fast interpreter: devices a tile at a time, and the sums and ADC codes of a block."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cimc.backends import checks
from cimc.backends.exact import Converter, converter, exact_type, highest_code
from cimc.backends.machine import SUM_LIMIT, Gain, Machine, Region
from cimc.backends.traps import Trap

Array = NDArray[Any]
NEVER = -1


class Tile:
    """Devices [2, rows, columns], plus then minus: what each was asked for and what it became, or NEVER programmed."""

    def __init__(self, machine: Machine) -> None:
        shape = (2, machine.rows, machine.columns)
        self.target = np.full(shape, NEVER, state_type(machine))
        self.programmed = np.full(shape, NEVER, state_type(machine))
        self.version = 0

    def write(self, cells: Region, targets: Array, chosen: Array) -> None:
        """Programme the chosen devices of a region to targets [2, rows, cols]. Programming noise will enter here."""
        window = np.s_[:, cells.row : cells.row + cells.rows, cells.col : cells.col + cells.cols]
        np.copyto(self.target[window], targets, where=chosen, casting="unsafe")
        np.copyto(self.programmed[window], targets, where=chosen, casting="unsafe")
        self.version += 1


def state_type(machine: Machine) -> np.dtype[Any]:
    """Return the smallest type that holds every device value and NEVER."""
    return np.dtype(np.int16 if machine.highest_target < 1 << 15 else np.int32)


class Crossbar:
    """All tiles, blocks and gains, as the program has left them."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.tiles: dict[int, Tile] = {}
        self.blocks: dict[int, Region] = {}
        self.gains: dict[int, Gain] = {}
        self.common_gain: Gain | None = None
        self.seconds = 0
        self._products: dict[Region, tuple[int, Array, int]] = {}

    def tile(self, number: int) -> Tile:
        """Return a tile, made when it is first programmed."""
        if number not in self.tiles:
            size = 2 * 2 * self.machine.rows * self.machine.columns * state_type(self.machine).itemsize
            checks.affordable("the state of all devices", (len(self.tiles) + 1) * size)
            self.tiles[number] = Tile(self.machine)
        return self.tiles[number]

    def load_gain(self, tile: int, gain: Gain, everywhere: bool) -> None:
        """Set the ADC gain of one tile, or of every tile."""
        if everywhere:
            self.common_gain, self.gains = gain, {}
        else:
            self.machine.require_tile(tile)
            self.gains[tile] = gain

    def gain(self, tile: int) -> Gain:
        """Return the ADC gain of a tile; trap where none was loaded."""
        found = self.gains.get(tile, self.common_gain)
        if found is None:
            raise Trap("CIM0512", f"the ADCs of tile {tile} have no gain", "a `gain` instruction comes first")
        return found

    def block(self, number: int) -> Region:
        """Return a block's region; trap where none was programmed under the number."""
        if number not in self.blocks:
            raise Trap("CIM0511", f"block b{number} has not been programmed", "a `program` instruction comes first")
        return self.blocks[number]

    def programmed(self, cells: Region) -> Array:
        """Return the values [2, rows, cols] that devices were left at."""
        if cells.tile not in self.tiles:
            return np.full((2, cells.rows, cells.cols), self.machine.unprogrammed, np.int32)
        rows, columns = slice(cells.row, cells.row + cells.rows), slice(cells.col, cells.col + cells.cols)
        part = self.tiles[cells.tile].programmed[:, rows, columns].astype(np.int32)
        return np.where(part == NEVER, self.machine.unprogrammed, part)

    def conductances(self, cells: Region) -> Array:
        """Return what devices [2, rows, cols] conduct. Drift and read noise will enter here."""
        return self.programmed(cells)

    def convert(self, tile: int, total: int) -> float:
        """Return the code that the ADCs of a tile give for one array sum."""
        gain = self.gain(tile)
        if abs(total) >= SUM_LIMIT:
            raise Trap("CIM0514", f"the array sum is {total}")
        return float(converter(self.machine, gain, abs(total))(np.array(float(total)).reshape(1))[0])

    def read(self, number: int, start: int) -> "BlockRead":
        """Return how vectors are read through a block that takes elements `start` onwards of each."""
        cells = self.block(number)
        gain = self.gain(cells.tile)
        matrix, bound = self._product(cells)
        adc = converter(self.machine, gain, bound)
        rows = slice(start, start + cells.rows)
        return BlockRead(number, rows, matrix, adc, bound, highest_code(self.machine, gain, bound))

    def _product(self, cells: Region) -> tuple[Array, int]:
        """Return the differences [rows, cols] in a type exact for every input, and the bound of their sums."""
        version = self.tiles[cells.tile].version if cells.tile in self.tiles else 0
        known = self._products.get(cells)
        if known is None or known[0] != version:
            plus, minus = self.conductances(cells).astype(np.int64)
            difference = plus - minus
            bound = int(np.abs(difference).sum(axis=0).max(initial=0)) * self.machine.dac_limit
            known = (version, difference.astype(exact_type(bound)), bound)
            self._products[cells] = known
        return known[1], known[2]


@dataclass(frozen=True)
class BlockRead:
    """A block as a matrix-vector product uses it: `bound` is the largest possible |s|, `highest` the largest |code|."""

    number: int
    rows: slice
    matrix: Array
    adc: Converter
    bound: int
    highest: int

    @property
    def columns(self) -> int:
        return int(self.matrix.shape[1])

    def sums(self, vectors: Array, out: Array) -> Array:
        """Return the array sums [vectors, cols] of vectors [vectors, length]. Noise per product will enter here."""
        np.matmul(vectors[:, self.rows], self.matrix, out=out)
        if self.bound >= SUM_LIMIT and max(-out.min(initial=0), out.max(initial=0)) >= SUM_LIMIT:
            raise Trap("CIM0514", "the magnitude of an array sum reaches 2^32")
        return out

    def codes(self, sums: Array, clips: Array | None = None) -> Array:
        """Return the ADC's codes of sums, which are overwritten; `clips` [2, cols] counts what it clips."""
        if clips is None:
            return self.adc(sums)
        rounded = self.adc.rounded(sums)
        clips[0] += (rounded < self.adc.low).sum(axis=0)
        clips[1] += (rounded > self.adc.high).sum(axis=0)
        return np.clip(rounded, self.adc.low, self.adc.high, out=rounded)
