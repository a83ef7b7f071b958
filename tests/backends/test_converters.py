"""Imperfect ADCs against their formula in exact rationals, and the limits up to which they are modelled."""

from fractions import Fraction
from math import ceil, floor

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cimc.backends.machine.facts import Gain, machine
from cimc.backends.noise.converters import (
    BOWED_BITS,
    LARGEST_DIVIDE,
    LARGEST_ERROR,
    AdcErrors,
    convert,
    multiplier,
)
from cimc.backends.noise.profiles import load_profile
from cimc.backends.noise.sources import Noise
from cimc.isa.limits import converters

FULL = 127
ADC = Noise(load_profile("generic,adc.offset=1"), sources=frozenset({"adc"}))


@pytest.mark.parametrize("columns", [1, 7, 8, 9, 100, 1024])
def test_every_column_has_a_converter_and_every_converter_a_column(new, columns: int) -> None:
    one = machine(new(array={"columns": columns}, adc={"multiplexing": 8}).program().meta)
    served = {one.adc_of(column) for column in range(columns)}
    assert served == set(range(converters(columns, 8)))


def up(value: Fraction) -> int:
    """Return the nearest integer, ties upwards."""
    return floor(value + Fraction(1, 2))


def by_formula(rounding: str, gain: Gain, total: int, errors: AdcErrors, output: int) -> int:
    """Return the code that docs/noise.md gives: round((s m' + round(e 2^k / 2^16)) / 2^k), e = offset + noise + bow."""
    scaled = gain.multiplier + up(Fraction(gain.multiplier * errors.gain, 1 << 20))
    ideal = min(max(round(Fraction(total * scaled, 1 << gain.divide)), -FULL), FULL)
    bow = floor(errors.bow * (1 - Fraction(ideal, FULL) ** 2))
    error = min(max(errors.offset + output + bow, -LARGEST_ERROR), LARGEST_ERROR)
    value = Fraction(total * scaled + up(Fraction(error << gain.divide, 1 << 16)), 1 << gain.divide)
    return floor(value) if rounding == "floor" else round(value)


@settings(derandomize=True, max_examples=150)
@given(
    style=st.sampled_from(["nearest-even", "floor"]),
    gain=st.builds(Gain, st.integers(1 << 15, (1 << 16) - 1), st.integers(14, LARGEST_DIVIDE)),
    total=st.integers(-(1 << 24), 1 << 24),
    errors=st.builds(
        AdcErrors,
        st.integers(-(1 << 19), 1 << 19),
        st.integers(-(1 << 18), 1 << 18),
        st.integers(-(1 << 20), 1 << 20),
    ),
    output=st.integers(-(1 << 20), 1 << 20),
)
def test_codes_are_those_of_the_formula(new, style, gain, total, errors, output):
    facts = machine(new(adc={"rounding": style}).meta)
    assert convert(facts, gain, total, errors, output) == by_formula(style, gain, total, errors, output)


@pytest.mark.parametrize(("error", "code"), [(LARGEST_ERROR + 1, 4096), (-LARGEST_ERROR - 1, -4096), (1 << 16, 1)])
def test_an_error_ends_at_its_limit(new, error, code):
    """2^28 in Q16 are 4,096 codes; the ideal code is 0, so nothing else enters."""
    assert convert(machine(new().meta), Gain(1 << 15, 15), 0, AdcErrors(offset=error)) == code


@pytest.mark.parametrize(
    ("error", "wanted"), [(0, 40000), (1 << 20, 80000), (-(1 << 19), 20000), (13, 40000), (14, 40001)]
)
def test_a_gain_error_is_a_share_of_the_multiplier(error, wanted):
    """13 / 2^20 of 40,000 is 0.496, 14 / 2^20 is 0.534."""
    assert multiplier(Gain(40000, 21), AdcErrors(gain=error)) == wanted


def captured(new, divide: int, bits: int):
    sketch = new(adc={"bits": bits}).gain(40000, divide).block(0, [[100, -3], [7, 508]])
    sketch.data(0, [5, -9], (2,)).tensor(1, (2,), type="i32")
    return sketch.put("capture", in_=0, out=1, block=0)


@pytest.mark.parametrize(("divide", "bits"), [(LARGEST_DIVIDE, 8), (20, BOWED_BITS)])
def test_the_last_converters_that_are_modelled(new, ask, divide, bits):
    _, end = ask(captured(new, divide, bits), ADC)
    assert isinstance(end, dict)


@pytest.mark.parametrize(("divide", "bits"), [(LARGEST_DIVIDE + 1, 8), (20, BOWED_BITS + 1)])
@pytest.mark.parametrize("source", ["adc", "output"])
def test_converters_beyond_the_model_trap(new, ask, divide, bits, source):
    noise = Noise(load_profile("generic,adc.offset=1,output.sigma=1"), sources=frozenset({source}))
    _, end = ask(captured(new, divide, bits), noise)
    assert end[0] == "CIM0533"
    assert isinstance(ask(captured(new, divide, bits), Noise(noise.profile, sources=frozenset({"dac"})))[1], dict)


def test_the_bow_is_largest_at_zero_and_nothing_at_the_ends(new):
    facts, gain = machine(new().meta), Gain(1 << 15, 15)
    bow = AdcErrors(bow=10 << 16)
    found = [convert(facts, gain, total, bow) - total for total in (-FULL, -90, 0, 90, FULL)]
    assert found == [0, ceil(10 * (1 - (90 / FULL) ** 2) - 0.5), 10, ceil(10 * (1 - (90 / FULL) ** 2) - 0.5), 0]
