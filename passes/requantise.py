"""Fixed-point requantisation: real ratios as 16-bit multipliers with one shift, real clamps as codes."""

import math

import numpy as np
from numpy.typing import NDArray

from cimc.diagnostics import fail
from cimc.ir.attributes import Floats, Integer, float_values, integer, integers
from cimc.ir.graph import Graph
from cimc.ir.types import CodeType, WeightRef
from cimc.isa.limits import ACCUMULATOR_BITS, ACCUMULATOR_LIMIT, MULTIPLIER_BITS, SHIFT_HIGHEST

Reals = NDArray[np.float64]
Integers = NDArray[np.int64]

QUOTIENT_BITS = 33
NOTHING: Reals = np.zeros(0)
AT_ONCE = 1 << 20
"""Elements of a large table that are doubles at one time: 8 MiB."""


def multipliers(ratios: Reals, label: str, bits: int = MULTIPLIER_BITS, added: Reals = NOTHING) -> tuple[Integers, int]:
    """Return integers M and a shift k with M / 2^k nearest to `ratios`, the largest |M| of exactly `bits` bits.

    Ratios so small that `added`, in steps of the result, would not fit the accumulator get fewer bits: what they
    multiply is then far below one step. Raises CimcError CIM0304 where a ratio is too large or not finite.
    """
    largest = float(np.max(np.abs(ratios), initial=0.0))
    if not math.isfinite(largest) or largest >= 1 << bits:
        raise fail(
            "CIM0304",
            f"value '{label}': scale ratio {largest:g} does not fit a {bits}-bit multiplier",
            hint="check the ranges of this value",
        )
    if largest == 0.0:
        return np.zeros(ratios.shape, np.int64), bits - 1
    shift = _fitting(added, min(bits - math.frexp(largest)[1], SHIFT_HIGHEST))
    if np.rint(math.ldexp(largest, shift)) >= 1 << bits:
        shift -= 1
    if shift < 0:
        raise fail(
            "CIM0304",
            f"value '{label}': scale ratio {largest:g} does not fit a {bits}-bit multiplier",
            hint="check the ranges of this value",
        )
    return np.rint(np.ldexp(ratios, shift)).astype(np.int64), shift


def multipliers_and_offsets(
    ratios: Reals, added: Reals, label: str, bits: int = MULTIPLIER_BITS
) -> tuple[Integers, Integers, int]:
    """Return the multipliers of ratios, what is added in steps of the result as their B, and the shift of both.

    Raises CimcError CIM0304 as `multipliers` and `offsets` do.
    """
    factors, shift = multipliers(ratios, label, bits, added)
    return factors, offsets(added, shift, label), shift


def _fitting(added: Reals, shift: int) -> int:
    """Return a shift, or the one by which what is added fills half of the accumulator where it would not fit."""
    largest = float(np.max(np.abs(added), initial=0.0))
    return shift if math.ldexp(largest, shift) < ACCUMULATOR_LIMIT else ACCUMULATOR_BITS - 1 - math.frexp(largest)[1]


def quotient_multiplier(ratio: float, label: str) -> tuple[int, int]:
    """Return m and k with m / 2^k nearest to a ratio above zero, m in 2^31 .. 2^32 - 1 or k = SHIFT_HIGHEST.

    A division has no sum to keep small, so its multiplier may be longer than those of sums.
    """
    shift = min(QUOTIENT_BITS - 1 - math.frexp(ratio)[1], SHIFT_HIGHEST)
    if not 0.0 < ratio < math.inf or shift < 0:
        raise fail(
            "CIM0304",
            f"value '{label}': scale ratio {ratio:g} does not fit a {QUOTIENT_BITS}-bit multiplier",
            hint="check the ranges of this value",
        )
    return round(math.ldexp(ratio, shift)), shift


def offsets(values: Reals, shift: int, label: str) -> Integers:
    """Return round(values * 2^shift) as the B of a rounding. Raises CimcError CIM0304 beyond the accumulator."""
    scaled = np.rint(np.ldexp(values, shift))
    if not np.all(np.abs(scaled) < ACCUMULATOR_LIMIT):
        raise fail(
            "CIM0304",
            f"value '{label}': an offset of {np.max(np.abs(scaled)):g} exceeds the {ACCUMULATOR_BITS}-bit accumulator",
            hint="check bias and ranges of this value",
        )
    return scaled.astype(np.int64)


def rounding_of(
    graph: Graph, label: str, scale: Integers, offset: Integers, shift: int
) -> dict[str, Integer | WeightRef]:
    """Return the properties of an operation that multiplies by integers, adds others and shifts; tables are stored."""
    return {
        "scale": graph.weights.add(f"{label}.scale", scale.astype(np.int32)),
        "offset": graph.weights.add(f"{label}.offset", offset.astype(np.int64)),
        "shift": integer(shift),
    }


def quantised(values: Reals, code: CodeType) -> Integers:
    """Return the nearest codes of real values, clamped to the type's codes."""
    codes = np.rint(values / code.scale.data) + code.zero.data
    clipped: Integers = np.clip(codes, code.low.data, code.high.data).astype(np.int64)
    return clipped


def stored(values: NDArray[np.generic], code: CodeType) -> NDArray[np.generic]:
    """Return the nearest codes of real values in the type that holds them, some at a time: tables may be large."""
    flat, codes = values.reshape(-1), np.empty(values.size, code.dtype)
    for start in range(0, flat.size, AT_ONCE):
        part = slice(start, start + AT_ONCE)
        codes[part] = quantised(flat[part].astype(np.float64), code)
    return codes.reshape(values.shape)


def code_clamp(clamp: Floats | None, code: CodeType) -> tuple[int, int]:
    """Return the codes between which a fused activation clamps; the whole range without one."""
    low, high = float_values(clamp) or (-math.inf, math.inf)
    bounds = quantised(np.array([low, high]), code)
    return int(bounds[0]), int(bounds[1])


def clamp_of(code: CodeType, clamp: Floats | None = None) -> dict[str, Integer]:
    """Return the properties of an operation that clamps to what `code_clamp` says."""
    low, high = code_clamp(clamp, code)
    return integers(low=low, high=high)
