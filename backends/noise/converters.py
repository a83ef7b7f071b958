"""Imperfect converters: the errors of physical ADCs, in integers, one at a time.

An ADC serves `multiplexing` neighbouring columns, every vector and every read phase with the same offset, gain error
and bow. With array sum s, gain m / 2^k and error e in Q16 LSB:

    code = clip(round((s * m' + round(e * 2^k / 2^16)) / 2^k))

Where its levels are off, the ADC does not round but counts those of its thresholds that are not above what it is given.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cimc.backends.machine.facts import Gain, Machine, machine
from cimc.backends.machine.rounding import clamp, half_even
from cimc.backends.machine.traps import Trap
from cimc.backends.noise import draws
from cimc.backends.noise.chip import require_tile
from cimc.backends.noise.fixed_point import NORMAL_BITS, rounded, scaled
from cimc.backends.noise.sources import Noise
from cimc.backends.noise.table import ADC_GAIN, ADC_INL, ADC_LEVEL, ADC_OFFSET, ADC_SKEW
from cimc.isa.program import Program

GAIN_ERROR_BITS, ERROR_BITS = 20, 16
LARGEST_ERROR = 1 << 28
LARGEST_DIVIDE = 40
"""2^28 * 2^40 / 2^16 = 2^52: errors and sums together stay below 2^53."""
BOWED_BITS = 14
"""The bow, up to 2^25, times the square of a code stays below 2^53."""
LEVEL_BITS = 10
"""Every ADC keeps all of its thresholds where its levels are off."""
SKEW_PEAK = 170270
"""round(2^16 * 3 sqrt(3) / 2): brings the largest value of u (1 - u^2), at u = 1 / sqrt(3), to 1."""


def common_range(program: Program) -> dict[str, float] | None:
    """Return the gain m / 2^k that all ADCs share, and their range as r_ADC = s * r_DAC * W_max; None without one.

    An ADC's full scale is the sum of `s` rows at the largest code and the largest conductance.
    """
    gains = [one for one in program.instructions if one.name == "gain"]
    if len(gains) != 1 or gains[0].choice("scope") != "all":
        return None
    facts, gain = machine(program.meta), gains[0]
    full_scale = facts.adc_range.high * 2.0 ** gain["divide"] / gain["multiplier"]
    s = full_scale / (facts.dac_range.magnitude * facts.full_conductance)
    return {"multiplier": gain["multiplier"], "divide": gain["divide"], "s": s}


def imperfect(noise: Noise | None) -> bool:
    """Return whether ADCs have errors, or products noise at their ADC."""
    return noise is not None and (noise.has("adc") or noise.has("output") or has_levels(noise))


def has_levels(noise: Noise) -> bool:
    """Return whether thresholds of ADCs lie elsewhere than they should."""
    numbers = noise.profile.numbers
    return noise.has("levels") and bool(numbers["levels.sigma"] or numbers["levels.skew"])


@dataclass(frozen=True)
class AdcErrors:
    """One ADC: offset and bow in Q16 LSB, gain error in Q20.

    `levels` are by how much thresholds lie too high, in Q16 LSB and from the lowest one up; none: all are right.
    """

    offset: int = 0
    gain: int = 0
    bow: int = 0
    levels: tuple[int, ...] = ()


def adc_errors(machine: Machine, noise: Noise, tile: int, column: int) -> AdcErrors:
    """Return the errors of the ADC that serves a column."""
    if noise.chip:
        return AdcErrors(*require_tile(noise.chip, tile).adc[:, column].tolist())
    adc = machine.adc_of(column)
    levels = _levels(machine, noise, tile, adc) if has_levels(noise) else ()
    if not noise.has("adc"):
        return AdcErrors(levels=levels)
    return AdcErrors(
        _error(noise, ADC_OFFSET, "adc.offset", ERROR_BITS, tile, adc),
        _error(noise, ADC_GAIN, "adc.gain", GAIN_ERROR_BITS, tile, adc),
        _error(noise, ADC_INL, "adc.inl", ERROR_BITS, tile, adc),
        levels,
    )


def _error(noise: Noise, purpose: int, name: str, bits: int, tile: int, adc: int) -> int:
    """Return the error of an ADC whose spread a profile has under a name."""
    z = draws.normal(noise.seed, purpose, tile, 0, 0, adc)
    return int(rounded(scaled(noise.profile.numbers[name], bits) * z, NORMAL_BITS))


def _levels(machine: Machine, noise: Noise, tile: int, adc: int) -> tuple[int, ...]:
    """Return by how much the thresholds of an ADC lie too high: each by its own draw, all by an odd curve.

    The curve is 0 at code 0 and at the highest one, and its peak between them is drawn once.
    """
    low, high = machine.adc_range
    z = draws.normals(noise.seed, ADC_LEVEL, tile, np.zeros(1), np.array([adc]), range(high - low)).reshape(-1)
    own = rounded(scaled(noise.profile.numbers["levels.sigma"], ERROR_BITS) * z.astype(np.int64), NORMAL_BITS)
    peak, full = _error(noise, ADC_SKEW, "levels.skew", ERROR_BITS, tile, adc) * SKEW_PEAK, 2 * high
    middles = (2 * code - 1 for code in range(low + 1, high + 1))
    skewed = (peak * middle * (full**2 - middle**2) // (full**3 << 16) for middle in middles)
    return tuple(one + curve for one, curve in zip(own.tolist(), skewed, strict=True))


def thresholds(machine: Machine, gain: Gain, levels: Sequence[int]) -> list[int]:
    """Return the least inputs, in units of 2^-k of a code, at which the ADC counts one code more; ascending."""
    unit, first = 1 << gain.divide, machine.adc_range.low + 1
    if machine.adc_rounding == "floor":
        right = [code * unit for code in range(first, first + len(levels))]
    else:
        # a tie goes to the even code: an odd one begins behind it
        right = [(2 * code - 1) * unit + 1 + (code & 1) >> 1 for code in range(first, first + len(levels))]
    return sorted(at + rounded(off << gain.divide, ERROR_BITS) for at, off in zip(right, levels, strict=True))


def multiplier(gain: Gain, errors: AdcErrors) -> int:
    """Return the multiplier m' of an ADC with a gain error."""
    return gain.multiplier + int(rounded(gain.multiplier * errors.gain, GAIN_ERROR_BITS))


def require_convertible(machine: Machine, noise: Noise, gain: Gain) -> None:
    """Trap where converter errors do not fit the number formats."""
    if not imperfect(noise):
        return
    if gain.divide > LARGEST_DIVIDE:
        raise Trap("CIM0533", f"the gain's k is {gain.divide}, ADC errors are modelled up to {LARGEST_DIVIDE}")
    if machine.adc_bits > BOWED_BITS:
        raise Trap("CIM0533", f"the ADC has {machine.adc_bits} bits, its errors are modelled up to {BOWED_BITS}")
    if has_levels(noise) and machine.adc_bits > LEVEL_BITS:
        raise Trap("CIM0533", f"the ADC has {machine.adc_bits} bits, its levels are modelled up to {LEVEL_BITS}")


def convert(machine: Machine, gain: Gain, total: int, errors: AdcErrors, output: int = 0) -> int:
    """Return the code of an array sum before it is clipped; `output` is the noise of this product in Q16 LSB."""
    product, unit = total * multiplier(gain, errors), 1 << gain.divide
    error = errors.offset + output + _bow(machine, errors, half_even(product, unit))
    error = clamp(error, -LARGEST_ERROR, LARGEST_ERROR)
    disturbed = product + rounded(error << gain.divide, ERROR_BITS)
    nearest = disturbed // unit if machine.adc_rounding == "floor" else half_even(disturbed, unit)
    return _counted(machine, gain, disturbed, nearest, errors.levels) if errors.levels else nearest


def _counted(machine: Machine, gain: Gain, disturbed: int, nearest: int, levels: Sequence[int]) -> int:
    """Return the lowest code and as many more as thresholds are not above; beyond the ends the nearest code."""
    count = sum(disturbed >= at for at in thresholds(machine, gain, levels))
    low, high = machine.adc_range
    if count == 0:
        return min(low, nearest)
    return max(high, nearest) if count == len(levels) else low + count


def _bow(machine: Machine, errors: AdcErrors, code: int) -> int:
    """Return the integral nonlinearity at a code: a parabola, largest at 0, nothing at the highest code."""
    high = machine.adc_range.high
    code = clamp(code, -high, high)
    return errors.bow * (high * high - code * code) // (high * high)
