"""Fixed-point numbers of the noise machine, derived with exact or correctly rounded arithmetic: no libm."""

from decimal import Decimal, localcontext
from fractions import Fraction
from functools import cache
from typing import Any, overload

from numpy.typing import NDArray

Array = NDArray[Any]

DIGITS = 40
FINE_BITS = 12
"""A device's state is kept in fine units of 2^-12 of a conductance code."""
EXPONENT_BITS = 20
READ_BITS = 20
DAC_ERROR_BITS = 20
FLICKER_BITS = 16
NORMAL_BITS = 16
HALVING_BITS = 30
HALVING_CELLS = 10
LOG_GUARD = 128
CYCLE_SHIFT = 4
"""Cycle spreads are kept in units of 2^-8 of a code, coarser where the variance's bound asks for it."""
EXACT_DOUBLE = 1 << 53
"""A column's variance of cycle noise stays below this, so that double holds it exactly."""


@overload
def rounded(value: int, bits: int) -> int: ...


@overload
def rounded(value: Array, bits: int) -> Array: ...


def rounded(value: Any, bits: int) -> Any:
    """Return value / 2^bits rounded to the nearest integer, ties upwards: for integers and for arrays of int64."""
    return value + (1 << bits >> 1) >> bits


@overload
def shared(value: int, parts: int) -> int: ...


@overload
def shared(value: Array, parts: int) -> Array: ...


def shared(value: Any, parts: int) -> Any:
    """Return value / parts rounded to the nearest integer, ties upwards: for integers and for arrays of int64."""
    return (value + parts // 2) // parts


def scaled(value: Decimal, bits: int) -> int:
    """Return round(value * 2^bits)."""
    with localcontext() as context:
        context.prec = DIGITS
        return int((value * (1 << bits)).to_integral_value())


def cycle_shift(largest: int, devices: int, largest_input: int) -> int:
    """Return the bits that spreads of up to `largest` fine units lose, for the variance of a column to stay exact."""
    shift = CYCLE_SHIFT
    while devices * (largest_input * int(rounded(largest, shift))) ** 2 >= EXACT_DOUBLE:
        shift += 1
    return shift


def log2(ratio: Fraction) -> int:
    """Return floor(2^20 * log2(ratio)) for a ratio of at least 1: the integer part by halving, each bit by squaring."""
    whole = max((ratio.numerator // ratio.denominator).bit_length() - 1, 0)
    mantissa = (ratio.numerator << LOG_GUARD) // (ratio.denominator << whole)
    result = whole
    for _ in range(EXPONENT_BITS):
        mantissa = mantissa * mantissa >> LOG_GUARD
        bit = mantissa >> LOG_GUARD + 1
        mantissa >>= bit
        result = result << 1 | bit
    return result


def flicker(seconds: Decimal, duration: Decimal) -> int:
    """Return round(2^16 * sqrt(ln((t + t_read) / (2 t_read)))), the growth of 1/f noise until t; 0 before t_read."""
    with localcontext() as context:
        context.prec = DIGITS
        ratio = (seconds + duration) / (2 * duration)
        return scaled(ratio.ln().sqrt(), FLICKER_BITS) if ratio > 1 else 0


@cache
def halvings() -> tuple[int, ...]:
    """Return round(2^30 * 2^-(i / 1024)) for i = 0..1024."""
    with localcontext() as context:
        context.prec = DIGITS
        step = Decimal(2).ln() / (1 << HALVING_CELLS)
        return tuple(scaled((-step * i).exp(), HALVING_BITS) for i in range((1 << HALVING_CELLS) + 1))
