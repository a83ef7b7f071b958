"""Prices of a target: what a counted thing costs, how sure that is, and what has no price."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Protocol

from cimc.targets.schema import CONSTANTS
from cimc.targets.target import Target

SPREAD = {"verified": Fraction(2, 100), "secondary": Fraction(1, 10)}
"""How far a constant may lie to either side where it states no bounds."""
FACTOR = 2
"""By how much any other constant may be off: an unverified or derived one that states no bounds."""
PUBLISHED, BOTTOM_UP = "published", "bottom-up"
"""Prices fitted to what a chip's makers publish, or the sum of component models; no total mixes the two."""
BASES = {PUBLISHED: ("energy.array_power", "energy.product_fixed"), BOTTOM_UP: ("bottom_up.conversion",)}
"""Basis -> the prices of the array that a target needs for it."""
PHASES = {6: "timing.phase_6", 4: "timing.phase_4"}
"""Bits of input codes -> the time of a phase, where a target states one for fewer bits than its DAC has."""
SMALLER = {"aJ": Fraction(1, 10**6)}
"""pJ in one of a smaller unit."""
PICOJOULE = 1000
"""pJ in a nJ, and in a W times a ns."""
TECH_SCALE = "digital.tech_scale"
SCALED = ("energy.multiply", "energy.add", "energy.table", "energy.divide", "energy.requant")
"""Prices of the digital unit: stated for one node, they are paid at another, TECH_SCALE times as much."""


@dataclass(frozen=True)
class Interval:
    """A value and its bounds, exact: sums of prices times counters lose nothing."""

    value: Fraction = Fraction(0)
    low: Fraction = Fraction(0)
    high: Fraction = Fraction(0)

    @property
    def ends(self) -> tuple[Fraction, Fraction, Fraction]:
        """The value, the lower bound and the upper bound."""
        return self.value, self.low, self.high

    def __add__(self, other: "Interval") -> "Interval":
        return Interval(self.value + other.value, self.low + other.low, self.high + other.high)

    def __mul__(self, other: "Interval") -> "Interval":
        """Return the product of two intervals, neither of them below 0."""
        return Interval(self.value * other.value, self.low * other.low, self.high * other.high)

    def __truediv__(self, other: "Interval") -> "Interval":
        """Return the quotient of two intervals, the first not below 0 and the other above it."""
        return Interval(self.value / other.value, self.low / other.high, self.high / other.low)

    def times(self, factor: int | Fraction) -> "Interval":
        """Return the interval times a known number, 0 or more."""
        return Interval(self.value * factor, self.low * factor, self.high * factor)


ONE = Interval(Fraction(1), Fraction(1), Fraction(1))


def summed(intervals: Iterable[Interval]) -> Interval:
    """Return the sum; most terms of a long program are nothing, and exact sums are slow."""
    return sum((one for one in intervals if one.value or one.high), Interval())


def exact(number: Any) -> Fraction:
    """Return a number as it is written, not as a float holds it."""
    return Fraction(str(number))


class Priced(Protocol):
    """A chip by path of its constants: values, tags, and the bounds of those that state them."""

    @property
    def constants(self) -> Mapping[str, Any]: ...
    @property
    def sources(self) -> Mapping[str, str]: ...
    @property
    def bounds(self) -> Mapping[str, tuple[float, float]]: ...


def constant(target: Priced, key: str) -> Interval | None:
    """Return a constant with its bounds, its own or what its source is trusted for; None where there is none."""
    if key not in target.constants:
        return None
    value, source = exact(target.constants[key]), target.sources[key]
    if key in target.bounds:
        low, high = map(exact, target.bounds[key])
        return Interval(value, low, high)
    if source in SPREAD:
        return Interval(value, value * (1 - SPREAD[source]), value * (1 + SPREAD[source]))
    return Interval(value, value / FACTOR, value * FACTOR)


def price(target: Target, key: str) -> Interval:
    """Return a price, 0 where the target has none: what it would pay for is then not modelled, and said to be so."""
    return constant(target, key) or Interval()


def in_picojoules(target: Target, key: str) -> Interval:
    """Return the price of one thing in pJ, whatever the unit of the constant and the node that it is stated for."""
    return at_node(target, key).times(SMALLER.get(CONSTANTS[key].unit, 1))


def at_node(target: Target, key: str) -> Interval:
    """Return a price as it is paid at the target's node, in the constant's own unit."""
    stated = price(target, key)
    return stated * price(target, TECH_SCALE) if is_scaled(target, key) else stated


def is_scaled(target: Target, key: str) -> bool:
    """Return whether a price is stated for another node than the target's."""
    return key in SCALED and TECH_SCALE in target.constants


def phase_time(target: Target, bits: int | None = None) -> Interval:
    """Return the time in ns of one conversion of all ADCs, for input codes of so many bits (None: all of the DAC's).

    The shortest that the target states for codes that fit; where it states none for fewer bits, that of all of them.
    Converters with a clock settle, then decide a bit of their result each cycle, whatever the input codes.
    """
    if (clock := constant(target, "timing.clock")) is not None:
        return clock.times(int(target.constants.get("timing.settle", 0)) + int(target.constants["adc.bits"]))
    fewer = (n for n in sorted(PHASES) if bits is not None and bits <= n < int(target.constants["dac.bits"]))
    stated = next((PHASES[n] for n in fewer if PHASES[n] in target.constants), "timing.phase")
    return price(target, stated)


def phase_energy(target: Target, bits: int | None = None) -> Interval:
    """Return the energy in pJ of one conversion of all ADCs of a tile, all rows driven, by the bits of input codes.

    energy.array_power while the phase lasts, and energy.product_fixed whatever its time, shared by a product's phases:
    the line through the published points of AON-CiM (arXiv 2111.06503).
    """
    power, fixed = price(target, "energy.array_power"), price(target, "energy.product_fixed")
    multiplexing = int(target.constants["adc.multiplexing"])
    return (power * phase_time(target, bits) + fixed.times(Fraction(1, multiplexing))).times(PICOJOULE)


def row_share(target: Target, driven: Fraction) -> Interval:
    """Return the part of a phase's energy that is spent where only a share of the rows is driven.

    energy.idle_rows is what a phase takes with no row driven over what it takes with all; where a target does not say,
    idle rows cost as much as driven ones.
    """
    idle = constant(target, "energy.idle_rows") or ONE
    return Interval(*(part + (1 - part) * driven for part in (idle.value, idle.low, idle.high)))
