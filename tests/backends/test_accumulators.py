"""Every instruction that rounds: accumulators one below 2^52 are exact in each executor, those at 2^52 trap."""

import pytest

from cimc.isa.limits import ACCUMULATOR_LIMIT

SHIFT = 23
ROUND = {"shift": SHIFT, "low": -(2**31), "high": 2**31 - 1}
TERM = 3 * 4 * 65535
"""What the elements 3 and 4 give under the largest multiplier; B is what is missing."""


def tables(sketch, scale, bias):
    return {"scale": sketch.table([scale], "i32"), "bias": sketch.table([bias], "i64")}


def two(new):
    """Return a program with elements 3 and 4 in streams 0 and 1, and an output in stream 2."""
    return new().gain().data(0, [3], (1,)).data(1, [4], (1,)).tensor(2, (1,), type="i32")


def mvm(new, bias):
    sketch = two(new).block(0, [[4]])
    return sketch.put("mvm", in_=0, out=2, block=0, blocks=1, **tables(sketch, 65535, bias), **ROUND)


def mvm_of_two_blocks(new, bias):
    sketch = new().gain().data(0, [3, 1], (2,)).tensor(2, (1,), type="i32").block(0, [[3]]).block(1, [[3]], (1, 0, 0))
    scale = sketch.table([65535, 65535], "i32")
    facts = {"scale": scale, "bias": sketch.table([bias], "i64")}
    return sketch.put("mvm", in_=0, out=2, block=0, blocks=2, **facts, **ROUND)


def depthwise(new, bias):
    sketch = two(new).tensor(0, (1, 1, 1), 64, type="i8")
    sketch.put("fill", out=0, value=3).window(0, (1, 1), (1, 1))
    weights = sketch.table([4], "i8")
    facts = {"weights": weights, "multiplier": 1, **tables(sketch, 65535, bias)}
    return sketch.put("depthwise", in_=0, out=2, taps="i8", **facts, **ROUND)


def poolsum(new, bias):
    sketch = two(new).tensor(0, (1, 1, 1), 64, type="i8").put("fill", out=0, value=12).window(0, (1, 1), (1, 1))
    return sketch.put("poolsum", in_=0, out=2, per="all", **tables(sketch, 65535, bias), **ROUND)


def affine(new, bias):
    sketch = two(new).data(0, [12], (1,))
    return sketch.put("affine", in_=0, out=2, period=1, **tables(sketch, 65535, bias), **ROUND)


def add(new, bias):
    return two(new).data(0, [8], (1,)).put("add", a=0, b=1, out=2, ma=65535, mb=65535, bias=bias, **ROUND)


def mul(new, bias):
    return two(new).put("mul", a=0, b=1, out=2, za=0, zb=0, m=65535, bias=bias, **ROUND)


def matmul(new, bias):
    return two(new).put("matmul", a=0, b=1, out=2, za=0, zb=0, m=65535, bias=bias, **ROUND)


def norm(new, bias):
    """One element about 0: its normalised value is 2^16, times 12 less what 65,536 is more than 65,535."""
    sketch = two(new)
    facts = {"epsilon": sketch.table([0], "i64"), **tables(sketch, 12, bias - 12)}
    return sketch.put("norm", in_=0, out=2, centre="zero", zero=0, fraction=0, **facts, **ROUND)


INSTRUCTIONS = [mvm, mvm_of_two_blocks, depthwise, poolsum, affine, add, mul, matmul, norm]
EDGES = [ACCUMULATOR_LIMIT - 1, 1 - ACCUMULATOR_LIMIT]


@pytest.mark.parametrize("total", EDGES)
@pytest.mark.parametrize("put", INSTRUCTIONS)
def test_the_largest_accumulators_are_exact(new, written, put, total):
    assert written(put(new, total - TERM)) == [round(total / 2**SHIFT)]


@pytest.mark.parametrize("total", [ACCUMULATOR_LIMIT, -ACCUMULATOR_LIMIT])
@pytest.mark.parametrize("put", INSTRUCTIONS)
def test_accumulators_beyond_trap(new, trapped, put, total):
    assert trapped(put(new, total - TERM)) == "CIM0515"


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("put", INSTRUCTIONS)
def test_clamps_beyond_all_results_are_exact(new, written, put, sign):
    """The nearer end is odd and above 2^24: float32 holds every sum here, but not that."""
    sketch = put(new, 7)
    ends = sorted([sign * (2**24 + 1), sign * 2**31 - (sign > 0)])
    sketch.amend(-1, low=ends[0], high=ends[1])
    assert written(sketch) == [sign * (2**24 + 1)]


MOST = (1 << 33) - 1
"""The largest multiplier of a division."""


@pytest.mark.parametrize("sign", [1, -1])
def test_dividends_end_where_accumulators_do(new, written, trapped, sign):
    least = -(-ACCUMULATOR_LIMIT // MOST)  # the first code whose product reaches 2^52
    numbers = {"out": 2, "za": 0, "zb": 0, "m": MOST, "zero": 0, "a": 0, "b": 1, **ROUND}
    sketch = two(new).data(0, [sign * (least - 1)], (1,), "i32")
    assert written(sketch.put("div", **numbers)) == [round(sign * (least - 1) * MOST / (4 << SHIFT))]
    assert trapped(two(new).data(0, [sign * least], (1,), "i32").put("div", **numbers)) == "CIM0515"
    pair = new().data(0, [1, sign * least], (2,), "i32").data(1, [4, 4], (2,)).tensor(2, (2,), type="i32")
    assert trapped(pair.put("div", **numbers)) == "CIM0515"


def test_dividends_count_their_zero_point(new, trapped):
    """The code alone, times M, stays below 2^52."""
    sketch = two(new).data(0, [2**31 - 1], (1,), "i32")
    numbers = {"za": -(2**16), "zb": 0, "m": 2**21, "zero": 0, "a": 0, "b": 1, **ROUND}
    assert trapped(sketch.put("div", out=2, **numbers)) == "CIM0515"
