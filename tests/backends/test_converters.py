"""Imperfect ADCs against their formula in exact rationals, and the limits up to which they are modelled."""

from fractions import Fraction
from math import ceil, floor, sqrt

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cimc.backends.machine.facts import Gain, machine
from cimc.backends.noise.converters import (
    BOWED_BITS,
    LARGEST_DIVIDE,
    LARGEST_ERROR,
    LEVEL_BITS,
    AdcErrors,
    adc_errors,
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


STYLES = ("nearest-even", "floor")
LEVELS = Noise(load_profile("generic,levels.sigma=0.3,levels.skew=1.5"), 7, sources=frozenset({"levels"}))


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("codes", ["symmetric", "full", "unsigned"])
@pytest.mark.parametrize("divide", [0, 1, 5])
def test_levels_that_are_right_count_what_rounding_gives(new, style, codes, divide):
    sketch = new(adc={"rounding": style, "codes": codes}, read_phases=4 if codes == "unsigned" else 1)
    facts, gain = machine(sketch.meta), Gain(3, divide)
    right = AdcErrors(levels=(0,) * (facts.adc_range.high - facts.adc_range.low))
    for total in range(-9000, 9000, 7):
        assert convert(facts, gain, total, right) == convert(facts, gain, total, AdcErrors())


@settings(derandomize=True, max_examples=60)
@given(
    style=st.sampled_from(STYLES),
    divide=st.integers(14, 24),
    total=st.integers(-(1 << 12), 1 << 12),
    levels=st.lists(st.integers(-(1 << 17), 1 << 17), min_size=254, max_size=254),
    offset=st.integers(-(1 << 19), 1 << 19),
)
def test_levels_are_counted_one_by_one(new, style, divide, total, levels, offset):
    """Each threshold asks by itself whether what is given, less what it is off by, rounds to its code or above."""
    facts, gain = machine(new(adc={"rounding": style}).meta), Gain(40000, divide)
    given = Fraction(total * gain.multiplier + up(Fraction(offset << divide, 1 << 16)), 1 << divide)
    to_code = floor if style == "floor" else round
    off = [Fraction(up(Fraction(level << divide, 1 << 16)), 1 << divide) for level in levels]
    count = sum(to_code(given - one) >= code for code, one in enumerate(off, 1 - FULL))
    found = convert(facts, gain, total, AdcErrors(offset=offset, levels=tuple(levels)))
    assert min(max(found, -FULL), FULL) == count - FULL


def test_one_displaced_threshold_moves_one_step(new):
    """One too high by 3/4 LSB: its code loses what the one below wins, and no other step moves."""
    facts, gain = machine(new().meta), Gain(1 << 15, 17)
    levels = AdcErrors(levels=tuple((3 << 14) * (code == 10) for code in range(1 - FULL, FULL + 1)))
    given = [convert(facts, gain, total, levels) for total in range(-480, 480)]
    widths = {code: given.count(code) for code in range(-100, 101)}
    plain = [convert(facts, gain, total, AdcErrors()) for total in range(-480, 480)]
    changed = {code: widths[code] - plain.count(code) for code in widths if widths[code] != plain.count(code)}
    assert changed == {9: 3, 10: -3}


def test_levels_have_the_spread_and_the_curve_of_the_profile(new):
    facts = machine(new().meta)
    drawn = Noise(load_profile("generic,levels.sigma=0.3"), 7, sources=LEVELS.sources)
    own = [one / 65536 for tile in range(8) for one in adc_errors(facts, drawn, tile, 0).levels]
    assert sum(own) / len(own) == pytest.approx(0, abs=0.03)
    assert sqrt(sum(one * one for one in own) / len(own)) == pytest.approx(0.3, rel=0.1)
    skewed = Noise(load_profile("generic,levels.skew=2"), 7, sources=LEVELS.sources)
    curve = adc_errors(facts, skewed, 0, 0).levels
    assert all(abs(one + other) <= 1 for one, other in zip(curve, reversed(curve), strict=True))
    peak = max(range(len(curve)), key=lambda k: abs(curve[k]))
    assert abs(abs(peak + 0.5 - FULL) - FULL / sqrt(3)) < 1
    assert 0 < abs(curve[peak]) < 2 * 5 * 65536
    assert abs(curve[0]) < abs(curve[peak]) / 20


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("sources", [{"levels"}, {"levels", "adc", "output"}])
def test_every_executor_counts_the_same(new, ask, style, sources):
    profile = load_profile("generic,levels.sigma=0.3,levels.skew=1.5,adc.offset=1,adc.inl=1,output.sigma=1")
    sketch = new(adc={"rounding": style}).gain(40000, 21).block(0, [[100, -3, 7], [7, 508, -90], [3, 4, 400]])
    sketch.data(0, [5, -9, 100, 60, 3, -127], (2, 3)).tensor(1, (2, 3), type="i32")
    plain = ask(sketch.put("capture", in_=0, out=1, block=0), None)
    found = ask(sketch, Noise(profile, 3, sources=frozenset(sources)))
    assert isinstance(found[1], dict)
    assert found != plain


@pytest.mark.parametrize(("bits", "models"), [(LEVEL_BITS, True), (LEVEL_BITS + 1, False)])
def test_levels_are_modelled_up_to_their_bits(new, ask, bits, models):
    _, end = ask(captured(new, 20, bits), LEVELS)
    assert isinstance(end, dict) if models else end[0] == "CIM0533"


def test_levels_with_no_spread_are_exact(new, ask):
    silent = Noise(load_profile("generic"), 7, sources=LEVELS.sources)
    assert ask(captured(new, 20, 8), silent) == ask(captured(new, 20, 8), None)


def test_the_bow_is_largest_at_zero_and_nothing_at_the_ends(new):
    facts, gain = machine(new().meta), Gain(1 << 15, 15)
    bow = AdcErrors(bow=10 << 16)
    found = [convert(facts, gain, total, bow) - total for total in (-FULL, -90, 0, 90, FULL)]
    assert found == [0, ceil(10 * (1 - (90 / FULL) ** 2) - 0.5), 10, ceil(10 * (1 - (90 / FULL) ** 2) - 0.5), 0]
