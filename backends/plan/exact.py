"""Exactness by bounds: which number type gives the same bits as integers, and the ADC and epilogue computed in it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cimc.backends.machine.facts import Gain, Machine
from cimc.backends.machine.traps import Trap
from cimc.isa.limits import ACCUMULATOR_BITS, ACCUMULATOR_LIMIT

Array = NDArray[Any]
FLOAT32_LIMIT = 1 << 24
FLOAT32 = np.dtype(np.float32)
FLOAT64 = np.dtype(np.float64)
OBJECT = np.dtype(object)


def exact_type(bound: int) -> np.dtype[Any]:
    """Return a type in which integers and sums of integers up to `bound` in magnitude are exact.

    Python integers (object) where even double would need a check: they are slow, and the accumulator's bound is
    then checked on every value.
    """
    if bound < FLOAT32_LIMIT:
        return FLOAT32
    return FLOAT64 if bound < ACCUMULATOR_LIMIT else OBJECT


def half_even(numerator: Array, denominator: Array | int) -> Array:
    """Return quotients rounded half to even, for arrays of int64 or of Python integers; denominators are positive."""
    quotient: Array = numerator // denominator
    rest = numerator - quotient * denominator
    rounded: Array = quotient + (2 * rest + (quotient & 1) > denominator)
    return rounded


def column_sums(values: Array, largest: int) -> Array:
    """Return the sums [n], int64, of whole numbers [rows, n] of up to `largest` in magnitude, in their own type.

    A product with ones reads floats once, row by row; numpy's sum over few columns takes several times as long.
    """
    limit = FLOAT32_LIMIT if values.dtype == FLOAT32 else ACCUMULATOR_LIMIT
    rows = max(limit // max(largest, 1), 1)
    total = np.zeros(values.shape[1], np.int64)
    for start in range(0, len(values), rows):
        part = values[start : start + rows]
        total += (np.ones(len(part), part.dtype) @ part).astype(np.int64)
    return total


@dataclass(frozen=True)
class Converter:
    """An ADC: codes of array sums, computed in place in `dtype`, which makes them equal to the exact integer rule."""

    dtype: np.dtype[Any]
    factor: float
    low: int
    high: int
    floor: bool

    def __call__(self, sums: Array) -> Array:
        """Return the codes; the array of sums is overwritten where its type is the converter's."""
        codes = self.rounded(sums)
        return np.clip(codes, self.low, self.high, out=codes)

    def rounded(self, sums: Array) -> Array:
        """Return the codes before clipping, for counting clips; the sums may be overwritten."""
        scaled = sums if sums.dtype == self.dtype else sums.astype(self.dtype)
        scaled *= scaled.dtype.type(self.factor)
        return (np.floor if self.floor else np.rint)(scaled, out=scaled)


def converter(machine: Machine, gain: Gain, bound: int) -> Converter:
    """Return the ADC of a block whose sums stay at or below `bound` in magnitude."""
    dtype = FLOAT32 if converts_in_float32(machine, gain, bound) else FLOAT64
    factor = gain.multiplier * 2.0**-gain.divide
    return Converter(dtype, factor, *machine.adc_range, machine.adc_rounding == "floor")


def converts_in_float32(machine: Machine, gain: Gain, bound: int) -> bool:
    """Return whether the ADC's rule may be computed in float32: s exact, then one rounded product with m / 2^k.

    Let m / 2^k be in lowest terms. Either the product itself is exact, or its rounding cannot change the code. For the
    latter let n be the bits of the highest code and |t| < 2^n, with t = s * m / 2^k: larger ones clip, because rounding
    is monotone and 2^n is a float32. A code changes only if t is no rounding boundary h (a half-integer or integer,
    itself a float32) but its float32 is. That needs |t - h| <= 2^(n-25), half the largest spacing of float32 below 2^n;
    yet t and h are multiples of 2^-k where k >= 1. So k <= 24 - n is enough, n being one less for codes with a sign.
    """
    if bound >= FLOAT32_LIMIT or machine.adc_range.high >= FLOAT32_LIMIT:
        return False
    power_of_two = gain.multiplier & -gain.multiplier
    multiplier, divide = gain.multiplier // power_of_two, gain.divide - (power_of_two.bit_length() - 1)
    return divide <= 24 - machine.adc_range.high.bit_length() or bound * multiplier < FLOAT32_LIMIT


def highest_code(machine: Machine, gain: Gain, bound: int) -> int:
    """Return the largest magnitude of a code for sums at or below `bound`."""
    return min(machine.adc_range.magnitude, (bound * gain.multiplier >> gain.divide) + 1)


@dataclass(frozen=True)
class Rounding:
    """The last step of the digital unit: clamp(round(sum / 2^shift), low, high)."""

    shift: int
    low: int
    high: int

    @property
    def nearest(self) -> int:
        """The magnitude that every result has at least: above 0 where the clamp lies on one side of it."""
        return max(self.low, -self.high, 0)

    def of_integers(self, sums: Array) -> Array:
        """Return results of sums held as Python integers, whose bound is checked here."""
        if sums.size and max(abs(sums.min()), abs(sums.max())) >= ACCUMULATOR_LIMIT:
            found = f"an accumulator reaches 2^{ACCUMULATOR_BITS}"
            raise Trap("CIM0515", found, "larger right shifts or smaller offsets would help")
        return np.minimum(np.maximum(half_even(sums, 1 << self.shift), self.low), self.high)

    def of_quotients(self, quotients: Array) -> Array:
        """Return results of exact floating-point quotients sum / 2^shift, in place."""
        np.rint(quotients, out=quotients)
        limit = FLOAT32_LIMIT if quotients.dtype == FLOAT32 else ACCUMULATOR_LIMIT
        low, high = (min(max(value, -limit), limit) for value in (self.low, self.high))
        return np.clip(quotients, low, high, out=quotients)


@dataclass(frozen=True)
class Epilogue:
    """round((sum_t value_t * M_t + B) / 2^shift) with one table M_t a term; tables broadcast against the terms.

    In floating point the tables are divided by 2^shift beforehand: powers of two change no digit.
    """

    dtype: np.dtype[Any]
    multipliers: tuple[Array, ...]
    offsets: Array
    rounding: Rounding

    def __call__(self, terms: Sequence[Array], out: Array | None = None) -> Array:
        """Return the results in the shape of a term; a first term of the epilogue's type is overwritten."""
        if self.dtype == OBJECT:
            terms = [as_integers(term) for term in terms]
        first = out if out is not None else terms[0] if terms[0].dtype == self.dtype else None
        total = np.multiply(terms[0], self.multipliers[0], out=first, dtype=self.dtype)
        for term, multiplier in zip(terms[1:], self.multipliers[1:], strict=True):
            total += np.multiply(term, multiplier, dtype=self.dtype)
        total += self.offsets
        return self.rounding.of_integers(total) if self.dtype == OBJECT else self.rounding.of_quotients(total)

    def accumulators(self, terms: Sequence[Array]) -> Array:
        """Return the sums before shift and clamp, as int64: an epilogue that did not trap keeps them below 2^52."""
        total = self._whole(self.offsets)
        for term, multiplier in zip(terms, self.multipliers, strict=True):
            total = total + term.astype(np.int64) * self._whole(multiplier)
        return total

    def _whole(self, table: Array) -> Array:
        """Return a table as it was before it was divided by 2^shift."""
        if self.dtype == OBJECT:
            return table.astype(np.int64)
        return np.rint(table.astype(np.float64) * 2.0**self.rounding.shift).astype(np.int64)


def as_integers(values: Array) -> Array:
    """Return whole numbers as Python integers."""
    return values if values.dtype == OBJECT else values.astype(np.int64).astype(OBJECT)


def epilogue(multipliers: Sequence[Array], offsets: Array, rounding: Rounding, magnitudes: Sequence[int]) -> Epilogue:
    """Return the epilogue for int64 tables and terms of the given largest magnitudes."""
    tables = [as_integers(table) for table in multipliers]
    wide_offsets = as_integers(offsets)
    bounds = sum((abs(t) * magnitude for t, magnitude in zip(tables, magnitudes, strict=True)), abs(wide_offsets))
    dtype = exact_type(max(int(np.max(bounds, initial=0)), *magnitudes, rounding.nearest))
    if dtype == OBJECT:
        return Epilogue(dtype, tuple(tables), wide_offsets, rounding)
    scale = dtype.type(2.0**-rounding.shift)
    return Epilogue(dtype, tuple(t.astype(dtype) * scale for t in tables), offsets.astype(dtype) * scale, rounding)
