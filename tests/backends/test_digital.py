"""The digital unit's instructions, on both interpreters."""

from fractions import Fraction

import pytest

WIDE = {"low": -(2**32), "high": 2**32 - 1}


def constants(sketch, scale, bias):
    return {"scale": sketch.table(scale, "i32"), "bias": sketch.table(bias, "i64")}


def windowed(new, kernel=(2, 2), out=(1, 2), **facts):
    """Return a program with a window over a 2 x 3 image of two channels: 0..11 in memory order; output in stream 1."""
    return new().data(0, range(12), (2, 3, 2)).window(0, kernel, out, **facts).tensor(1, (*out, 2), 64, type="i32")


def test_affine_repeats_its_tables_along_the_stream(new, written):
    sketch = new().data(0, [1, 2, 3, 4, 5], (5,)).tensor(1, (5,), type="i16")
    tables = constants(sketch, [10, -10], [0, 1])
    assert written(sketch.put("affine", in_=0, out=1, period=2, shift=0, **tables, **WIDE)) == [10, -19, 30, -39, 50]


@pytest.mark.parametrize("period", [1, 2, 3, 6, 12])
def test_affine_with_any_period(new, written, period):
    sketch = new().data(0, range(6), (2, 3)).tensor(1, (6,), type="i16")
    tables = constants(sketch, list(range(1, period + 1)), [100] * period)
    expected = [n * (n % period + 1) + 100 for n in range(6)]
    assert written(sketch.put("affine", in_=0, out=1, period=period, shift=0, **tables, **WIDE)) == expected


def test_rounding_is_half_to_even(new, written):
    values = list(range(-8, 9))
    sketch = new().data(0, values, (17,)).tensor(1, (17,))
    expected = [-4, -4, -3, -2, -2, -2, -1, 0, 0, 0, 1, 2, 2, 2, 3, 4, 4]
    sketch.put("affine", in_=0, out=1, period=1, shift=1, **constants(sketch, [1], [0]), **WIDE)
    assert written(sketch) == expected


def test_add_weighs_and_clamps(new, written):
    sketch = new().data(0, [10, -10, 3], (3,)).data(1, [1, 100, 4], (3,)).tensor(2, (3,))
    sketch.put("add", a=0, b=1, out=2, ma=3, mb=-2, bias=1, shift=1, low=-100, high=5)
    assert written(sketch) == [5, -100, 1]


def test_add_reads_two_windows(new, written):
    sketch = new().data(0, range(9), (3, 3, 1)).window(0, (2, 2), (1, 1))
    sketch.data(1, range(9), (3, 3, 1)).window(1, (2, 2), (1, 1), pad=(-1, -1)).tensor(2, (4,))
    sketch.put("add", a=0, b=1, out=2, ma=1, mb=1, bias=0, shift=0, **WIDE)
    assert written(sketch) == [0 + 4, 1 + 5, 3 + 7, 4 + 8]


def test_mul_subtracts_zero_points(new, written):
    sketch = new().data(0, [10, -10], (2,)).data(1, [5, 6], (2,)).tensor(2, (2,), type="i16")
    sketch.put("mul", a=0, b=1, out=2, za=-2, zb=3, m=5, bias=-1, shift=1, **WIDE)
    assert written(sketch) == [round((12 * 2 * 5 - 1) / 2), round((-8 * 3 * 5 - 1) / 2)]


def test_the_largest_operands_of_mul_are_exact(new, written):
    sketch = (
        new().data(0, [-32768, 32767], (2,), "i16").data(1, [-32768, -32768], (2,), "i16").tensor(2, (2,), type="i64")
    )
    sketch.put("mul", a=0, b=1, out=2, za=65535, zb=65535, m=1, bias=2**40 + 1, shift=2, **WIDE)
    exact = [(-32768 - 65535) * (-32768 - 65535) + 2**40 + 1, (32767 - 65535) * (-32768 - 65535) + 2**40 + 1]
    assert written(sketch) == [min(round(value / 4), 2**32 - 1) for value in exact]


def test_div_rounds_half_to_even_and_adds_the_zero_point(new, written):
    sketch = new().data(0, [5, -5, 7, 8, -9], (5,)).data(1, [5, 5, 5, 1, 1], (5,)).tensor(2, (5,))
    sketch.put("div", a=0, b=1, out=2, za=-1, zb=3, m=1, zero=10, shift=1, low=-100, high=100)
    assert written(sketch) == [10 + round(6 / 4), 10 + -1, 10 + 2, 10 + round(9 / -4), 10 + 2]


def test_div_by_zero_gives_an_end_of_the_range(new, written):
    sketch = new().data(0, [5, -5, 0, 1, -1], (5,)).data(1, [3] * 5, (5,)).tensor(2, (5,))
    sketch.put("div", a=0, b=1, out=2, za=0, zb=3, m=1, zero=20, shift=1, low=-50, high=60)
    assert written(sketch) == [60, -50, 20, 60, -50]
    sketch.amend(-1, zero=100)
    assert written(sketch) == [60, -50, 60, 60, -50]


def test_the_largest_dividend_of_div_is_exact(new, written):
    sketch = new().data(0, [2**19 - 1, -(2**19) + 1], (2,), "i32").data(1, [3, 7], (2,)).tensor(2, (2,), type="i64")
    sketch.put("div", a=0, b=1, out=2, za=0, zb=0, m=2**33 - 1, zero=1, shift=20, **WIDE)
    exact = [Fraction((2**19 - 1) * (2**33 - 1), 3 << 20), -Fraction((2**19 - 1) * (2**33 - 1), 7 << 20)]
    assert written(sketch) == [round(value) + 1 for value in exact]


def test_pick_picks_vectors_of_each_group(new, written):
    sketch = new().data(0, range(12), (2, 3, 2)).tensor(1, (2, 4, 2))
    sketch.put("pick", in_=0, out=1, group=3, table=sketch.table([2, 0, 0, 1], "i32"), entries=4)
    assert written(sketch) == [4, 5, 0, 1, 0, 1, 2, 3, 10, 11, 6, 7, 6, 7, 8, 9]


@pytest.mark.parametrize(
    ("pick", "tie", "wanted"),
    [
        ("largest", "first", [1, 0]),
        ("largest", "last", [3, 0]),
        ("smallest", "first", [0, 1]),
        ("smallest", "last", [2, 3]),
    ],
)
def test_argmax(new, written, pick, tie, wanted):
    sketch = new().data(0, [-3, 7, -3, 7, 9, 1, 2, 1], (2, 4)).tensor(1, (2,))
    assert written(sketch.put("argmax", in_=0, out=1, which=pick, tie=tie)) == wanted


def test_lut_may_hold_another_type(new, written):
    sketch = new().data(0, [-1, 1, 0], (3,)).tensor(1, (3,), type="i16")
    table = sketch.table([300, -300, 7], "i16")
    assert written(sketch.put("lut", in_=0, out=1, table=table, type="i16", first=-1, entries=3)) == [300, 7, -300]


def test_softmax(new, written):
    sketch = new().data(0, [3, 1, 2, 9, -100, 9], (2, 3)).tensor(1, (2, 3), type="i16")
    table = sketch.table([8, 4, 2, 0], "i32")
    sketch.put("softmax", in_=0, out=1, table=table, entries=4, numerator=255, zero=-128, low=-128, high=100)
    expected = [round(e * 255 / 14) - 128 for e in (8, 2, 4)] + [0, -128, 0]
    assert written(sketch) == [min(value, 100) for value in expected]


def test_softmax_with_the_largest_numbers(new, written):
    sketch = new().data(0, [-(2**63), 2**63 - 1, 2**63 - 2], (3,), "i64").tensor(1, (3,), type="i64")
    largest = 2**31 - 1
    table = sketch.table([largest, largest, 1], "i32")
    sketch.put("softmax", in_=0, out=1, table=table, entries=3, numerator=2**32 - 1, zero=0, **WIDE)
    assert written(sketch) == [1, 2**31 - 1, 2**31 - 1]


def test_softmax_of_a_difference_that_no_64_bits_with_a_sign_hold(new, written):
    sketch = new().data(0, [-(2**63), 5, 5], (3,), "i64").tensor(1, (3,), type="i64")
    table = sketch.table([100, 50, 0], "i32")
    sketch.put("softmax", in_=0, out=1, table=table, entries=3, numerator=100, zero=0, **WIDE)
    assert written(sketch) == [0, 50, 50]


def depthwise(sketch, weights, tables, taps="i8", multiplier=1):
    """Append a sum over the window of each channel, with the weights at an address, and no shift."""
    facts = {"weights": weights, "multiplier": multiplier, "taps": taps, "shift": 0}
    return sketch.put("depthwise", in_=0, out=1, **facts, **tables, **WIDE)


def test_depthwise(new, written):
    sketch = windowed(new)
    weights = sketch.table([1, 10] * 3 + [0, -1], "i8")
    depthwise(sketch, weights, constants(sketch, [1, 2], [5, 0]))
    assert written(sketch) == [0 + 2 + 6 + 5, 2 * (10 + 30 + 70 - 9), 2 + 4 + 8 + 5, 2 * (30 + 50 + 90 - 11)]


def test_depthwise_with_several_outputs_a_channel(new, written):
    sketch = windowed(new, (1, 1), (1, 2)).tensor(1, (1, 2, 4), 64, type="i32")
    weights = sketch.table([1, 2, 3, 4], "i8")
    tables = constants(sketch, [1] * 4, [0, 0, 0, 100])
    depthwise(sketch, weights, tables, multiplier=2)
    assert written(sketch) == [0, 0, 3, 104, 2, 4, 9, 112]


def test_depthwise_weights_of_four_bits_lie_two_in_a_byte(new, written):
    sketch = windowed(new)
    weights = sketch.table([0xA1, 0x7F, 0x08, 0xFE], "u8")  # 1, -6; -1, 7; -8, 0; -2, -1
    tables = constants(sketch, [1, 2], [5, 0])
    depthwise(sketch, weights, tables, "i4")
    assert written(sketch) == [0 - 2 - 48 - 16 + 5, 2 * (-6 + 21 + 0 - 9), 2 - 4 - 64 - 20 + 5, 2 * (-18 + 35 + 0 - 11)]


def three_weights(new, packed):
    """Return a program with three weights of four bits behind all other constants: -1, -8 and 7 in two bytes."""
    sketch = new().data(0, [5, 3], (1, 2, 1)).window(0, (1, 1), (1, 2)).tensor(1, (1, 2, 3), 64, type="i32")
    tables = constants(sketch, [1] * 3, [0] * 3)
    weights = sketch.table(packed, "u8")
    return depthwise(sketch, weights, tables, "i4", 3)


def test_behind_an_odd_number_of_them_half_a_byte_is_not_read(new, written):
    assert written(three_weights(new, [0x8F, 0xD7])) == [-5, -40, 35, -3, -24, 21]


def test_half_a_byte_is_read_with_the_byte_that_it_is_in(new, ask):
    assert ask(three_weights(new, [0x8F])) == ([], ("CIM0501", 3, ("node3",)))


def test_a_window_without_taps_traps_before_anything_runs(new, ask):
    sketch = windowed(new, (0, 2), (1, 2))
    depthwise(sketch, 0, constants(sketch, [1, 1], [5, 6]))
    assert ask(sketch) == ([], ("CIM0509", 1, ("node1",)))


def test_depthwise_with_padding_and_stride(new, written):
    sketch = windowed(new, (3, 3), (1, 2), stride=(1, 2), pad=(1, 1), fill=-7)
    weights = sketch.table([1, 1] * 9, "i8")
    depthwise(sketch, weights, constants(sketch, [1, 1], [0, 0]))
    assert written(sketch) == [0 + 2 + 6 + 8 - 35, 1 + 3 + 7 + 9 - 35, 2 + 4 + 8 + 10 - 35, 3 + 5 + 9 + 11 - 35]


def test_poolmax(new, written):
    assert written(windowed(new).put("poolmax", in_=0, out=1, low=9, high=10)) == [9, 9, 10, 10]


def test_poolmax_with_limits_outside_the_element_type(new, written):
    assert written(windowed(new).put("poolmax", in_=0, out=1, low=300, high=1000)) == [300] * 4


def test_poolmax_reads_the_fill(new, written):
    sketch = windowed(new, (1, 2), (1, 1), pad=(0, 1), fill=1000)
    assert written(sketch.put("poolmax", in_=0, out=1, **WIDE)) == [1000, 1000]


def test_poolsum(new, written):
    sketch = windowed(new)
    sketch.put("poolsum", in_=0, out=1, per="all", shift=2, **constants(sketch, [1], [1]), **WIDE)
    assert written(sketch) == [round(17 / 4), round(21 / 4), round(25 / 4), round(29 / 4)]


def test_poolsum_per_position(new, written):
    sketch = windowed(new)
    sketch.put("poolsum", in_=0, out=1, per="position", shift=0, **constants(sketch, [1, -1], [0, 7]), **WIDE)
    assert written(sketch) == [16, 20, -24 + 7, -28 + 7]


def test_wide_sums_are_exact(new, written):
    sketch = new().data(0, [2**50 - 1, -(2**51) + 1], (2,), "i64").tensor(1, (2,), type="i64")
    sketch.put("affine", in_=0, out=1, period=1, shift=19, **constants(sketch, [2], [1]), **WIDE)
    assert written(sketch) == [2**32 - 1, -(2**32)]


def test_a_wide_operand_times_zero(new, written):
    sketch = new().data(0, [2**63 - 1, -(2**63)], (2,), "i64").tensor(1, (2,))
    sketch.put("affine", in_=0, out=1, period=1, shift=0, **constants(sketch, [0], [7]), **WIDE)
    assert written(sketch) == [7, 7]
