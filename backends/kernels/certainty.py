"""What floats tell of results: where they are exact, and how near a whole number an estimate has to lie."""

from collections.abc import Sequence

import numpy as np

from cimc.backends.kernels.library import NativeNoise, NativeStep, Part
from cimc.backends.plan.block_read import Conversion
from cimc.backends.plan.exact import FLOAT32_LIMIT, Epilogue
from cimc.backends.plan.memory import Array

LARGEST = 1 << 22
"""Results up to this magnitude are rounded in float."""
LEAST_CERTAIN = 0.47
"""Floats estimate codes and results where at most 6 in 100 lie so near the middle between two that they do not tell."""
LEAST_CERTAIN_OF_ROWS = 0.4995
"""The same of products, 1 in 1000: a row of two blocks of columns is made again for one of them."""


def certainty(
    step: NativeStep, e: Epilogue, bounds: list[float], is_exact: bool, before: float = 0.0, fused: bool = False
) -> float:
    """Return how near a whole number results in floats tell the exact ones: 1 where they always do, 0 where too seldom.

    `bounds` are the largest terms, summed in order before B is added; `is_exact`: floats hold them and their sums where
    they hold all else. Otherwise each rounding is off by at most 2^-24 of what is rounded: `before` in all before the
    terms; the tables where floats do not hold them; products that are not `fused` with their addition; every sum. The
    last sums matter only where the result is not clipped anyway. Of a lone fused product the only sum is the result.
    """
    if step.certain == 1 and is_exact:
        return 1.0
    offset, limit, largest = float(np.abs(e.offsets).max()), max(-step.low, step.high), sum(bounds)
    near = min(limit + 1, largest + offset)
    last = min(largest, unclipped(step, e))
    terms = bounds if len(bounds) > 1 else [last]
    lone = fused and len(bounds) == 1
    rounded = [before, near] if lone else [before, *np.cumsum(bounds[:-1]), last, near if offset else 0.0]
    rounded += [] if fused else terms[1:]
    rounded += [] if all(map(is_float, e.multipliers)) else terms
    rounded += [] if is_float(e.offsets) else [offset]
    certain = 0.5 - 1.01 * sum(rounded) / FLOAT32_LIMIT
    return certain if certain >= LEAST_CERTAIN and limit < LARGEST else 0.0


def certainty_of_parts(step: NativeStep, parts: Sequence[Part], bounds: list[int], largest: list[float]) -> float:
    """Return how certain results of a product remain, whose sums reach `bounds`: 1 only where floats round all codes.

    Sums that are codes themselves, whatever their size, are for the form that estimates results, certain up to 0.5; of
    one part alone with noise: estimates of it are not whole, and off by up to half of the `largest` multiplier.
    """
    rounded = all(part.narrow_sums and not part.converter for part in parts)
    if step.squares and rounded and all(map(_is_estimated, parts)):
        return float(step.certain == 1)
    held = [_holds(part, bound) for part, bound in zip(parts, bounds, strict=True)]
    if step.squares:
        certain = min(float(step.certain), 0.5) - 0.5001 * largest[0]
        return certain if held == [True] and certain >= LEAST_CERTAIN else 0.0
    if rounded:
        return float(step.certain)
    estimated = all(part.narrow_sums or whole for part, whole in zip(parts, held, strict=True))
    return min(float(step.certain), 0.5) if estimated and not any(part.converter for part in parts) else 0.0


def can_split(
    step: NativeStep, e: Epilogue, bounds: list[float], parts: list[Part], conversions: list[Conversion]
) -> bool:
    """Return whether floats hold codes, the whole numbers in terms of up to `bounds`, their sums, and what they leave.

    Those of one term alone may be larger: what they round is clipped. With noise, floats tell the whole number it is.
    """
    held = [_holds(part, each.bound) for part, each in zip(parts, conversions, strict=True)]
    if step.squares:
        peaks = [each.noise.peak for each in conversions if each.noise]
        if not all(held) or max(peaks) >= LARGEST:
            return False
    elif any(part.converter for part in parts) or not all(p.narrow_sums or h for p, h in zip(parts, held, strict=True)):
        return False
    offset = float(np.abs(e.offsets).max())
    summed = (sum(bounds) if len(bounds) > 1 else 0.0) + offset
    tables = [m.astype(np.float64) for m in e.multipliers]
    is_left = all(is_float(m - m.astype(np.float32)) for m in tables)
    return is_left and summed < FLOAT32_LIMIT / 2 and max(-step.low, step.high) < LARGEST


def unclipped(step: NativeStep, e: Epilogue) -> float:
    """Return the largest magnitude of a sum of terms that is not clipped with B added to it."""
    return float(max(-step.low, step.high) + 1 + np.abs(e.offsets).max())


def is_whole(read: Conversion) -> bool:
    """Return whether the codes of a block are its sums, with noise or without."""
    is_perfect = not (read.noise and read.noise.converter)
    return is_perfect and read.adc.factor == 1 and read.bound <= min(-read.adc.low, read.adc.high)


def _is_estimated(part: Part) -> bool:
    """Return whether floats estimate a block's codes, and leave few of them in doubt."""
    return bool(part.noise) and NativeNoise.from_address(part.noise).certain >= LEAST_CERTAIN


def is_float(table: Array) -> bool:
    """Return whether floats hold every number of a table."""
    return bool(np.all(table.astype(np.float32) == table))


def _holds(part: Part, bound: int) -> bool:
    """Return whether floats hold the codes of a part that are its sums, of up to `bound`."""
    return bool(part.whole and bound < FLOAT32_LIMIT)
