"""What a program takes on its target: time and energy of every instruction, each with its bounds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from math import ceil

from cimc.backends.cost.counters import Counters
from cimc.backends.cost.counting import count
from cimc.diagnostics import fail
from cimc.isa.program import Program
from cimc.targets.prices import Interval, phase_energy, price, row_share, summed
from cimc.targets.target import Target, target_of

EACH: Mapping[str, str] = {
    "dig_mul": "energy.multiply",
    "dig_add": "energy.add",
    "dig_table": "energy.table",
    "dig_div": "energy.divide",
    "requant": "energy.requant",
    "act_read": "energy.act_byte_read",
    "act_write": "energy.act_byte_write",
    "const_read": "energy.const_byte",
    "issued": "energy.instruction",
}
"""Counter -> the price of one, in pJ. The array's phases have an equation of their own."""

COMPONENTS: Mapping[str, tuple[str, ...]] = {
    "array": (),
    "digital": ("dig_mul", "dig_add", "dig_table", "dig_div"),
    "requant": ("requant",),
    "memory": ("act_read", "act_write", "const_read"),
    "control": ("issued",),
}
"""Component -> the counters that it pays for; the array pays by phase."""


@dataclass(frozen=True)
class Charge:
    """What one instruction does and takes, for one sample: energies in pJ by component, times in ns by unit."""

    counters: Counters
    energy: Mapping[str, Interval]
    array_ns: Interval = field(default_factory=Interval)
    digital_ns: Interval = field(default_factory=Interval)

    @property
    def energy_pj(self) -> Interval:
        return summed(self.energy.values())

    @property
    def time_ns(self) -> Interval:
        """Array and digital unit take turns: layers run one after the other."""
        return self.array_ns + self.digital_ns


@dataclass(frozen=True)
class Estimate:
    """The charges of a program's instructions, the prices behind them, and what has no price."""

    charges: tuple[Charge, ...]
    target: Target
    missing: tuple[str, ...]

    @property
    def energy_pj(self) -> Interval:
        return summed(charge.energy_pj for charge in self.charges)

    @property
    def time_ns(self) -> Interval:
        return summed(charge.time_ns for charge in self.charges)

    def component(self, name: str) -> Interval:
        """Return the energy in pJ that one component takes."""
        return summed(charge.energy[name] for charge in self.charges)


def estimate(program: Program) -> Estimate:
    """Return what a program takes for one sample. Raises Trap on a fault of its static facts, CimcError CIM0301."""
    try:
        target = target_of(program.meta["target"])
    except (KeyError, TypeError, ValueError) as error:
        hint = "a program that `cimc compile` writes carries a whole target"
        raise fail(
            "CIM0301", f"the program's target is not whole, its costs are unknown: {error} is missing", hint=hint
        ) from None
    charges = tuple(charge(target, counters) for counters in count(program))
    return Estimate(charges, target, _missing(target, charges))


def charge(target: Target, counters: Counters) -> Charge:
    """Return what so much work takes."""
    energy = {name: _priced(target, counters, paid) for name, paid in COMPONENTS.items()}
    energy["array"] = _array(target, counters)
    phases = price(target, "timing.phase").times(counters.serial_phases)
    return Charge(counters, energy, phases, _digital_time(target, counters))


def _priced(target: Target, counters: Counters, paid: Sequence[str]) -> Interval:
    return summed(price(target, EACH[name]).times(getattr(counters, name)) for name in paid)


def _array(target: Target, counters: Counters) -> Interval:
    """Return the energy of the phases, by the rows that could be driven where idle rows may cost less."""
    if not counters.phases:
        return Interval()
    driven = Fraction(counters.row_slots, counters.phases * target.rows)
    return (phase_energy(target) * row_share(target, driven)).times(counters.phases)


def _digital_time(target: Target, counters: Counters) -> Interval:
    """Return the time of the digital unit: a lane multiplies and adds, looks up, or requantises once a cycle."""
    lanes, work = target.constants["digital.lanes"], _lane_cycles(counters)
    if not work:
        return Interval()
    return price(target, "digital.cycle").times(ceil(Fraction(work, int(lanes))))


def _lane_cycles(counters: Counters) -> int:
    """Return the cycles that one lane alone would take; what is converted is requantised as it comes."""
    arithmetic = max(counters.dig_mul, counters.dig_add) + counters.dig_table + counters.dig_div
    return arithmetic + (0 if counters.conversions else counters.requant)


def _missing(target: Target, charges: Sequence[Charge]) -> tuple[str, ...]:
    """Return the counters that the program has and that have no price."""
    return tuple(
        name
        for name, key in EACH.items()
        if key not in target.constants and any(getattr(c.counters, name) for c in charges)
    )
