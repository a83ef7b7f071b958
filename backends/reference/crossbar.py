"""The arrays of the reference interpreter: devices, blocks, gains and converters."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from operator import mul

from cimc.backends.machine.facts import Gain, Machine
from cimc.backends.machine.rounding import clamp, half_even
from cimc.backends.machine.traps import Trap
from cimc.backends.noise import draws
from cimc.backends.noise.converters import AdcErrors, adc_errors, convert, imperfect, require_convertible
from cimc.backends.noise.draws import stream_of
from cimc.backends.noise.fixed_point import FINE_BITS
from cimc.backends.noise.sources import Noise
from cimc.backends.noise.wires import wires
from cimc.backends.reference.chip_devices import devices_of
from cimc.backends.reference.devices import Cell, Device, Devices, Place
from cimc.backends.reference.read_noise import Address, ReadNoise, read_noise
from cimc.backends.reference.wires import attenuated
from cimc.isa.limits import FACTOR_HIGHEST, SUM_LIMIT
from cimc.isa.phases import Phase
from cimc.isa.region import Region
from cimc.isa.table import FACTOR_ONE

PERFECT = AdcErrors()


@dataclass
class ProgrammedBlock:
    """A named region and the digital drift factor of each of its columns."""

    cells: Region
    factors: list[int]


class Crossbar:
    """All tiles of the machine. A device that is not in `devices` was never programmed."""

    def __init__(self, machine: Machine, noise: Noise | None = None) -> None:
        self.machine = machine
        self.noise = noise
        self.laws = devices_of(machine, noise) if noise else None
        self.devices: dict[Place, Device] = {}
        self.reads: dict[tuple[int, int, int], int] = {}
        self.blocks: dict[int, ProgrammedBlock] = {}
        self.gains: dict[int, Gain] = {}
        self.common_gain: Gain | None = None
        self.seconds = noise.time_s if noise else 0
        self.sample = noise.sample_offset if noise else 0

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
        self.blocks[number] = ProgrammedBlock(cells, [FACTOR_ONE] * cells.cols)

    def block(self, number: int) -> ProgrammedBlock:
        """Return a block; trap where none was programmed under the number."""
        if number not in self.blocks:
            raise Trap("CIM0511", f"block b{number} has not been programmed", "a `program` instruction comes first")
        return self.blocks[number]

    def write(self, tile: int, row: int, col: int, targets: Mapping[str, int]) -> None:
        """Programme those sides of a cell that have a target."""
        sides = {(tile, row, col, polarity): target for polarity, target in targets.items()}
        if self.laws and self.machine.second_pair == "rest":
            self._write_rest(self.laws, (tile, row, col), sides)
            return
        for cell, target in sides.items():
            if not self.laws:
                self.devices[*cell, 0] = Device(target, target << FINE_BITS, 0, 1)
                continue
            for place, before in self._pairs(cell).items():
                self.devices[place] = self.laws.program(place, target, before)

    def _write_rest(self, laws: Devices, at: tuple[int, int, int], sides: Mapping[Cell, int]) -> None:
        """Programme the first pair, read it, and give the second pair what is missing."""
        rests, errors = dict.fromkeys(draws.POLARITIES, 0), dict.fromkeys(draws.POLARITIES, 0)
        for cell, target in sides.items():
            place, polarity = (*cell, 0), cell[-1]
            self.devices[place] = laws.program(place, laws.first(target), self.devices.get(place))
            rests[polarity], errors[polarity] = laws.rest(target), laws.error(place, self.devices[place])
        for polarity, target in laws.rests(rests, errors).items():
            place = (*at, polarity, 1)
            if target or (*at, polarity) in sides:
                self.devices[place] = laws.program(place, target, self.devices.get(place))

    def _pairs(self, cell: Cell) -> dict[Place, Device | None]:
        """Return the devices of one side of a cell, one of each pair."""
        return {(*cell, pair): self.devices.get((*cell, pair)) for pair in range(self.machine.pairs)}

    def programmed(self, cell: Cell) -> int:
        """Return the value that one side of a cell was left at."""
        if self.laws:
            return self.laws.programmed(self._pairs(cell))
        device = self.devices.get((*cell, 0))
        return self.machine.unprogrammed if device is None else device.target

    def fluctuations(self, cells: Region, side: int) -> list[list[list[int]]]:
        """Return, per column and row of a region, the spreads of a cell's devices from product to product.

        Of devices of both sides, or where `side` is 1 or -1, of the one that is read.
        """
        columns, rows = range(cells.col, cells.col + cells.cols), range(cells.row, cells.row + cells.rows)
        return [[self._fluctuations((cells.tile, row, col), side) for row in rows] for col in columns]

    def _fluctuations(self, at: tuple[int, int, int], side: int) -> list[int]:
        assert self.laws
        read = {0: draws.POLARITIES, 1: ("plus",), -1: ("minus",)}[side]
        sides = [self._pairs((*at, polarity)) for polarity in read]
        return [sigma for pairs in sides for sigma in self.laws.cycle_sigmas(pairs, self.seconds)]

    def columns(self, cells: Region, side: int, against: int = 0) -> list[list[int]]:
        """Return, per column of a region and row by row, the differences of plus and minus conductances.

        Where `side` is 1 or -1: the conductances of that side. Where `against` is, that side is read against its
        polarity.
        """
        lines = self._lines(cells, side, against)
        if side:
            return [[row[2 * j + (side < 0)] for row in lines] for j in range(cells.cols)]
        return [[row[2 * j] - row[2 * j + 1] for row in lines] for j in range(cells.cols)]

    def polarised(self, phase: Phase) -> dict[int, int]:
        """Return the signs of inputs whose products a phase adds up apart, and the side each reads against polarity.

        0 stands for inputs of all signs, and for no side.
        """
        if phase.side or not (self.noise and self.noise.has("polarity")):
            return {phase.inputs: 0}
        return {sign: -sign for sign in (1, -1) if phase.inputs in (0, sign)}

    def _lines(self, cells: Region, side: int, against: int) -> list[list[int]]:
        """Return what a region conducts at the present time, row by row: plus and minus of each column in turn."""
        columns = range(cells.col, cells.col + cells.cols)
        places = [
            [(cells.tile, row, col, polarity) for col in columns for polarity in draws.POLARITIES]
            for row in range(cells.row, cells.row + cells.rows)
        ]
        if not self.laws:
            return [[self.programmed(cell) for cell in row] for row in places]
        reversed_ = {0: "", 1: "plus", -1: "minus"}[against]
        fine = [[self.laws.fine(self._pairs(at), self.seconds, at[-1] == reversed_) for at in row] for row in places]
        if self.laws.noise.has("ir_drop"):
            fine = attenuated(wires(self.laws.noise.profile, self.machine), self.machine, cells, fine, side)
        return [[self.laws.code(value, cells.tile, cells.row + i) for value in row] for i, row in enumerate(fine)]

    def convert(self, total: int, gain: Gain, errors: AdcErrors = PERFECT, output: int = 0) -> int:
        """Return the ADC's code for an array sum before it is clipped."""
        require_sum(total)
        if imperfect(self.noise):
            return convert(self.machine, gain, total, errors, output)
        product, unit = total * gain.multiplier, 1 << gain.divide
        return product // unit if self.machine.adc_rounding == "floor" else half_even(product, unit)

    def selftest(self, tile: int, column: int, total: int) -> int:
        """Return the code that a column's ADC gives for a known sum, noise of single products apart."""
        gain, errors = self.gain(tile), PERFECT
        if self.noise:
            if abs(total) < SUM_LIMIT:
                require_convertible(self.machine, self.noise, gain)
            errors = adc_errors(self.machine, self.noise, tile, column)
        return clamp(self.convert(total, gain, errors), *self.machine.adc_range)

    def require_inputs(self, vectors: Sequence[Sequence[int]]) -> None:
        """Trap unless every element is a code of the DAC."""
        low, high = self.machine.dac_range
        for vector in vectors:
            for x in vector:
                if not low <= x <= high:
                    raise Trap("CIM0513", f"the input {x} is streamed to the array, the DAC takes {low} to {high}")

    def read(
        self,
        vectors: Sequence[Sequence[int]],
        blocks: Sequence[ProgrammedBlock],
        phases: Sequence[Phase],
        calibrating: bool = False,
    ) -> list["BlockRead"]:
        """Stream vectors through blocks, which share the elements of each in order, and return what each has read.

        A chip is calibrated once: the noise of calibrating products is that of sample 0, whatever sample follows.
        What noise cannot model is refused before any element is looked at.
        """
        reads = [BlockRead(self, block.cells, phases, 0 if calibrating else self.sample) for block in blocks]
        self.require_inputs(vectors)
        for position, vector in enumerate(vectors):
            start = 0
            for read in reads:
                read.take(vector[start : start + read.cells.rows], position)
                start += read.cells.rows
        return reads

    def occurrence(self, cells: Region) -> int:
        """Return how often the busiest of a region's columns was read from the same first row, and count this read."""
        columns = [(cells.tile, cells.row, column) for column in range(cells.col, cells.col + cells.cols)]
        occurrence = max((self.reads.get(column, 0) for column in columns), default=0)
        self.reads.update(dict.fromkeys(columns, occurrence + 1))
        return occurrence


class BlockRead:
    """A block while vectors stream through it, phase by phase; `inputs` [vectors][rows] are what it has read."""

    def __init__(self, crossbar: Crossbar, cells: Region, phases: Sequence[Phase], sample: int) -> None:
        self.cells = cells
        self.inputs: list[Sequence[int]] = []
        noise, address = crossbar.noise, None
        if noise:
            address = Address(noise.seed, stream_of(cells), sample, crossbar.occurrence(cells), cells.col)
        self.conversions = [Conversion(crossbar, cells, phase, address) for phase in phases]

    @property
    def codes(self) -> list[list[int]]:
        """The codes of the products [vectors][cols], joined of those of their phases."""
        signed = [[[each.phase.sign * code for code in codes] for codes in each.codes] for each in self.conversions]
        return [[sum(parts) for parts in zip(*vector, strict=True)] for vector in zip(*signed, strict=True)]

    def take(self, part: Sequence[int], position: int) -> None:
        """Read every column with its part of a vector."""
        self.inputs.append(part)
        for conversion in self.conversions:
            conversion.take(part, position)


class Conversion:
    """One read phase of a block: its columns, its gain, and what disturbs each product.

    `sums` and `unclipped` [vectors][cols] are what it has read: the array sums with their noise, and the ADC's codes of
    them before they are clipped.
    """

    def __init__(self, crossbar: Crossbar, cells: Region, phase: Phase, address: Address | None) -> None:
        self.crossbar = crossbar
        self.phase = phase
        polarised = crossbar.polarised(phase)
        self.columns = {sign: crossbar.columns(cells, phase.side, against) for sign, against in polarised.items()}
        self.cols = cells.cols
        self.sums: list[list[int]] = []
        self.unclipped: list[list[int]] = []
        self.gain = crossbar.gain(cells.tile)
        self.noise: ReadNoise | None = None
        if crossbar.noise and address:
            place = replace(address, phase=phase.number)
            sigmas = partial(crossbar.fluctuations, cells, phase.side)
            self.noise = read_noise(crossbar.machine, crossbar.noise, self.gain, cells, place, sigmas)

    @property
    def codes(self) -> list[list[int]]:
        """The ADC's codes [vectors][cols]."""
        return [[clamp(code, *self.crossbar.machine.adc_range) for code in codes] for codes in self.unclipped]

    def take(self, part: Sequence[int], position: int) -> None:
        """Read every column with those inputs that the phase reads."""
        inputs = [max(self.phase.inputs * x, 0) for x in part] if self.phase.inputs else part
        read = [self._converted(inputs, position, j) for j in range(self.cols)]
        self.sums.append([total for total, _ in read])
        self.unclipped.append([code for _, code in read])

    def _apart(self, inputs: Sequence[int]) -> dict[int, Sequence[int]]:
        """Return the inputs by the signs that are added up apart: where both are, each with 0 for the other's."""
        if len(self.columns) == 1:
            return dict.fromkeys(self.columns, inputs)
        return {1: [max(x, 0) for x in inputs], -1: [min(x, 0) for x in inputs]}

    def _converted(self, inputs: Sequence[int], position: int, j: int) -> tuple[int, int]:
        """Return the array sum of a column with its noise, and the ADC's code of it, not clipped yet."""
        total = sum(sum(map(mul, part, self.columns[sign][j])) for sign, part in self._apart(inputs).items())
        if self.noise is None:
            return total, self.crossbar.convert(total, self.gain)
        require_sum(total)
        total = self.noise.disturb(total, inputs, position, j)
        return total, self.crossbar.convert(total, self.gain, self.noise.adcs[j], self.noise.at_output(position, j))


def require_sum(total: int) -> None:
    """Trap unless an array sum stays below its limit in magnitude."""
    if abs(total) >= SUM_LIMIT:
        raise Trap("CIM0514", f"the array sum is {total}")


def drift_factor(reference: int, total: int) -> int:
    """Return the factor that makes up for a sum of |code| that has drifted from its reference."""
    return clamp(half_even(reference * FACTOR_ONE, total), 1, FACTOR_HIGHEST) if total else FACTOR_ONE
