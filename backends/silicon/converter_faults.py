"""What is wrong with the ADCs of a chip: gain and offset of each, as its columns measure them or its file says."""

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cimc.backends.machine.facts import Machine
from cimc.backends.noise.chip import Chip
from cimc.backends.noise.converters import ERROR_BITS, GAIN_ERROR_BITS
from cimc.backends.noise.sources import Noise
from cimc.backends.silicon.device_faults import LEAST, RARE, Fault
from cimc.backends.silicon.layer_equations import Equations
from cimc.isa.region import Region

Reals = NDArray[np.float64]
Adc = tuple[int, int]
"""A tile, and the number of one of its ADCs."""

LEAST_GAIN, LEAST_OFFSET = 0.01, 0.25
"""Spreads of gain and offset (LSB) that no healthy ADC is held to be better than."""
ROUNDING = 1 / 12
"""The variance of a code's rounding, LSB squared: residuals are not held to be less."""


@dataclass(frozen=True)
class Converter:
    """Gain and offset (LSB) of one ADC, each with the deviation to which it is known."""

    gain: float
    gain_deviation: float
    offset: float
    offset_deviation: float


@dataclass
class _Sums:
    """Sums over the equations of one ADC of what it should give, p, and of what it gives beside, r."""

    n: float = 0.0
    p: float = 0.0
    pp: float = 0.0
    r: float = 0.0
    rp: float = 0.0
    rr: float = 0.0

    def add(self, given: Reals, beside: Reals) -> None:
        self.n += len(given)
        self.p += float(given.sum())
        self.pp += float(given @ given)
        self.r += float(beside.sum())
        self.rp += float(beside @ given)
        self.rr += float(beside @ beside)

    def converter(self) -> Converter:
        """Return the least-squares gain and offset; what the equations leave open is perfect, and not known."""
        spread = self.pp - self.p**2 / max(self.n, 1)
        if self.n < 3 or spread <= 0:
            return Converter(1.0, math.inf, self.r / max(self.n, 1), math.inf)
        slope = (self.rp - self.p * self.r / self.n) / spread
        offset = (self.r - slope * self.p) / self.n
        left = max((self.rr - slope * self.rp - offset * self.r) / self.n, ROUNDING)
        unsure = math.sqrt(left * (1 / self.n + (self.p / self.n) ** 2 / spread))
        return Converter(1 + slope, math.sqrt(left / spread), offset, unsure)


def measured_converters(
    machine: Machine, equations: Iterable[Equations], conducted: Mapping[Region, Reals]
) -> dict[Adc, Converter]:
    """Return gain and offset of every ADC that equations tell of, where blocks conduct [rows, cols] codes."""
    sums = defaultdict[Adc, _Sums](_Sums)
    for one in equations:
        matrix = np.concatenate([conducted[block] for block in one.blocks])
        given = one.inputs @ (one.slopes * matrix)
        for j in range(given.shape[1]):
            usable = one.usable[:, j]
            place = one.blocks[0]
            adc = (place.tile, machine.adc_of(place.col + j))
            sums[adc].add(given[usable, j], one.codes[usable, j] - given[usable, j])
    return {adc: each.converter() for adc, each in sums.items()}


def stated_converters(machine: Machine, chip: Chip) -> dict[Adc, Converter]:
    """Return gain and offset of every ADC as the file of a chip states them; those of its columns' mean."""
    found = dict[Adc, Converter]()
    for number, tile in chip.tiles.items():
        for first in range(0, machine.columns, machine.multiplexing):
            offset, gain, _ = tile.adc[:, first : first + machine.multiplexing].mean(axis=1)
            known = Converter(1 + gain / 2.0**GAIN_ERROR_BITS, 0.0, offset / 2.0**ERROR_BITS, 0.0)
            found[number, machine.adc_of(first)] = known
    return found


def converter_faults(
    machine: Machine, noise: Noise, converters: Mapping[Adc, Converter], tile: int, used: set[int]
) -> Iterator[Fault]:
    """Yield the ADCs of a tile whose gain or offset is beyond what the profile's ADCs have."""
    numbers, has = noise.profile.numbers, noise.has("adc")
    least = {"adc.gain": LEAST_GAIN, "adc.offset": LEAST_OFFSET}
    spreads = [math.hypot(float(numbers[key]) * has, spread) for key, spread in least.items()]
    for (at, adc), one in sorted(converters.items()):
        if at != tile:
            continue
        columns = range(adc * machine.multiplexing, min((adc + 1) * machine.multiplexing, machine.columns))
        weights = {
            "ADC gain": _weight(one.gain - 1, one.gain_deviation, spreads[0]),
            "ADC offset": _weight(one.offset, one.offset_deviation, spreads[1]),
        }
        kind = max(weights, key=lambda name: weights[name])
        if weights[kind] > LEAST:
            told = f"gain {one.gain:.3f}" if kind == "ADC gain" else f"offset {one.offset:+.2f} LSB"
            others = {name: weight for name, weight in weights.items() if name != kind}
            yield Fault(
                kind, f"ADC {adc}: {told}", tuple(column for column in columns if column in used), weights[kind], others
            )


def _weight(error: float, deviation: float, spread: float) -> float:
    """Return how much likelier an error is on an ADC that is broken than on a healthy one."""
    return error**2 / (2 * (deviation**2 + spread**2)) + RARE if math.isfinite(deviation) else RARE
