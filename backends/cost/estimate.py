"""What a program takes on its target: time and energy of every instruction, each with its bounds."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cache, cached_property, partial
from math import ceil
from typing import Any

from cimc.backends.cost.counters import DATA, Counters, Work, total
from cimc.backends.cost.counting import works
from cimc.backends.cost.observed import DataCounting
from cimc.backends.cost.pipelined import added
from cimc.diagnostics import fail
from cimc.isa.program import Program
from cimc.targets.prices import (
    BASES,
    BOTTOM_UP,
    PUBLISHED,
    Interval,
    in_picojoules,
    phase_energy,
    phase_time,
    price,
    row_share,
    summed,
)
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

PULSES: Mapping[str, str] = {"pulse": "energy.pulse"}
"""Counter -> the price of one beside that of phases, where a target has one: else it is part of a phase's."""

CONVERTERS_AND_CELLS: Mapping[str, str] = {
    "conversions": "bottom_up.conversion",
    "row_on": "bottom_up.row",
    "charge": "bottom_up.charge",
}
"""Counter -> the price of one where arrays are priced bottom-up."""

COMPONENTS: Mapping[str, tuple[str, ...]] = {
    "array": (),
    "digital": ("dig_mul", "dig_add", "dig_table", "dig_div"),
    "requant": ("requant",),
    "memory": ("act_read", "act_write", "const_read"),
    "control": ("issued",),
    "leak": (),
}
"""Component -> the counters that it pays for; the array pays by phase and pulse, leaking tiles by time."""
LEAK = "energy.leak"
EVERY: Mapping[str, str] = {**EACH, **PULSES, **CONVERTERS_AND_CELLS}

FITTED = ("act_read", "act_write", "const_read")
"""Counters whose prices are what published figures leave once the array is taken out: no part of a bottom-up sum."""


@dataclass(frozen=True)
class Pricing:
    """By what a program is priced: a target, a basis of prices, and whether its rows were seen driven by data."""

    target: Target
    basis: str = PUBLISHED
    counted: bool = False

    def each(self, name: str) -> str | None:
        """Return the price of one of a counter, None where there is none: it is then not modelled."""
        fitted = name in FITTED and self.basis == BOTTOM_UP
        key = EVERY[name]
        unseen = name in DATA and not self.counted
        return None if fitted or unseen or key not in self.target.constants else key

    @cached_property
    def prices(self) -> Mapping[str, Interval]:
        """The prices in pJ of one of each counter that has one."""
        priced = {name: self.each(name) for name in EVERY}
        return {name: in_picojoules(self.target, key) for name, key in priced.items() if key}

    @property
    def paid(self) -> tuple[str, ...]:
        """Counters that something is paid for, each by the one."""
        if self.basis == BOTTOM_UP:
            return (*EACH, *CONVERTERS_AND_CELLS)
        return (*EACH, *(name for name, key in PULSES.items() if key in self.target.constants))


@dataclass(frozen=True, eq=False)
class Charge:
    """What one instruction does and takes, for one sample: energies in pJ by component, times in ns by unit.

    Instructions that do the same share one: exact sums over a program are as long as it does different things.
    """

    counters: Counters
    energy: Mapping[str, Interval]
    array_ns: Interval = field(default_factory=Interval)
    digital_ns: Interval = field(default_factory=Interval)
    added_ns: Interval = field(default_factory=Interval)
    """What the digital unit's time adds to the arrays': all of it where both take turns."""

    @cached_property
    def energy_pj(self) -> Interval:
        return summed(self.energy.values())

    @cached_property
    def time_ns(self) -> Interval:
        """Layers run one after the other."""
        return self.array_ns + self.added_ns


@dataclass(frozen=True)
class Estimate:
    """The work and the charges of a program's instructions, and the prices behind them."""

    pricing: Pricing
    works: tuple[Work, ...]
    bits: tuple[int, ...]
    """Bits of the input codes of each instruction, which say how long a phase takes."""
    charges: tuple[Charge, ...]
    samples: int = 0
    """Samples whose data were counted, 0 where none were."""

    @property
    def target(self) -> Target:
        return self.pricing.target

    @cached_property
    def _shares(self) -> Mapping[Charge, int]:
        """Each charge, and how many instructions share it."""
        return Counter(self.charges)

    def _summed(self, part: Callable[[Charge], Interval]) -> Interval:
        return summed(part(charge).times(count) for charge, count in self._shares.items())

    @cached_property
    def energy_pj(self) -> Interval:
        return self._summed(lambda charge: charge.energy_pj)

    @cached_property
    def array_ns(self) -> Interval:
        return self._summed(lambda charge: charge.array_ns)

    @property
    def power_mw(self) -> Interval | None:
        """The mean power while samples follow one another (pJ a ns), None where they may take no time."""
        return self.energy_pj / self.time_ns if self.time_ns.low else None

    @cached_property
    def counters(self) -> Counters:
        """What the whole program does."""
        return total(work.counters for work in self.works)

    @cached_property
    def time_ns(self) -> Interval:
        return self._summed(lambda charge: charge.time_ns)

    def component(self, name: str) -> Interval:
        """Return the energy in pJ that one component takes."""
        return self._summed(lambda charge: charge.energy[name])

    def by_bits(self) -> Mapping[int, Counters]:
        """Return what is done for input codes of so many bits."""
        found: dict[int, list[Counters]] = {}
        for work, bits in zip(self.works, self.bits, strict=True):
            found.setdefault(bits, []).append(work.counters)
        return {bits: total(counts) for bits, counts in found.items()}

    @property
    def missing(self) -> tuple[str, ...]:
        """The counters that the program has and that have no price."""
        unpriced = (name for name in self.pricing.paid if self.pricing.each(name) is None)
        return tuple(name for name in unpriced if self._done(self.counters, name))

    def _done(self, work: Counters, name: str) -> bool:
        """Return whether any of a counter was done, or may have been where nobody counted."""
        uncounted = name in DATA and not self.pricing.counted
        return bool(work.cells if uncounted else getattr(work, name))


def estimate(program: Program, data: DataCounting | None = None, basis: str = PUBLISHED) -> Estimate:
    """Return what a program takes for one sample, in the mean of those that `data` has counted.

    Raises Trap on a fault of the program's static facts, CimcError CIM0301 where its target lacks what is asked for.
    """
    pricing = Pricing(_target(program), basis, data is not None)
    _require_basis(pricing)
    done = works(program)
    if data:
        done = tuple(work.with_data(data.means(index)) for index, work in enumerate(done))
    bits = tuple(input_bits(program, pricing.target))
    charges = charges_of(program, pricing, done, bits)
    return Estimate(pricing, done, bits, charges, data.samples if data else 0)


def charges_of(program: Program, pricing: Pricing, works: Sequence[Work], bits: Sequence[int]) -> tuple[Charge, ...]:
    """Return what each instruction takes, given what it does and the bits of its input codes."""
    charges = tuple(map(cache(partial(charge, pricing)), (work.counters for work in works), bits))
    return _overlapped(program, works, charges, pricing.target) if overlaps(pricing.target) else charges


def overlaps(target: Target) -> bool:
    """Return whether arrays and digital unit work at the same time."""
    return bool(target.constants.get("timing.overlap", False))


def _overlapped(
    program: Program, done: Sequence[Work], charges: Sequence[Charge], target: Target
) -> tuple[Charge, ...]:
    """Return the charges of a target on which digital work passes beside that of the arrays."""
    longer = added(program, done, [one.array_ns for one in charges], [one.digital_ns for one in charges])
    return tuple(_lasting(one, more, target) for one, more in zip(charges, longer, strict=True))


def _lasting(charge: Charge, added_ns: Interval, target: Target) -> Charge:
    """Return a charge to whose time digital work adds so much: tiles leak as long as that takes."""
    leak = leaked(target, charge.array_ns + added_ns)
    return replace(charge, added_ns=added_ns, energy={**charge.energy, "leak": leak})


def _target(program: Program) -> Target:
    try:
        return target_of(program.meta["target"])
    except (KeyError, TypeError, ValueError) as error:
        hint = "a program that `cimc compile` writes carries a whole target"
        raise fail(
            "CIM0301", f"the program's target is not whole, its costs are unknown: {error} is missing", hint=hint
        ) from None


def _require_basis(pricing: Pricing) -> None:
    """Raise CimcError unless the target has a price of the array on the basis asked for: a total never mixes two."""
    wanted, other = BASES[pricing.basis], BASES[PUBLISHED if pricing.basis == BOTTOM_UP else BOTTOM_UP]
    if all(key in pricing.target.constants for key in wanted):
        return
    found = next((key for key in other if key in pricing.target.constants), "nothing")
    message = f"{pricing.target.name} has no {wanted[0]}, its array is priced by {found}: no total mixes two bases"
    raise fail("CIM0301", message, hint=f"leave out --basis {pricing.basis}, or give the target [bottom_up] prices")


def input_bits(program: Program, target: Target) -> list[int]:
    """Return the bits of each instruction's input codes: the DAC's, or fewer where mixed precision lowered them."""
    full = int(target.constants["dac.bits"])
    lowered = _lowered(program.meta)
    layers = (program.layer_at(index) for index in range(len(program.instructions)))
    return [min(lowered.get(layer.tensor, full), full) if layer else full for layer in layers]


def _lowered(meta: Mapping[str, Any]) -> dict[str, int]:
    """Return tensor -> bits of the input of the layers whose precision was lowered."""
    ranges = meta.get("ranges")
    bits = ranges.get("bits") if isinstance(ranges, Mapping) else None
    pairs = bits.items() if isinstance(bits, Mapping) else ()
    return {tensor: pair[0] for tensor, pair in pairs if isinstance(pair, list) and pair and isinstance(pair[0], int)}


def charge(pricing: Pricing, counters: Counters, bits: int | None = None) -> Charge:
    """Return what so much work takes, for input codes of so many bits (None: all of the DAC's)."""
    energy = {name: priced(pricing, counters, paid) for name, paid in COMPONENTS.items()}
    energy["array"] = array_energy(pricing, counters, bits)
    phases = phase_time(pricing.target, bits).times(counters.serial_phases)
    digital = _digital_time(pricing.target, counters)
    energy["leak"] = leaked(pricing.target, phases + digital)
    return Charge(counters, energy, phases, digital, digital)


def leaked(target: Target, time_ns: Interval) -> Interval:
    """Return the energy in pJ that all tiles take in a time whatever they do: mW times ns."""
    return price(target, LEAK).times(target.tiles or 0) * time_ns


def priced(pricing: Pricing, counters: Counters, paid: Sequence[str]) -> Interval:
    """Return the energy in pJ of the counters named; what has no price is not in it."""
    known = (name for name in paid if name in pricing.prices)
    return summed(pricing.prices[name].times(getattr(counters, name)) for name in known)


def array_energy(pricing: Pricing, counters: Counters, bits: int | None = None) -> Interval:
    """Return the energy in pJ of the arrays: by phases, rows driven and pulses, or bottom-up by converters and cells.

    Rows that could be driven are taken to be, where no data were counted.
    """
    target = pricing.target
    if pricing.basis == BOTTOM_UP:
        return priced(pricing, counters, tuple(CONVERTERS_AND_CELLS))
    if not counters.phases:
        return Interval()
    phases = (phase_energy(target, bits) * driven_share(pricing, counters)).times(counters.phases)
    return phases + priced(pricing, counters, tuple(PULSES))


def driven_share(pricing: Pricing, counters: Counters) -> Interval:
    """Return what phases take with the rows that are driven in them, as a share of what they take with all."""
    driven = Fraction(counters.row_on if pricing.counted else counters.row_slots)
    return row_share(pricing.target, driven / (counters.phases * pricing.target.rows))


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
