"""Arrays of the reference interpreter: devices, blocks, gains and converters."""

from collections.abc import Sequence
from dataclasses import dataclass

from cimc.backends.machine import FACTOR_HIGHEST, SUM_LIMIT, Gain, Machine, Region
from cimc.backends.rounding import clamp, half_even
from cimc.backends.traps import Trap
from cimc.isa.table import FACTOR_ONE

Cell = tuple[int, int, int, str]


@dataclass
class Device:
    """One analog device: what it was asked for, and what it became."""

    target: int
    programmed: int


@dataclass
class Block:
    """A named region and the digital drift factor of each of its columns."""

    cells: Region
    factors: list[int]


class Array:
    """All tiles of the machine. A device that is not in `devices` was never programmed."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.devices: dict[Cell, Device] = {}
        self.blocks: dict[int, Block] = {}
        self.gains: dict[int, Gain] = {}
        self.common_gain: Gain | None = None
        self.seconds = 0

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

    def define(self, number: int, cells: Region) -> None:
        """Let a block number name a region, all drift factors 1."""
        self.blocks[number] = Block(cells, [FACTOR_ONE] * cells.cols)

    def block(self, number: int) -> Block:
        """Return a block; trap where none was programmed under the number."""
        if number not in self.blocks:
            raise Trap("CIM0511", f"block b{number} has not been programmed", "a `program` instruction comes first")
        return self.blocks[number]

    def write(self, cell: Cell, target: int) -> None:
        """Programme one device. Programming noise will enter here."""
        self.devices[cell] = Device(target, target)

    def programmed(self, cell: Cell) -> int:
        """Return the value that a device was left at."""
        device = self.devices.get(cell)
        return self.machine.unprogrammed if device is None else device.programmed

    def conductance(self, cell: Cell) -> int:
        """Return what a device conducts. Drift and read noise will enter here."""
        return self.programmed(cell)

    def columns(self, cells: Region) -> list[list[int]]:
        """Return, per column of a region, the differences of plus and minus conductances row by row."""
        return [[self._difference(cells, i, j) for i in range(cells.rows)] for j in range(cells.cols)]

    def _difference(self, cells: Region, i: int, j: int) -> int:
        tile, row, col = cells.tile, cells.row + i, cells.col + j
        return self.conductance((tile, row, col, "plus")) - self.conductance((tile, row, col, "minus"))

    def convert(self, total: int, gain: Gain) -> int:
        """Return the ADC's code for an array sum. Further read phases would each come here with a sum of their own."""
        if abs(total) >= SUM_LIMIT:
            raise Trap("CIM0514", f"the array sum is {total}")
        scaled, unit = total * gain.multiplier, 1 << gain.divide
        code = scaled // unit if self.machine.adc_rounding == "floor" else half_even(scaled, unit)
        return clamp(code, self.machine.adc_low, self.machine.adc_high)

    def require_inputs(self, vectors: Sequence[Sequence[int]]) -> None:
        """Trap unless every element is a code of the DAC."""
        limit = self.machine.dac_limit
        for vector in vectors:
            for x in vector:
                if abs(x) > limit:
                    raise Trap("CIM0513", f"the input {x} is streamed to the array, the DAC takes {-limit} to {limit}")

    def codes(self, vectors: Sequence[Sequence[int]], blocks: Sequence[Block]) -> list[list[list[int]]]:
        """Return the ADC codes of each vector, block and column; the blocks share the elements of a vector in order."""
        conductances = [self.columns(block.cells) for block in blocks]
        gains = [self.gain(block.cells.tile) for block in blocks]
        result = []
        for vector in vectors:
            start, codes = 0, []
            for block, columns, gain in zip(blocks, conductances, gains, strict=True):
                part = vector[start : start + block.cells.rows]
                codes.append(
                    [self.convert(sum(x * g for x, g in zip(part, column, strict=True)), gain) for column in columns]
                )
                start += block.cells.rows
            result.append(codes)
        return result


def drift_factor(reference: int, total: int) -> int:
    """Return the factor that makes up for a sum of |code| that has drifted from its reference."""
    return clamp(half_even(reference * FACTOR_ONE, total), 1, FACTOR_HIGHEST) if total else FACTOR_ONE
