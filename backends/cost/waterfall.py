"""From a tile at its peak to the chip as it runs this program: exact factors, each with what it comes from."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from cimc.backends.cost.counters import Counters
from cimc.backends.cost.estimate import COMPONENTS, PULSES, Estimate, priced
from cimc.targets.prices import BOTTOM_UP, Interval, phase_energy, phase_time
from cimc.targets.target import Target

OPERATIONS = 2
"""A multiply-accumulate is two operations, as the field counts."""

UNITS = ((10**9, "mJ"), (10**6, "uJ"), (10**3, "nJ"), (1, "pJ"))
"""pJ in a unit of energy, and its name."""
UNPROGRAMMED = "unprogrammed cells"
"""The step for cells that `program ... zeros=skip` leaves alone."""


@dataclass(frozen=True)
class Fall:
    """One step down: what it is, its factor, and the operations per pJ (TOPS/W) that are left behind it."""

    name: str
    factor: Fraction
    left: Fraction
    fact: str


def peak(target: Target) -> Interval:
    """Return the operations per pJ of one tile with every row and every ADC at work: TOPS/W at the peak.

    Each product takes all read phases that the target has.
    """
    return per(OPERATIONS * target.rows * target.converters, phase_energy(target).times(_reads(target)))


def peak_rate(target: Target) -> Interval:
    """Return the operations per ns of all tiles at their peak (thousands: TOPS); of one where there is no number."""
    operations = OPERATIONS * target.rows * target.converters * (target.tiles or 1)
    return per(operations, phase_time(target).times(_reads(target)))


def _reads(target: Target) -> int:
    return int(target.constants["read_phases"])


def per(operations: int, spent: Interval) -> Interval:
    """Return operations per what they take, low to high; nothing where that may be nothing."""
    if not spent.low:
        return Interval()
    return Interval(*(Fraction(operations) / one for one in (spent.value, spent.high, spent.low)))


def use(target: Target, counted: Counters) -> Fraction | None:
    """Return the share of a tile's rows and ADCs that phases use as they go, None where there are none."""
    whole = counted.phases * target.rows * target.converters
    return Fraction(counted.cells * _reads(target), whole) if whole else None


def efficiency(estimate: Estimate) -> Interval:
    """Return the network's operations per pJ of the whole program (TOPS/W, chip), low to high."""
    return per(OPERATIONS * estimate.counters.macs, estimate.energy_pj)


def waterfall(estimate: Estimate) -> tuple[Fall, ...]:
    """Return the steps from peak to chip; factors times the peak give the chip's figure exactly.

    There are none where the array has no price by phase.
    """
    counted, full = estimate.counters, phase_energy(estimate.target).value
    if estimate.pricing.basis == BOTTOM_UP or not counted.phases or not full:
        return ()
    left, falls = peak(estimate.target).value, []
    for name, factor, fact in _factors(estimate, counted):
        left *= factor
        falls.append(Fall(name, factor, left, fact))
    return tuple(falls)


def _factors(estimate: Estimate, counted: Counters) -> Iterator[tuple[str, Fraction, str]]:
    height, converters = estimate.target.rows, estimate.target.converters
    rows = Fraction(counted.row_slots, counted.phases * height)
    yield "rows", rows, f"{float(rows * height):.0f} of {height} rows in a mean phase"
    reads = _reads(estimate.target)
    columns = Fraction(counted.cells * reads, counted.row_slots * converters)
    skipped = "; phases of signs that inputs do not have are left out" if reads > 1 else ""
    yield (
        "converters",
        columns,
        f"{float(columns * converters):.0f} of {converters} ADCs in a mean phase, by rows{skipped}",
    )
    if counted.macs != counted.cells:
        blank = "cells hold no weight: those beside diagonals, and zeros that are skipped"
        yield UNPROGRAMMED, Fraction(counted.macs, counted.cells), blank
    yield from _phases(estimate, counted)
    spent = estimate.component("array").value
    for name in COMPONENTS:
        part = estimate.component(name).value
        if name != "array" and part:
            yield name, spent / (spent + part), _beside(part, spent)
            spent += part


def _phases(estimate: Estimate, counted: Counters) -> Iterator[tuple[str, Fraction, str]]:
    """Yield what phases take less than full ones: for codes of fewer bits, and where idle rows cost less."""
    target = estimate.target
    full = phase_energy(target).value * counted.phases
    timed = sum((phase_energy(target, n).value * work.phases for n, work in estimate.by_bits().items()), Fraction(0))
    if timed != full:
        yield "input bits", full / timed, "phases of layers with codes of fewer bits are shorter"
    spent, pulses = estimate.component("array").value, priced(estimate.pricing, counted, tuple(PULSES)).value
    if spent - pulses != timed:
        yield "idle rows", timed / (spent - pulses), "rows that are not driven take less"
    if pulses:
        yield "pulses", (spent - pulses) / spent, _beside(pulses, spent - pulses)


def _beside(part: Fraction, spent: Fraction) -> str:
    return f"{_told(part)} beside {_told(spent)}"


def _told(pj: Fraction) -> str:
    """Return an energy to four digits, in the unit that leaves up to three before the point."""
    unit, name = next((one for one in UNITS if pj >= one[0]), UNITS[-1])
    return f"{float(pj / unit):.4g} {name}"
