"""From a tile at its peak to the chip as it runs this program: exact factors, each with what it comes from."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from cimc.backends.cost.counters import Counters
from cimc.backends.cost.counting import total
from cimc.backends.cost.estimate import COMPONENTS, Estimate
from cimc.targets.prices import Interval, phase_energy

OPERATIONS = 2
"""A multiply-accumulate is two operations, as the field counts."""


@dataclass(frozen=True)
class Fall:
    """One step down: what it is, its factor, and the operations per pJ (TOPS/W) that are left behind it."""

    name: str
    factor: Fraction
    left: Fraction
    fact: str


def peak(estimate: Estimate) -> Fraction:
    """Return the operations per pJ of one tile with every row and every ADC at work: TOPS/W at the peak."""
    operations = OPERATIONS * estimate.target.rows * estimate.target.converters
    return operations / phase_energy(estimate.target).value


def efficiency(estimate: Estimate) -> Interval:
    """Return the array's operations per pJ of the whole program (TOPS/W, chip), low to high."""
    operations, energy = OPERATIONS * total(c.counters for c in estimate.charges).cells, estimate.energy_pj
    if not energy.low:
        return Interval()
    return Interval(*(Fraction(operations) / joules for joules in (energy.value, energy.high, energy.low)))


def waterfall(estimate: Estimate) -> tuple[Fall, ...]:
    """Return the steps from peak to chip; factors times the peak give the chip's figure exactly."""
    counted = total(charge.counters for charge in estimate.charges)
    if not estimate.component("array").value:
        return ()
    left, falls = peak(estimate), []
    for name, factor, fact in _factors(estimate, counted):
        left *= factor
        falls.append(Fall(name, factor, left, fact))
    return tuple(falls)


def _factors(estimate: Estimate, counted: Counters) -> Iterator[tuple[str, Fraction, str]]:
    height, converters = estimate.target.rows, estimate.target.converters
    rows = Fraction(counted.row_slots, counted.phases * height)
    yield "rows", rows, f"{float(rows * height):.0f} of {height} rows in a mean phase"
    columns = Fraction(counted.cells, counted.row_slots * converters)
    yield "converters", columns, f"{float(columns * converters):.0f} of {converters} ADCs in a mean phase, by rows"
    full = phase_energy(estimate.target).value * counted.phases
    spent = estimate.component("array").value
    if spent != full:
        yield "idle rows", full / spent, "rows that are not driven take less"
    for name in COMPONENTS:
        part = estimate.component(name).value
        if name != "array" and part:
            yield name, spent / (spent + part), f"{float(part) / 1000:.4g} nJ beside {float(spent) / 1000:.4g} nJ"
            spent += part
