"""Noisy devices of the reference interpreter, one at a time in Python integers.

Statistics: IBM/aihwkit's inference noise models; the profile has the constants. All numbers are integers: conductances
in fine units (2^-12 of a code), exponents and relative spreads in Q20, normal variables in Q16.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cimc.backends.machine.facts import Machine
from cimc.backends.machine.rounding import clamp, half_even
from cimc.backends.noise import draws, octaves
from cimc.backends.noise.device_tables import Aging, Spread, aging, ceiling, deviations, exponents, spread
from cimc.backends.noise.fixed_point import (
    DAC_ERROR_BITS,
    EXPONENT_BITS,
    FINE_BITS,
    FLICKER_BITS,
    HALVING_BITS,
    HALVING_CELLS,
    NORMAL_BITS,
    READ_BITS,
    halvings,
    rounded,
    scaled,
    shared,
)
from cimc.backends.noise.sources import Noise
from cimc.backends.noise.table import DAC, DRIFT, FLICKER, FORMING, POLARITY, PROGRAMMING, READ, REDRAW, STRETCH, STUCK

Cell = tuple[int, int, int, str]
"""One side of a cell: tile, row, column, polarity. It has as many devices as the machine has pairs."""
Place = tuple[int, int, int, str, int]
"""A device: its side of a cell, and its pair."""


@dataclass
class Device:
    """What a device was asked for, what it became (fine units), how it drifts, and how often it was programmed.

    `drift` is its exponent (Q20) where drift is a power of time, its own normal variable (Q16) where it relaxes.
    """

    target: int
    value: int
    drift: int
    writes: int


class Devices:
    """The laws of noisy devices; the devices themselves are the caller's. None is one that was never programmed."""

    def __init__(self, machine: Machine, noise: Noise) -> None:
        self.machine = machine
        self.noise = noise
        self.numbers = noise.profile.numbers
        self.kind = noise.profile.choices["drift.kind"]
        self.programming = deviations(noise.profile, "programming", machine.full_conductance)
        self.exponents = exponents(noise.profile, machine.full_conductance)
        self.cycle = spread(noise.profile, "cycle", machine.full_conductance)
        self.full = machine.full_conductance << FINE_BITS
        self.ceiling = ceiling(noise.profile, machine.full_conductance)

    def program(self, place: Place, target: int, before: Device | None) -> Device:
        """Return the device that programming leaves."""
        writes = before.writes if before else 0
        value, drift = self.left(place, target, writes), 0
        if self.noise.has("drift"):
            drift = self._normal(DRIFT, place, writes)
            if self.kind == "power":
                mean, sigma = (table[target] for table in self.exponents)
                drift = abs(mean + rounded(sigma * drift, NORMAL_BITS))
        return Device(target, value, drift, writes + 1)

    def left(self, place: Place, target: int, writes: int) -> int:
        """Return the value, in fine units, that programming to a target leaves a device at."""
        value = self._formed(place, target)
        if self.noise.has("programming"):
            z = self._normal(PROGRAMMING, place, writes)
            value = clamp(value + rounded(self.programming[target] * z, NORMAL_BITS), 0, self.ceiling)
        return value

    def _formed(self, place: Place, target: int) -> int:
        """Return the value at which forming leaves a device with a target, where a profile says that it decides."""
        mean, sigma = (scaled(self.numbers[f"forming.{name}"], READ_BITS) for name in ("mean", "sigma"))
        if not target or not mean or not self.noise.has("forming"):
            return target << FINE_BITS
        middle, deviation = (rounded(self.full * one, READ_BITS) for one in (mean, sigma))
        return clamp(middle + rounded(deviation * self._normal(FORMING, place, 0), NORMAL_BITS), 0, self.full)

    def first(self, target: int) -> int:
        """Return the target of the first pair where the second takes what it leaves open."""
        return min(target * sum(self.machine.shares) // self.machine.significance, self.machine.full_conductance)

    def rest(self, target: int) -> int:
        """Return what the first pair of one side of a cell leaves open, in units of the second."""
        return target * sum(self.machine.shares) - self.machine.significance * self.first(target)

    def error(self, place: Place, device: Device) -> int:
        """Return the error that a device was left with, in fine units; a stuck one is read as it is."""
        return self._with_stuck(place, device.value) - (device.target << FINE_BITS)

    def rests(self, rests: Mapping[str, int], errors: Mapping[str, int]) -> dict[str, int]:
        """Return the targets of a cell's second pair by polarity, from what the first leaves open and its errors."""
        plus, minus = rests["plus"], rests["minus"]
        error = self.machine.significance * (errors["plus"] - errors["minus"])
        difference, highest = plus - minus - rounded(error, FINE_BITS), self.machine.full_conductance
        return {
            "plus": clamp(min(plus, minus) + max(difference, 0), 0, highest),
            "minus": clamp(min(plus, minus) + max(-difference, 0), 0, highest),
        }

    def programmed(self, devices: Mapping[Place, Device | None]) -> int:
        """Return the programmed value, the mean over a cell's pairs, as a conductance code."""
        values = [self._with_stuck(place, self._value(device)) for place, device in devices.items()]
        return half_even(self._summed(values), sum(self.machine.shares) << FINE_BITS)

    def _summed(self, values: Sequence[int]) -> int:
        """Return the sum over a cell's pairs, each by its share."""
        return sum(share * value for share, value in zip(self.machine.shares, values, strict=True))

    def fine(self, devices: Mapping[Place, Device | None], seconds: int, reversed_: bool = False) -> int:
        """Return the conductance at a time in fine units, summed over a cell's pairs; `reversed_`: against polarity."""
        found = {place: self.conductance(place, device, seconds) for place, device in devices.items()}
        return self._summed([self._against(place, value) if reversed_ else value for place, value in found.items()])

    def _against(self, place: Place, value: int) -> int:
        """Return what a device conducts against the polarity of its side."""
        sigma = scaled(self.numbers["polarity.sigma"], READ_BITS)
        deviation = rounded(sigma * self._normal(POLARITY, place, 0), NORMAL_BITS)
        return clamp(value + rounded(value * deviation, READ_BITS), 0, self.ceiling)

    def code(self, fine: int, tile: int, row: int) -> int:
        """Return the conductance code of a sum over a cell's pairs, its row's DAC error included."""
        factor = (1 << DAC_ERROR_BITS) + self.row_error(tile, row)
        return half_even(fine * factor, sum(self.machine.shares) << FINE_BITS + DAC_ERROR_BITS)

    def cycle_sigmas(self, devices: Mapping[Place, Device | None], seconds: int) -> list[int]:
        """Return each device's share in the spread of a cell from product to product, in fine units."""
        shares, sigmas = self.machine.shares, [self._cycle_sigma(*each, seconds) for each in devices.items()]
        return [shared(share * sigma, sum(shares)) for share, sigma in zip(shares, sigmas, strict=True)]

    def _cycle_sigma(self, place: Place, device: Device | None, seconds: int) -> int:
        if device is None or self.stuck(place) is not None:
            return 0
        return _sigma(self.cycle, device.value, self.conductance(place, device, seconds))

    def _value(self, device: Device | None) -> int:
        return self.machine.unprogrammed << FINE_BITS if device is None else device.value

    def conductance(self, place: Place, device: Device | None, seconds: int) -> int:
        """Return what a device conducts at a time, in fine units."""
        value = self._value(device)
        if device is not None:
            age = aging(self.noise.profile, self.machine.full_conductance, seconds)
            if self.noise.has("drift"):
                value = clamp(self._drifted(place, device, age, seconds), 0, self.ceiling)
            if self.noise.has("read"):
                z = self._read_variable(place, age, seconds)
                value += rounded(_sigma(age.read, device.value, value) * z, NORMAL_BITS)
            value = clamp(value, 0, self.ceiling)
        return self._with_stuck(place, value)

    def _read_variable(self, place: Place, age: Aging, seconds: int) -> int:
        """Return the normal variable of read noise: what is fresh at this time, and what other times share."""
        total = age.memory.fresh * self._normal(READ, place, seconds)
        for octave, weight in age.memory.octaves:
            number = octaves.stretch(seconds, octave, self._word(STRETCH, place, octave))
            total += weight * self._normal(FLICKER, place, octaves.sample(octave, number))
        return clamp(rounded(total, FLICKER_BITS), -octaves.LARGEST, octaves.LARGEST)

    def _drifted(self, place: Place, device: Device, age: Aging, seconds: int) -> int:
        if age.redraw is not None:
            z = self._normal(REDRAW, place, seconds)
            return (device.target << FINE_BITS) + rounded(age.redraw[device.target] * z, NORMAL_BITS)
        if self.kind == "logarithm":
            return device.value - age.shift + rounded(age.relaxation * device.drift, NORMAL_BITS)
        return decayed(device.value, device.drift * age.exponent) if self.kind == "power" else device.value

    def _with_stuck(self, place: Place, value: int) -> int:
        stuck = self.stuck(place)
        return value if stuck is None else stuck

    def stuck(self, place: Place) -> int | None:
        """Return what a device conducts that is stuck, None where it obeys."""
        if not self.noise.has("stuck"):
            return None
        word = self._word(STUCK, place, 0)
        low, high = scaled(self.numbers["stuck.low"], 32), scaled(self.numbers["stuck.high"], 32)
        if word < low:
            return 0
        return self.full if word < low + high else None

    def row_error(self, tile: int, row: int) -> int:
        """Return the gain error of a row's DAC in Q20."""
        if not self.noise.has("dac"):
            return 0
        z = draws.normal(self.noise.seed, DAC, tile, 0, 0, row)
        return rounded(scaled(self.numbers["dac.gain"], DAC_ERROR_BITS) * z, NORMAL_BITS)

    def _word(self, purpose: int, place: Place, sample: int) -> int:
        return draws.word(*self._address(purpose, place, sample))

    def _normal(self, purpose: int, place: Place, sample: int) -> int:
        return draws.normal(*self._address(purpose, place, sample))

    def _address(self, purpose: int, place: Place, sample: int) -> tuple[int, int, int, int, int, int]:
        tile, row, col, polarity, pair = place
        index = 2 * col + draws.POLARITIES.index(polarity)
        return self.noise.seed, purpose, draws.pair_stream(tile, pair), sample, row, index


def _sigma(spread: Spread, programmed: int, present: int) -> int:
    """Return a spread in fine units, interpolated between the codes around a value."""
    last = (len(spread.table) - 1 << FINE_BITS) - 1
    value = min(max(programmed if spread.relative else present, 0), last)
    code, rest = value >> FINE_BITS, value & (1 << FINE_BITS) - 1
    low, high = spread.table[code : code + 2]
    sigma = low + rounded((high - low) * rest, FINE_BITS)
    return rounded(present * sigma, READ_BITS) if spread.relative else sigma


def decayed(value: int, halvings_passed: int) -> int:
    """Return value * 2^-h for h in Q40, by a table of 1025 entries and linear interpolation."""
    h = rounded(halvings_passed, 2 * EXPONENT_BITS - HALVING_BITS)
    whole, part = h >> HALVING_BITS, h & (1 << HALVING_BITS) - 1
    rest_bits = HALVING_BITS - HALVING_CELLS
    cell, rest = part >> rest_bits, part & (1 << rest_bits) - 1
    start, end = halvings()[cell : cell + 2]
    factor = start - rounded((start - end) * rest, rest_bits)
    return rounded(value * factor, HALVING_BITS + whole)
