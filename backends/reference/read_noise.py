"""Noise of every product in the reference interpreter, one at a time: plan/read_noise.py has the same laws for blocks.

Cycle noise is fresh for each product. A column's sum of independent device fluctuations is normal with the exact
variance v = sum_i x_i^2 sigma_ij^2, so one draw per column replaces one per device.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

from cimc.backends.machine.facts import Gain, Machine
from cimc.backends.noise import draws
from cimc.backends.noise.converters import ERROR_BITS, AdcErrors, adc_errors, require_convertible
from cimc.backends.noise.fixed_point import FINE_BITS, NORMAL_BITS, cycle_shift, rounded, scaled
from cimc.backends.noise.sources import Noise
from cimc.backends.noise.table import CYCLE, OUTPUT
from cimc.isa.region import Region

Sigmas = Sequence[Sequence[Sequence[int]]]
"""Per column and row of a block, the spreads of a cell's devices in fine units."""


@dataclass(frozen=True)
class Address:
    """Where the draws of one execution of a block's products lie: draws.py has the table."""

    seed: int
    stream: int
    sample: int
    occurrence: int
    first: int
    phase: int = 0

    def normal(self, purpose: int, position: int, j: int) -> int:
        """Return the normal variable (Q16) of a vector's product with column j of the block."""
        vector = position + (self.occurrence << 32)
        purpose = draws.in_phase(purpose, self.phase)
        return draws.normal(self.seed, purpose, self.stream, self.sample, vector, self.first + j)


class Fluctuation(Protocol):
    """What disturbs the sum of each product, by a normal variable drawn for it."""

    purpose: ClassVar[int]

    def of(self, inputs: Sequence[int], j: int, z: int) -> int:
        """Return the noise of column j's sum over the inputs, for the variable z (Q16)."""


@dataclass(frozen=True)
class Cycle:
    """Cycle noise of a block: cell variances [columns][rows], in units of 4^-unit_bits of a code squared."""

    purpose: ClassVar[int] = CYCLE
    variances: list[list[int]]
    unit_bits: int

    def of(self, inputs: Sequence[int], j: int, z: int) -> int:
        """Return a normal variable with the variance of the column's devices."""
        variance = sum(x * x * v for x, v in zip(inputs, self.variances[j], strict=True))
        return round(math.sqrt(variance) * z * 2.0 ** -(NORMAL_BITS + self.unit_bits))


def cycle_noise(sigmas: Sigmas, largest_input: int) -> Cycle:
    """Return the cycle noise of a block from the spreads of its devices."""
    devices = max((sum(map(len, column)) for column in sigmas), default=0)
    largest = max((sigma for column in sigmas for cell in column for sigma in cell), default=0)
    shift = cycle_shift(largest, devices, largest_input)
    variances = [[sum(rounded(sigma, shift) ** 2 for sigma in cell) for cell in column] for column in sigmas]
    return Cycle(variances, FINE_BITS - shift)


@dataclass(frozen=True)
class ReadNoise:
    """What disturbs the products of one block, at one place of a program."""

    address: Address
    fluctuations: tuple[Fluctuation, ...]
    adcs: list[AdcErrors]
    output: int
    """Spread of the noise of each product at the ADC, Q16 LSB."""

    def disturb(self, total: int, inputs: Sequence[int], position: int, j: int) -> int:
        """Return the sum of column j over the inputs of a vector, with its fluctuations."""
        laws = self.fluctuations
        return total + sum(law.of(inputs, j, self.address.normal(law.purpose, position, j)) for law in laws)

    def at_output(self, position: int, j: int) -> int:
        """Return the noise of column j's product at the ADC, Q16 LSB."""
        return rounded(self.output * self.address.normal(OUTPUT, position, j), NORMAL_BITS) if self.output else 0


def read_noise(
    machine: Machine, noise: Noise, gain: Gain, cells: Region, address: Address, sigmas: Callable[[], Sigmas]
) -> ReadNoise:
    """Return the noise of a region's next products; `sigmas` gives what its devices fluctuate by in each."""
    require_convertible(machine, noise, gain)
    adcs = [adc_errors(machine, noise, cells.tile, cells.col + j) for j in range(cells.cols)]
    output = scaled(noise.profile.numbers["output.sigma"], ERROR_BITS) if noise.has("output") else 0
    return ReadNoise(address, _fluctuations(machine, noise, sigmas), adcs, output)


def _fluctuations(machine: Machine, noise: Noise, sigmas: Callable[[], Sigmas]) -> tuple[Fluctuation, ...]:
    """Return what disturbs a region's sums, source by source in the order of the table."""
    found: list[Fluctuation] = []
    if noise.has("cycle"):
        found.append(cycle_noise(sigmas(), machine.dac_range.magnitude))
    return tuple(found)
