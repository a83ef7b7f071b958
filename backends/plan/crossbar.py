"""The arrays of the fast interpreter: devices a tile at a time, and the sums and ADC codes of a block."""

from collections.abc import Sequence
from copy import copy
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cimc.backends.machine import checks
from cimc.backends.machine.facts import Gain, Machine
from cimc.backends.machine.rounding import clamp
from cimc.backends.machine.traps import Trap
from cimc.backends.noise.converters import adc_errors, convert
from cimc.backends.noise.sources import Noise
from cimc.backends.plan.block_read import BlockRead, Conversion
from cimc.backends.plan.chip_devices import devices_of
from cimc.backends.plan.devices import Devices, DeviceState
from cimc.backends.plan.exact import converter, exact_type, highest_code
from cimc.backends.plan.read_noise import Address, ReadNoise, noisy_converter, read_noise
from cimc.isa.limits import SUM_LIMIT, CodeRange
from cimc.isa.phases import Phase
from cimc.isa.region import Region

Array = NDArray[Any]
NEVER = -1
Reads = dict[tuple[int, int], Array]
"""How often each column was read, by tile and first row of what was read."""


class Tile:
    """Perfect devices [2, rows, columns], plus then minus: what each was programmed to, or NEVER programmed."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.targets = np.full((2, machine.rows, machine.columns), NEVER, state_type(machine))
        self.version = 0

    def write(self, cells: Region, targets: Array, chosen: Array) -> None:
        """Programme the chosen devices of a region to targets [2, rows, cols]."""
        np.copyto(self._part(cells), targets, where=chosen, casting="unsafe")
        self.version += 1

    def programmed(self, cells: Region) -> Array:
        """Return the values [2, rows, cols] that devices were left at."""
        part = self._part(cells).astype(np.int32)
        return np.where(part == NEVER, self.machine.unprogrammed, part)

    def conductances(self, cells: Region, seconds: int, side: int = 0, against: int = 0) -> Array:
        """Return what devices [2, rows, cols] conduct at a time, however they are read."""
        return self.programmed(cells)

    def _part(self, cells: Region) -> Array:
        return self.targets[cells.window]


class NoisyTile:
    """Devices that programming, time and reading disturb."""

    def __init__(self, machine: Machine, devices: Devices) -> None:
        self.devices = devices
        self.pairs = [DeviceState.fresh(machine.rows, machine.columns, pair) for pair in range(machine.pairs)]
        self.version = 0

    def write(self, cells: Region, targets: Array, chosen: Array) -> None:
        """Programme the chosen sides of a region's cells to targets [2, rows, cols]."""
        self.devices.write(self.pairs, cells, targets, chosen)
        self.version += 1

    def programmed(self, cells: Region) -> Array:
        """Return the values [2, rows, cols] that devices were left at."""
        return self.devices.programmed(self.pairs, cells)

    def conductances(self, cells: Region, seconds: int, side: int = 0, against: int = 0) -> Array:
        """Return what devices [2, rows, cols] conduct at a time, where one side or both (0) are read.

        `against` is the side that is read against its polarity.
        """
        return self.devices.conductances(self.pairs, cells, seconds, side, against)

    def fluctuations(self, cells: Region, seconds: int, side: int) -> Array:
        """Return the spreads [n, rows, cols] of each column's devices from product to product, in fine units.

        Of devices of both sides, or where `side` is 1 or -1, of the one that is read.
        """
        sigmas = self.devices.cycle_sigmas(self.pairs, cells, seconds)
        return sigmas[int(side < 0) :: 2] if side else sigmas


def state_type(machine: Machine) -> np.dtype[Any]:
    """Return the smallest type that holds every device value and NEVER."""
    return np.dtype(np.int16 if machine.full_conductance < 1 << 15 else np.int32)


class Crossbar:
    """All tiles, blocks and gains, as the program has left them."""

    def __init__(self, machine: Machine, noise: Noise | None = None) -> None:
        self.machine = machine
        self.noise = noise
        self.devices = devices_of(machine, noise) if noise else None
        self.tiles: dict[int, Tile | NoisyTile] = {}
        self.blocks: dict[int, Region] = {}
        self.gains: dict[int, Gain] = {}
        self.common_gain: Gain | None = None
        self.seconds = noise.time_s if noise else 0
        self._products: dict[tuple[Region, int, int], tuple[tuple[int, int], Array, int]] = {}
        self.reads: Reads = {}

    def branch(self) -> "Crossbar":
        """Return the same tiles with counts of reads of their own."""
        other = copy(self)
        other.blocks, other.gains = {**self.blocks}, {**self.gains}
        other.reads = self.counts()
        return other

    def tile(self, number: int) -> Tile | NoisyTile:
        """Return a tile, made when it is first used."""
        if number not in self.tiles:
            noisy = DeviceState.bytes_each * self.machine.pairs
            device = noisy if self.devices else state_type(self.machine).itemsize
            size = 2 * self.machine.rows * self.machine.columns * device
            checks.affordable("the state of all devices", (len(self.tiles) + 1) * size)
            self.tiles[number] = NoisyTile(self.machine, self.devices) if self.devices else Tile(self.machine)
        return self.tiles[number]

    @property
    def noisy_tiles(self) -> dict[int, NoisyTile]:
        """The tiles in use whose devices are simulated, in order of their numbers."""
        return {number: tile for number, tile in sorted(self.tiles.items()) if isinstance(tile, NoisyTile)}

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
        return self.tile(cells.tile).programmed(cells)

    def selftest(self, tile: int, column: int, total: int) -> int:
        """Return the code that a column's ADC gives for a known sum, noise of single products apart."""
        return clamp(self.unclipped_selftest(tile, column, total), *self.machine.adc_range)

    def unclipped_selftest(self, tile: int, column: int, total: int) -> int:
        """Return the same code before it is clipped."""
        gain = self.gain(tile)
        if abs(total) >= SUM_LIMIT:
            raise Trap("CIM0514", f"the array sum is {total}")
        if self.noise and noisy_converter(self.machine, self.noise, gain, Region(tile, 0, column, 1, 1)):
            return convert(self.machine, gain, total, adc_errors(self.machine, self.noise, tile, column))
        return int(converter(self.machine, gain, abs(total)).rounded(np.array(float(total)).reshape(1))[0])

    def read(self, number: int, start: int, phases: Sequence[Phase]) -> BlockRead:
        """Return how vectors are read through a block that takes elements `start` onwards of each."""
        cells = self.block(number)
        occurrence = self._occurrence(cells)
        conversions = tuple(self._conversion(cells, phase, occurrence) for phase in phases)
        return BlockRead(number, slice(start, start + cells.rows), conversions)

    def _conversion(self, cells: Region, phase: Phase, occurrence: int) -> Conversion:
        gain = self.gain(cells.tile)
        apart = self.noise is not None and self.noise.has("polarity") and not phase.side
        matrix, bound = self._product(cells, phase.side, -(phase.inputs or 1) if apart else 0)
        negative = None
        if apart and not phase.inputs:
            negative, other = self._product(cells, 0, 1)
            bound += other  # some rows of a column may meet one matrix, some the other
            matrix, negative = matrix.astype(exact_type(bound)), negative.astype(exact_type(bound))
        noise = self._read_noise(cells, gain, phase, occurrence)
        if noise and noise.fluctuations:
            bound += noise.peak
            matrix = matrix.astype(exact_type(bound))
        adc = converter(self.machine, gain, bound)
        if noise:
            return Conversion(phase, matrix, adc, bound, self.machine.adc_range, noise, negative)
        highest = highest_code(self.machine, gain, bound)
        return Conversion(phase, matrix, adc, bound, CodeRange(0 if phase.side else -highest, highest), None, negative)

    def _read_noise(self, cells: Region, gain: Gain, phase: Phase, occurrence: int) -> ReadNoise | None:
        """Return the noise of the next products of a region, None where each product is exact."""
        tile = self.tile(cells.tile)
        if not self.noise or not isinstance(tile, NoisyTile):
            return None
        sigmas = partial(tile.fluctuations, cells, self.seconds, phase.side)
        address = Address.of(self.noise, cells, occurrence, phase.number)
        return read_noise(self.machine, self.noise, gain, cells, address, sigmas)

    def _occurrence(self, cells: Region) -> int:
        """Return how often the busiest of a region's columns was read from the same first row, and count this read."""
        part = self._counts(self.reads, cells)
        occurrence = int(part.max(initial=0))
        part[...] = occurrence + 1
        return occurrence

    def counts(self) -> Reads:
        """Return a copy of the counts of reads."""
        return {place: counts.copy() for place, counts in self.reads.items()}

    def is_even(self, cells: Region, before: Reads, behind: Reads) -> bool:
        """Return whether the counts of a region's columns grew alike between two counts.

        An occurrence is the largest of some counts, which all become one more. Where the counts of every region read
        grew alike in a turn, they do so in each further one: what is added to all adds to the largest.
        """
        grown: Array = self._counts(behind, cells) - self._counts(before, cells)
        return bool((grown == grown[0]).all())

    def skip(self, turns: int, before: Reads) -> None:
        """Count the reads of so many turns like the last, which began with these counts."""
        for place, counts in self.reads.items():
            counts += turns * (counts - before[place])

    def _counts(self, reads: Reads, cells: Region) -> Array:
        """Return the counts of a region's columns, which may be written to."""
        counts = reads.setdefault((cells.tile, cells.row), np.zeros(self.machine.columns, np.int64))
        return counts[cells.col : cells.col + cells.cols]

    def _product(self, cells: Region, side: int, against: int) -> tuple[Array, int]:
        """Return what is read [rows, cols] in a type exact for every input, and the bound of its sums.

        The differences of plus and minus, or where `side` is 1 or -1 what that side conducts; where `against` is, that
        side is read against its polarity.
        """
        tile = self.tile(cells.tile)
        version = (tile.version, self.seconds)
        known = self._products.get((cells, side, against))
        if known is None or known[0] != version:
            plus, minus = tile.conductances(cells, self.seconds, side, against).astype(np.int64)
            read = {0: plus - minus, 1: plus, -1: minus}[side]
            bound = int(np.abs(read).sum(axis=0).max(initial=0)) * self.machine.dac_range.magnitude
            known = (version, read.astype(exact_type(bound)), bound)
            self._products[cells, side, against] = known
        return known[1], known[2]
