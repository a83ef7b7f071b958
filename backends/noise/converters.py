"""Imperfect converters: the errors of physical ADCs, in integers, one at a time.

An ADC serves `multiplexing` neighbouring columns, every vector and every read phase with the same offset, gain error
and bow. With array sum s, gain m / 2^k and error e in Q16 LSB:

    code = clip(round((s * m' + round(e * 2^k / 2^16)) / 2^k))
"""

from dataclasses import dataclass

from cimc.backends.machine.facts import Gain, Machine, machine
from cimc.backends.machine.rounding import clamp, half_even
from cimc.backends.machine.traps import Trap
from cimc.backends.noise import draws
from cimc.backends.noise.chip import require_tile
from cimc.backends.noise.fixed_point import NORMAL_BITS, rounded, scaled
from cimc.backends.noise.sources import Noise
from cimc.backends.noise.table import ADC_GAIN, ADC_INL, ADC_OFFSET
from cimc.isa.program import Program

GAIN_ERROR_BITS, ERROR_BITS = 20, 16
LARGEST_ERROR = 1 << 28
LARGEST_DIVIDE = 40
"""2^28 * 2^40 / 2^16 = 2^52: errors and sums together stay below 2^53."""
BOWED_BITS = 14
"""The bow, up to 2^25, times the square of a code stays below 2^53."""


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
    return noise is not None and (noise.has("adc") or noise.has("output"))


@dataclass(frozen=True)
class AdcErrors:
    """One ADC: offset and bow in Q16 LSB, gain error in Q20."""

    offset: int = 0
    gain: int = 0
    bow: int = 0


def adc_errors(machine: Machine, noise: Noise, tile: int, column: int) -> AdcErrors:
    """Return the errors of the ADC that serves a column."""
    if noise.chip:
        return AdcErrors(*require_tile(noise.chip, tile).adc[:, column].tolist())
    if not noise.has("adc"):
        return AdcErrors()
    adc = machine.adc_of(column)

    def error(purpose: int, name: str, bits: int) -> int:
        z = draws.normal(noise.seed, purpose, tile, 0, 0, adc)
        return int(rounded(scaled(noise.profile.numbers[f"adc.{name}"], bits) * z, NORMAL_BITS))

    return AdcErrors(
        error(ADC_OFFSET, "offset", ERROR_BITS),
        error(ADC_GAIN, "gain", GAIN_ERROR_BITS),
        error(ADC_INL, "inl", ERROR_BITS),
    )


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


def convert(machine: Machine, gain: Gain, total: int, errors: AdcErrors, output: int = 0) -> int:
    """Return the code of an array sum before it is clipped; `output` is the noise of this product in Q16 LSB."""
    product, unit = total * multiplier(gain, errors), 1 << gain.divide
    error = errors.offset + output + _bow(machine, errors, half_even(product, unit))
    error = clamp(error, -LARGEST_ERROR, LARGEST_ERROR)
    disturbed = product + rounded(error << gain.divide, ERROR_BITS)
    return disturbed // unit if machine.adc_rounding == "floor" else half_even(disturbed, unit)


def _bow(machine: Machine, errors: AdcErrors, code: int) -> int:
    """Return the integral nonlinearity at a code: a parabola, largest at 0, nothing at the highest code."""
    high = machine.adc_range.high
    code = clamp(code, -high, high)
    return errors.bow * (high * high - code * code) // (high * high)
