"""Noise of every product in the fast interpreter: fluctuations of a block's columns, and imperfect converters.

Cycle noise is fresh for each product. A column's sum of independent device fluctuations is normal with the exact
variance v = sum_i x_i^2 sigma_ij^2, so one draw per column replaces one per device.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
from numpy.typing import NDArray

from cimc.backends.machine.facts import Gain, Machine
from cimc.backends.machine.traps import Trap
from cimc.backends.noise import draws, gaussian
from cimc.backends.noise.converters import (
    ERROR_BITS,
    LARGEST_ERROR,
    adc_errors,
    imperfect,
    multiplier,
    require_convertible,
    thresholds,
)
from cimc.backends.noise.draws import stream_of
from cimc.backends.noise.fixed_point import FINE_BITS, NORMAL_BITS, cycle_shift, rounded, scaled
from cimc.backends.noise.sources import Noise
from cimc.backends.noise.table import CYCLE, OUTPUT
from cimc.backends.plan.exact import OBJECT
from cimc.backends.plan.moving import STILL, Occasion, way
from cimc.isa.limits import SUM_BITS
from cimc.isa.region import Region

Array = NDArray[Any]


@dataclass(frozen=True)
class Address:
    """Where the draws of one execution of a block's products lie: draws.py has the table."""

    seed: int
    stream: int
    occurrence: int
    columns: range
    phase: int
    steps: tuple[int, ...] = STILL
    """By how much the occurrence grows in each turn of the loops around."""

    @staticmethod
    def of(noise: Noise, cells: Region, occurrence: int, phase: int) -> "Address":
        """Return the address of a region's reads in one phase."""
        columns = range(cells.col, cells.col + cells.cols)
        return Address(noise.seed, stream_of(cells), occurrence, columns, phase)

    def normals(self, purpose: int, occasion: Occasion, vectors: int) -> Array:
        """Return normal variables [samples * vectors, cols]."""
        occurrence = self.occurrence + way(self.steps, occasion.turns)
        positions = np.arange(vectors, dtype=np.uint64) + np.uint64(occurrence << 32)
        purpose = draws.in_phase(purpose, self.phase)
        z = draws.normals(self.seed, purpose, self.stream, occasion.samples, positions, self.columns)
        return z.reshape(-1, len(self.columns))


class Fluctuation(Protocol):
    """What disturbs the sum of each product, by a normal variable drawn for it."""

    purpose: ClassVar[int]

    @property
    def peak(self) -> int:
        """The largest magnitude of the noise of one sum."""

    def of(self, inputs: Array, z: Array) -> Array:
        """Return the noise of sums over inputs [vectors, rows], for variables z [vectors, cols], as whole doubles."""


@dataclass(frozen=True)
class Cycle:
    """Cycle noise of a block: cell variances [rows, cols] as doubles, in units of 4^-unit_bits of a code squared."""

    purpose: ClassVar[int] = CYCLE
    variances: Array
    unit_bits: int
    peak: int

    def of(self, inputs: Array, z: Array) -> Array:
        """Return the noise of sums over inputs [vectors, rows], as whole doubles."""
        squares = np.square(inputs.astype(np.float64))
        spread = np.sqrt(squares @ self.variances)
        spread *= z
        spread *= 2.0 ** -(NORMAL_BITS + self.unit_bits)
        return np.asarray(np.rint(spread, out=spread))


def cycle_noise(sigmas: Array, largest_input: int) -> Cycle:
    """Return the cycle noise of a block from the spreads of each column's devices [n, rows, cols] in fine units."""
    shift = cycle_shift(int(sigmas.max(initial=0)), sigmas.shape[0] * sigmas.shape[1], largest_input)
    variances = np.square(rounded(sigmas, shift)).sum(axis=0)
    bound = math.isqrt(int(variances.sum(axis=0).max(initial=0)) * largest_input**2) + 1
    unit_bits = FINE_BITS - shift
    peak = math.ceil(bound * gaussian.largest() * 2.0 ** -(NORMAL_BITS + unit_bits)) + 1
    return Cycle(variances.astype(np.float64), unit_bits, peak)


@dataclass(frozen=True)
class NoisyConverter:
    """The ADCs of a block's columns with their errors: arrays over the columns, in doubles that hold integers."""

    multipliers: Array
    offsets: Array
    bows: Array
    output: int
    """Spread of the noise of each product, Q16 LSB."""
    divide: int
    low: int
    high: int
    floor: bool
    thresholds: tuple[Array, ...] | None = None
    """Of each column the inputs at which its ADC counts one code more, ascending; None where it rounds."""

    def rounded(self, sums: Array, z: Array | None) -> Array:
        """Return the codes of sums before clipping; z [vectors, cols] draws the output noise."""
        products = sums.astype(np.float64) * self.multipliers
        error = np.broadcast_to(self.offsets, products.shape).copy()
        if z is not None:
            error += np.floor(z * float(self.output) * 2.0**-NORMAL_BITS + 0.5)
        error += self._bow(np.rint(products * 2.0**-self.divide))
        np.clip(error, -LARGEST_ERROR, LARGEST_ERROR, out=error)
        products += np.floor(error * 2.0 ** (self.divide - ERROR_BITS) + 0.5)
        given = products if self.thresholds is None else products.copy()
        products *= 2.0**-self.divide
        nearest = (np.floor if self.floor else np.rint)(products, out=products)
        return nearest if self.thresholds is None else self._counted(self.thresholds, given, nearest)

    def _counted(self, thresholds: tuple[Array, ...], given: Array, nearest: Array) -> Array:
        """Return the lowest code and as many more as thresholds are not above; beyond the ends the nearest code."""
        for column, steps in enumerate(thresholds):
            count = np.searchsorted(steps, given[:, column], side="right")
            codes = np.where(count == 0, np.minimum(self.low, nearest[:, column]), self.low + count)
            nearest[:, column] = np.where(count == len(steps), np.maximum(self.high, nearest[:, column]), codes)
        return nearest

    def _bow(self, codes: Array) -> Array:
        square = float(self.high * self.high)
        np.clip(codes, -self.high, self.high, out=codes)
        return np.floor(self.bows * (square - np.square(codes)) / square)


def noisy_converter(machine: Machine, noise: Noise, gain: Gain, cells: Region) -> NoisyConverter | None:
    """Return the converters of a region, None where they are perfect."""
    require_convertible(machine, noise, gain)
    if not imperfect(noise):
        return None
    errors = [adc_errors(machine, noise, cells.tile, cells.col + j) for j in range(cells.cols)]
    return NoisyConverter(
        np.array([float(multiplier(gain, e)) for e in errors]),
        np.array([float(e.offset) for e in errors]),
        np.array([float(e.bow) for e in errors]),
        scaled(noise.profile.numbers["output.sigma"], ERROR_BITS) if noise.has("output") else 0,
        gain.divide,
        *machine.adc_range,
        machine.adc_rounding == "floor",
        tuple(np.array(thresholds(machine, gain, e.levels), np.float64) for e in errors) if errors[0].levels else None,
    )


@dataclass(frozen=True)
class ReadNoise:
    """What disturbs the products of one block, at one place of a program."""

    address: Address
    fluctuations: tuple[Fluctuation, ...]
    converter: NoisyConverter | None

    @property
    def peak(self) -> int:
        """The largest magnitude of the noise of one sum."""
        return sum(law.peak for law in self.fluctuations)

    def disturb(self, sums: Array, inputs: Array, occasion: Occasion) -> Array:
        """Add fluctuations to the sums [samples * vectors, cols] of inputs [samples * vectors, rows], in place."""
        for law in self.fluctuations:
            z = self._normals(law.purpose, sums, occasion)
            noise = law.of(inputs, z)
            sums += noise.astype(np.int64).astype(object) if sums.dtype == OBJECT else noise.astype(sums.dtype)
        return sums

    def rounded(self, converter: NoisyConverter, sums: Array, occasion: Occasion) -> Array:
        """Return the codes of disturbed sums before clipping."""
        return converter.rounded(sums, self._normals(OUTPUT, sums, occasion) if converter.output else None)

    def _normals(self, purpose: int, sums: Array, occasion: Occasion) -> Array:
        """Return a normal variable for each of the sums [samples * vectors, cols]."""
        return self.address.normals(purpose, occasion, len(sums) // max(len(occasion.samples), 1))


def read_noise(
    machine: Machine, noise: Noise, gain: Gain, cells: Region, address: Address, sigmas: Callable[[], Array]
) -> ReadNoise | None:
    """Return the noise of a region's next products, drawn at an address, None where each is exact.

    `sigmas` gives what each column's devices [n, rows, cols] fluctuate by in each product, in fine units.
    """
    fluctuations, adc = _fluctuations(machine, noise, sigmas), noisy_converter(machine, noise, gain, cells)
    return ReadNoise(address, fluctuations, adc) if fluctuations or adc else None


def _fluctuations(machine: Machine, noise: Noise, sigmas: Callable[[], Array]) -> tuple[Fluctuation, ...]:
    """Return what disturbs a region's sums, source by source in the order of the table."""
    found: list[Fluctuation] = []
    if noise.has("cycle"):
        found.append(cycle_noise(sigmas(), machine.dac_range.magnitude))
    return tuple(found)


def require_sums(sums: Array, limit: int) -> None:
    """Trap where a sum reaches the limit."""
    if sums.size and max(-sums.min(), sums.max()) >= limit:
        raise Trap("CIM0514", f"the magnitude of an array sum reaches 2^{SUM_BITS}")
