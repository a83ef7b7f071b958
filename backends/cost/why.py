"""Why an energy is what it is: the terms of its sum, each a counter times a price from some source."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

from cimc.backends.cost.counters import Counters
from cimc.backends.cost.estimate import COMPONENTS, CONVERTERS_AND_CELLS, LEAK, PULSES, Estimate, driven_share, priced
from cimc.targets.prices import BOTTOM_UP, PICOJOULE, TECH_SCALE, Interval, at_node, is_scaled, phase_time, price
from cimc.targets.schema import CONSTANTS


@dataclass(frozen=True)
class Term:
    """So many of a counter, paid by a constant of the target, take an energy in pJ.

    `value` is the price as it is paid at the target's node, in the constant's unit.
    """

    counter: str
    count: float
    price: str
    value: float
    unit: str
    source: str
    energy: Interval


def terms(estimate: Estimate, what: str) -> list[Term]:
    """Return the terms of the whole energy (`energy`) or of one component's, largest first: they sum up to it."""
    chosen = COMPONENTS if what == "energy" else (what,)
    found = (term for name in chosen for term in _of(estimate, name))
    return sorted((term for term in found if term.energy.high), key=lambda term: -term.energy.value)


def _of(estimate: Estimate, component: str) -> Iterator[Term]:
    if component == "leak":
        yield from _leak(estimate)
    elif component != "array":
        yield from _each(estimate, COMPONENTS[component])
    elif estimate.pricing.basis == BOTTOM_UP:
        yield from _each(estimate, tuple(CONVERTERS_AND_CELLS))
    else:
        for bits, work in estimate.by_bits().items():
            yield from _phases(estimate, work, bits)
        yield from _each(estimate, tuple(PULSES))


def _each(estimate: Estimate, counters: tuple[str, ...]) -> Iterator[Term]:
    work = estimate.counters
    for name in counters:
        if key := estimate.pricing.each(name):
            yield _term(estimate, name, getattr(work, name), key, priced(estimate.pricing, work, (name,)))


def _leak(estimate: Estimate) -> Iterator[Term]:
    if LEAK in estimate.target.constants:
        tiles, time = estimate.target.tiles, float(estimate.time_ns.value)
        yield _term(estimate, f"ns of {tiles} tiles", Fraction(time), LEAK, estimate.component("leak"))


def _phases(estimate: Estimate, work: Counters, bits: int) -> Iterator[Term]:
    """Yield what phases take for input codes of so many bits: power while they last, and their fixed part."""
    target, what = estimate.target, f"phases at {bits} bits"
    if not work.phases:
        return
    share = driven_share(estimate.pricing, work).times(work.phases * PICOJOULE)
    power = price(target, "energy.array_power") * phase_time(target, bits)
    fixed = price(target, "energy.product_fixed").times(Fraction(1, int(target.constants["adc.multiplexing"])))
    yield _term(estimate, what, work.phases, "energy.array_power", power * share)
    yield _term(estimate, what, work.phases, "energy.product_fixed", fixed * share)


def _term(estimate: Estimate, counter: str, count: int | Fraction, key: str, energy: Interval) -> Term:
    value, source = float(at_node(estimate.target, key).value), estimate.target.sources[key]
    name = f"{key} x {TECH_SCALE}" if is_scaled(estimate.target, key) else key
    return Term(counter, float(count), name, value, CONSTANTS[key].unit, source, energy)
