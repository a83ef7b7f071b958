"""Integer tables of a profile for one target's conductance codes, and what a time makes of them.

Codes run from 0 (the profile's lowest conductance) to `highest` (its highest); fine units are 2^-12 of a code.
Everything is derived in decimal arithmetic, the same on every machine.
"""

from dataclasses import dataclass
from decimal import Decimal, localcontext
from fractions import Fraction
from functools import cache

from cimc.backends.machine.traps import Refusal
from cimc.backends.noise.fixed_point import (
    DIGITS,
    EXPONENT_BITS,
    FINE_BITS,
    FLICKER_BITS,
    READ_BITS,
    flicker,
    log2,
    rounded,
    scaled,
)
from cimc.backends.noise.octaves import Memory, memory
from cimc.backends.noise.profiles import Profile
from cimc.backends.noise.profiles.curve import Curve
from cimc.backends.noise.table import RANGE

HIGHEST = 1 << 16
"""Codes beyond this would overflow 64-bit products."""


SATURATION = 4
"""No device conducts more than this many times the profile's highest conductance."""

LARGEST_SIGMA, LARGEST_RELATIVE, LARGEST_EXPONENT = 1 << 40, 1 << 31, 1 << 24


@dataclass(frozen=True)
class Spread:
    """Standard deviations per conductance code 0..2 * highest, interpolated between codes.

    `relative`: a fraction of the present conductance in Q20, looked up by the programmed value; otherwise in fine
    units, looked up by the present value.
    """

    relative: bool
    table: tuple[int, ...]

    def grown(self, growth: int) -> "Spread":
        """Return the spread times a Q16 factor."""
        return Spread(self.relative, tuple(rounded(value * growth, FLICKER_BITS) for value in self.table))


@dataclass(frozen=True)
class Aging:
    """A profile at one time.

    `exponent`: log2(t / t_0) in Q20 for power-law drift, else 0; `redraw`: spread around the target (fine units), None
    where nothing is redrawn; `shift`, `relaxation`: what a device loses, and its spread (fine units); `memory`: what
    read noise shares with other times.
    """

    exponent: int
    redraw: tuple[int, ...] | None
    shift: int
    relaxation: int
    read: Spread
    memory: Memory


@cache
def deviations(profile: Profile, section: str, highest: int) -> tuple[int, ...]:
    """Return the standard deviations `section`.sigma at codes 0..highest, times the section's scale, in fine units."""
    with localcontext() as context:
        context.prec = DIGITS
        factor = profile.numbers[f"{section}.scale"] * _unit(highest)
        return _values(profile, profile.curve(f"{section}.sigma"), factor, highest, LARGEST_SIGMA)


@cache
def spread(profile: Profile, section: str, highest: int) -> Spread:
    """Return the spread `section`.sigma, relative where its unit is 1, times the section's scale."""
    curve, scale = profile.curve(f"{section}.sigma"), profile.numbers[f"{section}.scale"]
    relative = curve.unit not in RANGE
    with localcontext() as context:
        context.prec = DIGITS
        factor = scale * (1 << READ_BITS) if relative else scale * _unit(highest)
        limit = LARGEST_RELATIVE if relative else LARGEST_SIGMA
        return Spread(relative, _values(profile, curve, factor, highest, limit, 2 * highest))


@cache
def exponents(profile: Profile, highest: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return mean and standard deviation of the drift exponent (Q20) at codes 0..highest."""
    with localcontext() as context:
        context.prec = DIGITS
        factor = profile.numbers["drift.scale"] * (1 << EXPONENT_BITS)
        curves = (profile.curve(key) for key in ("drift.mean", "drift.sigma"))
        mean, sigma = (_values(profile, curve, factor, highest, LARGEST_EXPONENT) for curve in curves)
        return mean, sigma


@cache
def aging(profile: Profile, highest: int, seconds: int) -> Aging:
    """Return a profile at a time in seconds since the first read. Raises Refusal CIM0532 where it knows none."""
    kind, scale = profile.choices["drift.kind"], profile.numbers["drift.scale"]
    start = profile.numbers["drift.start"] if kind == "power" else Decimal(0)
    with localcontext() as context:
        context.prec = DIGITS
        growth, shared = 1 << FLICKER_BITS, Memory()
        if profile.choices["read.time"] != "constant":
            growth = flicker(seconds + start, profile.numbers["read.duration"])
        if profile.choices["read.time"] == "correlated":
            shared = memory(seconds + start, profile.numbers["read.duration"])
        exponent, redraw, shift, relaxation = 0, None, 0, 0
        if kind == "power":
            exponent = log2(1 + Fraction(seconds) / Fraction(start))
        elif kind == "redraw" and seconds:
            redraw = _values(profile, _redraw(profile, seconds), scale * _unit(highest), highest, LARGEST_SIGMA)
        elif kind == "logarithm" and seconds:
            shift, relaxation = (
                scaled(_logarithmic(profile, key, seconds) * scale * highest, FINE_BITS)
                for key in ("drift.shift", "drift.relaxation")
            )
        return Aging(exponent, redraw, shift, relaxation, spread(profile, "read", highest).grown(growth), shared)


def ceiling(profile: Profile, highest: int) -> int:
    """Return the most that a device conducts, in fine units."""
    limited = profile.choices["device.limits"] == "both"
    return (highest if limited else SATURATION * highest) << FINE_BITS


def _unit(highest: int) -> Decimal:
    """Return the fine units in the whole conductance range."""
    return Decimal(highest << FINE_BITS)


def _values(
    profile: Profile, curve: Curve, factor: Decimal, highest: int, limit: int, last: int | None = None
) -> tuple[int, ...]:
    """Return round(curve * factor) at the codes 0..last, by default 0..highest. Raises Refusal CIM0533."""
    if highest > HIGHEST:
        raise Refusal("CIM0533", f"the highest conductance code is {highest}, noise is modelled up to {HIGHEST}")
    lowest, top = profile.numbers["device.lowest"], profile.numbers["device.highest"]
    codes = (Decimal(code) / highest for code in range((highest if last is None else last) + 1))
    values = tuple(int((curve.at(code, lowest, top) * factor).to_integral_value()) for code in codes)
    if max(values) > limit:
        raise Refusal("CIM0533", f"a spread of profile {profile.name} is {max(values)} units, {limit} is the most")
    return values


def _redraw(profile: Profile, seconds: int) -> Curve:
    for time, curve in profile.redraws:
        if time == seconds:
            return curve
    known = ", ".join(f"{time} s" for time, _ in profile.redraws)
    raise Refusal("CIM0532", f"profile {profile.name} knows its devices at 0 s, {known}, not at {seconds} s")


def _logarithmic(profile: Profile, key: str, seconds: int) -> Decimal:
    """Return a curve over x = ln(t / s), as a fraction of the conductance range."""
    return profile.curve(key).at(
        Decimal(seconds).ln(), profile.numbers["device.lowest"], profile.numbers["device.highest"]
    )
