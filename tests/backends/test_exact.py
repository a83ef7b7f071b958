"""The bounds that let floating point stand for integers: at their edges, and one step beyond."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cimc.backends.interpreter import Interpreter
from cimc.backends.machine import rounding
from cimc.backends.machine.facts import Gain, machine
from cimc.backends.plan import exact

DETERMINISTIC = settings(derandomize=True, deadline=None, max_examples=300)


def adc(new, bits=8, codes="symmetric", style="nearest-even"):
    return machine(new(adc={"bits": bits, "codes": codes, "rounding": style}).meta)


def literal_codes(facts, gain, sums):
    """Return the ADC's codes by the integer rule."""
    for s in sums:
        scaled = s * gain.multiplier
        code = scaled >> gain.divide
        if facts.adc_rounding == "nearest-even":
            code = rounding.half_even(scaled, 1 << gain.divide)
        yield rounding.clamp(code, *facts.adc_range)


def sums_near_boundaries(gain, limit):
    """Return the sums next to every half-integer and integer of the ADC's input up to `limit`."""
    steps = np.arange(-2 * limit - 4, 2 * limit + 5) / 2
    near = np.rint(steps * 2.0**gain.divide / gain.multiplier).astype(np.int64)
    sums = np.unique(np.concatenate([near - 1, near, near + 1]))
    return sums[np.abs(sums) < exact.FLOAT32_LIMIT]


@DETERMINISTIC
@given(
    style=st.sampled_from(["nearest-even", "floor"]),
    gain=st.builds(Gain, st.integers(1 << 15, (1 << 16) - 1), st.integers(14, 30)),
    bound=st.integers(0, 1 << 16),
)
def test_no_sum_within_a_bound_has_a_higher_code(new, style, gain, bound):
    facts = adc(new, 12, "full", style)
    reached = max(map(abs, literal_codes(facts, gain, [-bound, bound])))
    assert reached <= exact.highest_code(facts, gain, bound) <= reached + 1


@settings(DETERMINISTIC, max_examples=200)
@given(
    bits=st.integers(4, 10),
    codes=st.sampled_from(["symmetric", "full"]),
    style=st.sampled_from(["nearest-even", "floor"]),
    multiplier=st.integers(1 << 15, (1 << 16) - 1),
    margin=st.integers(0, 3),
)
def test_the_adc_in_float32_gives_the_integer_codes_up_to_the_bound(new, bits, codes, style, multiplier, margin):
    facts = adc(new, bits, codes, style)
    gain = Gain(multiplier, 25 - bits - margin)
    assert exact.converts_in_float32(facts, gain, exact.FLOAT32_LIMIT - 1)
    sums = sums_near_boundaries(gain, facts.adc_range.high)
    convert = exact.converter(facts, gain, exact.FLOAT32_LIMIT - 1)
    assert convert.dtype == np.float32
    assert convert(sums.astype(np.float32)).tolist() == list(literal_codes(facts, gain, sums.tolist()))


def test_one_step_beyond_the_bound_float32_would_change_codes(new):
    facts = adc(new)
    different = 0
    for multiplier in range(32769, 65536, 64):
        gain = Gain(multiplier, 18)
        assert not exact.converts_in_float32(facts, gain, exact.FLOAT32_LIMIT - 1)
        sums = sums_near_boundaries(gain, facts.adc_range.high)
        double = exact.converter(facts, gain, exact.FLOAT32_LIMIT - 1)
        codes = list(literal_codes(facts, gain, sums.tolist()))
        for held in (np.float64, np.float32):  # what sums are held in does not say what they are converted in
            assert double(sums.astype(held)).tolist() == codes
        single = replace(double, dtype=exact.FLOAT32)
        different += int((single(sums.astype(np.float32)) != codes).sum())
    assert different > 0


def test_the_bound_is_on_the_reduced_fraction(new):
    facts, gain = adc(new), Gain(5 << 13, 17 + 13)
    convert = exact.converter(facts, gain, exact.FLOAT32_LIMIT - 1)
    assert convert.dtype == np.float32
    sums = sums_near_boundaries(gain, facts.adc_range.high)
    assert convert(sums.astype(np.float32)).tolist() == list(literal_codes(facts, gain, sums.tolist()))


def test_an_exact_product_needs_no_bound_on_the_shift(new):
    facts = adc(new, 24)
    assert exact.converts_in_float32(facts, Gain(1 << 15, 15), exact.FLOAT32_LIMIT - 1)
    assert not exact.converts_in_float32(facts, Gain((1 << 15) + 1, 15), exact.FLOAT32_LIMIT - 1)


@DETERMINISTIC
@given(st.integers(-(2**60), 2**60), st.integers(1, 2**40))
def test_rounding_half_even(numerator, denominator):
    quotient = rounding.half_even(numerator, denominator)
    rest = abs(2 * (numerator - quotient * denominator))
    assert rest < denominator or (rest == denominator and quotient % 2 == 0)
    assert exact.half_even(np.array([numerator]), denominator).tolist() == [quotient]
    assert exact.half_even(np.array([numerator], object), denominator).tolist() == [quotient]


@DETERMINISTIC
@given(
    multipliers=st.lists(st.integers(-(2**16) + 1, 2**16 - 1), min_size=1, max_size=4),
    offset=st.one_of(st.integers(-(2**24), 2**24), st.integers(-(2**52), 2**52)),
    bits=st.sampled_from([4, 7, 8, 15, 31, 36]),
    shift=st.integers(0, 63),
    seed=st.integers(0, 1000),
)
def test_the_epilogue_gives_the_integer_results(multipliers, offset, bits, shift, seed):
    limit = (1 << bits) - 1
    values = np.random.default_rng(seed).integers(-limit, limit + 1, (len(multipliers), 9))
    values[:, :2] = limit, -limit
    step = exact.Rounding(shift, -(2**31), 2**31)
    totals = [sum(int(v) * m for v, m in zip(column, multipliers, strict=True)) + offset for column in values.T]
    tables = [np.array([m]) for m in multipliers]
    ready = exact.epilogue(tables, np.array([offset]), step, [limit] * len(multipliers))
    terms = [row.astype(np.int64 if ready.dtype == exact.OBJECT else ready.dtype) for row in values]
    if max(map(abs, totals)) >= 2**52:
        with pytest.raises(exact.Trap):
            ready(terms)
    else:
        results = [rounding.clamp(rounding.half_even(total, 1 << shift), -(2**31), 2**31) for total in totals]
        assert ready(terms).tolist() == results


@pytest.mark.parametrize(("bound", "dtype"), [(2**24 - 1, "f4"), (2**24, "f8"), (2**52 - 1, "f8"), (2**52, "O")])
def test_types_at_the_edges(bound, dtype):
    assert exact.exact_type(bound) == np.dtype(dtype)


@pytest.mark.parametrize("kind", ["f4", "f8"])
@pytest.mark.parametrize("rows", [0, 1, 2, 3, 7])
@pytest.mark.parametrize("parts", [1, 2, 3])
def test_sums_of_columns_are_exact_in_parts(kind, rows, parts):
    """So large that as many values as a part has are the most whose sum the type holds."""
    largest = (2 ** {"f4": 24, "f8": 53}[kind] - 1) // parts
    values = np.full((rows, 2), largest, kind) - np.arange(2)
    wanted = [sum(int(value) for value in column) for column in values.T]
    assert exact.column_sums(values, largest).tolist() == wanted


@pytest.mark.parametrize(("last", "dtype"), [(24, np.float32), (25, np.float64)])
def test_columns_at_the_edge_of_float32(new, ask, last, dtype):
    """260 rows of the highest level reach 16,774,160 for inputs of 127; a row of 24 stays below 2^24, 25 does not."""
    column = [508] * 260 + [last]
    sketch = new(adc={"bits": 32}, array={"rows": 512}).gain().block(0, [[g] for g in column])
    vectors = [[127] * 261, [-127] * 261, [127] * 260 + [126], [1 - i % 3 for i in range(261)]]
    sketch.data(0, [x for vector in vectors for x in vector], (4, 261)).tensor(1, (4,), type="i32")
    sketch.put("capture", in_=0, out=1, block=0)
    stream = Interpreter(sketch.program())._plan.steps[0].action.compute.stream
    assert stream.reads[0].conversions[0].matrix.dtype == dtype
    writes, _ = ask(sketch)
    assert writes[0][1] == [sum(g * x for g, x in zip(column, vector, strict=True)) for vector in vectors]


def test_blocks_of_both_types_share_one_product(new, ask):
    """A block that needs double takes its neighbours with it."""
    sketch = new(adc={"bits": 16}, array={"rows": 512, "columns": 3}).gain(40000, 20)
    sketch.block(0, [[508]] * 300).block(1, [[3], [-5]], (0, 0, 1))
    sketch.data(0, [(i * 37) % 255 - 127 for i in range(604)], (2, 302)).tensor(1, (2,), type="i32")
    tables = {"scale": sketch.table([40001, -50001], "i32"), "bias": sketch.table([2**40], "i64")}
    sketch.put("mvm", in_=0, out=1, block=0, blocks=2, shift=20, low=-(2**31), high=2**31 - 1, **tables)
    ask(sketch)
