"""The limits of numbers that every executor holds, each said once, with its reason.

Compiler passes and `evaluate` know this file of the instruction set and no other. It is no part of the hash that names
the instruction set, which is over encodings; the generated headers carry every name here that ends in _BITS. What codes
and conductances a target's numbers make is said here too: the compiler's targets and a program's machine both need it,
and neither may know the other.
"""

from typing import NamedTuple

PLACE_BITS = 16
"""Tiles, rows and columns are numbered, and counted, in operands of 16 bits."""

ADC_BITS = 33
"""Bits of the widest ADC: an array sum and its sign."""

FRACTION_BITS = 8
"""Bits below a conductance level at most: as many as a level's own number has."""

MULTIPLIER_BITS = 16
"""Multipliers M: |M| < 2^16, so that the accumulator has room for sums of codes up to 2^36."""

GAIN_BITS = 16
"""An ADC's multiplier m has exactly these bits: normalised, each gain has one encoding and the full precision."""

FACTOR_BITS = 16
"""Digital drift factors F have at most these bits: a column that lost three quarters of its sum is made up for."""

SHIFT_BITS = 6
"""Right shifts k of roundings and gains, 0 to 63: as far as a shifter of 64 bits goes."""

SUM_BITS = 32
"""Array sums: |s| < 2^32, so that s m has 48 bits and double, of 53, adds the errors of real ADCs exactly."""

PRODUCT_BITS = 53
"""Products s m of the ADC: double is exact below 2^53."""

ACCUMULATOR_BITS = 52
"""Sums, offsets and dividends of the digital unit: one bit less than double holds, for the half that makes a tie."""

ROOT_BITS = 62
"""What is under the root of `norm`: its root's successor, squared, still fits a signed 64-bit integer."""

NORM_BITS = 16
"""Fraction bits of a normalised element before its scale and bias: as fine as the finest codes, of 16 bits."""

PLACES_MOST = (1 << PLACE_BITS) - 1
MULTIPLIER_LIMIT = 1 << MULTIPLIER_BITS
GAIN_LOWEST, GAIN_LIMIT = 1 << GAIN_BITS - 1, 1 << GAIN_BITS
FACTOR_HIGHEST = (1 << FACTOR_BITS) - 1
SHIFT_HIGHEST = (1 << SHIFT_BITS) - 1
SUM_LIMIT = 1 << SUM_BITS
PRODUCT_LIMIT = 1 << PRODUCT_BITS
ACCUMULATOR_LIMIT = 1 << ACCUMULATOR_BITS
ROOT_LIMIT = 1 << ROOT_BITS
"""A LIMIT is the first magnitude refused, a HIGHEST or MOST the last value allowed."""

WINDOW_MOST = (1 << 12) - 1
"""Positions of a window along an axis: its kernel, its stride, and how far its elements lie apart."""

VALUE_MOST = (1 << 16) - 1
"""The highest value of a device, in 2^-F levels: those that are programmed, and are written raw, have 16 bits."""

PAIRS_MOST, SIGNIFICANCE_MOST = 2, 16
"""Device pairs of a cell, and how often the first counts for the second once."""

CODES = ("symmetric", "full")
"""Which codes of their bits converters have; `symmetric` leaves out the lowest, which has no counterpart above 0."""

ADC_CODES = (*CODES, "unsigned")
"""An ADC may also have the codes from 0 up, where no sum that it converts is negative: in four read phases."""


class CodeRange(NamedTuple):
    """The lowest and the highest code of a converter."""

    low: int
    high: int

    @property
    def magnitude(self) -> int:
        """The largest magnitude of a code."""
        return max(-self.low, self.high)


def code_range(bits: int, codes: str) -> CodeRange:
    """Return the codes of a DAC or an ADC of so many bits; `codes` is one of ADC_CODES."""
    if codes == "unsigned":
        return CodeRange(0, (1 << bits) - 1)
    high = (1 << bits - 1) - 1
    return CodeRange(-high - (codes == "full"), high)


def converters(columns: int, multiplexing: int) -> int:
    """Return how many ADCs a tile has; the last one may have fewer columns than the others."""
    return -(-columns // multiplexing)


def full_conductance(levels: int, fraction_bits: int) -> int:
    """Return the largest conductance that a device is programmed to, in units of 2^-fraction_bits levels."""
    return levels << fraction_bits
