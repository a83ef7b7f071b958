"""The digital operations of dialect `xbar`, bit for bit against int64 at every optimisation level."""

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from evaluate.graphs import S8, at_every_level, codes, one, run_one
from evaluate.integers import half_even, patches, scaled
from numpy.typing import NDArray

from cimc.ir import xbar
from cimc.ir.graph import Graph
from cimc.ir.types import CodeType
from cimc.isa.errors import CimcError

Array = NDArray[Any]
U8 = codes(0, 255, 9)
I16 = codes(-32768, 32767, -7)
LIMITS: dict[str, Any] = {"low": -120, "high": 110}


def random(code: CodeType, *shape: int, seed: int = 0) -> Array:
    x = np.random.default_rng(seed).integers(code.low.data, code.high.data + 1, shape)
    x[0], x[1] = code.low.data, code.high.data
    return x


def random_table(limit: int, *shape: int, seed: int = 5) -> Array:
    return np.random.default_rng(seed).integers(-limit, limit, shape)


def check(graph: Graph, wanted: Array, *operands: tuple[Array, CodeType]) -> None:
    reals = [x - code.zero.data for x, code in operands]
    for found in [*at_every_level(graph, *reals), run_one(graph, *reals)]:
        np.testing.assert_array_equal(found, wanted)


WINDOWS = [
    (3, 3, 1, 1, 1, 1, 1, 1, 6, 7),
    (2, 3, 2, 1, 1, 2, 1, 0, 3, 3),
    (2, 2, 2, 2, 1, 1, 0, 0, 2, 3),
    (6, 7, 1, 1, 1, 1, 0, 0, 1, 1),
]


@pytest.mark.parametrize("multiplier", [1, 2])
@pytest.mark.parametrize("code", [U8, I16], ids=["single", "double"])
@pytest.mark.parametrize("window", WINDOWS)
def test_depthwise(window: Any, code: CodeType, multiplier: int) -> None:
    x, taps = random(code, 4, 6, 7, 3), window[0] * window[1]
    weights = np.where(np.arange(taps * 3 * multiplier) % 2, 127, random_table(128, taps * 3 * multiplier))
    weights = weights.reshape(taps, 3, multiplier).astype(np.int8)
    scale, offset, shift = random_table(4000, 3 * multiplier), random_table(1 << 20, 3 * multiplier), 20
    sums = (patches(x, window, code.zero.data)[..., None] * weights.astype(np.int64)).sum(axis=3)
    wanted = scaled(sums.reshape(*sums.shape[:3], -1), scale, offset, shift, -120, 110)
    tables = {"weights": weights, "scale": scale.astype(np.int32), "offset": offset}
    graph = one(
        xbar.DepthwiseOp, [((6, 7, 3), code)], wanted.shape[1:], S8, window=window, shift=shift, **tables, **LIMITS
    )
    check(graph, wanted, (x, code))


@pytest.mark.parametrize("positions", [False, True], ids=["one scale", "scale per position"])
@pytest.mark.parametrize("window", WINDOWS)
def test_pool_sum(window: Any, positions: bool) -> None:
    x, count = random(U8, 4, 6, 7, 3), window[8] * window[9] if positions else 1
    scale, offset = random_table(300, count), random_table(1 << 10, count)
    per_position = [table.reshape(*(window[8:] if positions else (1, 1)), 1) for table in (scale, offset)]
    wanted = scaled(patches(x, window, 9).sum(axis=3), per_position[0], per_position[1], 9, -120, 110)
    tables = {"scale": scale.astype(np.int32), "offset": offset}
    graph = one(xbar.PoolSumOp, [((6, 7, 3), U8)], wanted.shape[1:], S8, window=window, shift=9, **tables, **LIMITS)
    check(graph, wanted, (x, U8))


@pytest.mark.parametrize("window", WINDOWS)
def test_pool_max(window: Any) -> None:
    x = random(S8, 4, 6, 7, 3) // 2 - 60
    wanted = np.clip(patches(x, window, S8.low.data).max(axis=3), -100, -20)
    graph = one(xbar.PoolMaxOp, [((6, 7, 3), S8)], wanted.shape[1:], S8, window=window, low=-100, high=-20)
    check(graph, wanted, (x, S8))


@pytest.mark.parametrize("period", [1, 3, 12, 24, 2, 5], ids=lambda period: f"period {period}")
def test_affine(period: int) -> None:
    x, scale, offset = random(U8, 4, 2, 4, 3), random_table(1 << 12, period), random_table(1 << 16, period)
    lie = [np.resize(table, 24).reshape(2, 4, 3) for table in (scale, offset)]
    wanted = scaled(x, lie[0], lie[1], 13, -120, 110)
    tables = {"scale": scale.astype(np.int32), "offset": offset}
    check(one(xbar.AffineOp, [((2, 4, 3), U8)], (2, 4, 3), S8, shift=13, **tables, **LIMITS), wanted, (x, U8))


@pytest.mark.parametrize("shift", [0, 1, 9])
def test_affine_rounds_ties_to_even(shift: int) -> None:
    x = np.arange(-127, 128).reshape(1, -1)
    tables = {"scale": np.array([1 << shift >> 1 or 1]), "offset": np.array([0])}
    graph = one(xbar.AffineOp, [((255,), S8)], (255,), S8, shift=shift, low=-127, high=127, **tables)
    check(graph, np.array([[round(Fraction(int(v), 2 if shift else 1)) for v in x[0]]]), (x, S8))


def test_add_broadcasts() -> None:
    a, b = random(U8, 4, 2, 5, 3), random(I16, 4, 3, seed=1)
    total = a * 30000 + b[:, None, None] * -170 + 12345
    graph = one(
        xbar.AddOp, [((2, 5, 3), U8), ((3,), I16)], (2, 5, 3), S8, ma=30000, mb=-170, bias=12345, shift=16, **LIMITS
    )
    check(graph, np.clip(half_even(total, 16), -120, 110), (a, U8), (b, I16))


def test_mul_broadcasts() -> None:
    a, b = random(U8, 4, 2, 5, 3), random(I16, 4, 5, 1, seed=1)
    total = (a - 9) * (b[:, None] + 7) * 1999 - 54321
    properties = {"za": 9, "zb": -7, "m": 1999, "bias": -54321, "shift": 26}
    graph = one(xbar.MulOp, [((2, 5, 3), U8), ((5, 1), I16)], (2, 5, 3), S8, **properties, **LIMITS)
    check(graph, np.clip(half_even(total, 26), -120, 110), (a, U8), (b, I16))


@pytest.mark.parametrize(("m", "shift"), [(3, 0), (-3000, 5), ((1 << 32) - 1, 40)])
def test_div_broadcasts(m: int, shift: int) -> None:
    a, b = random(I16, 4, 2, 5, 3), random(U8, 4, 5, 1, seed=1)
    b[0], b[1] = 9, 10
    dividend, divisor = (a + 7) * m, np.broadcast_to((b - 9)[:, None], a.shape)
    ends = np.where(dividend > 0, 110, np.where(dividend < 0, -120, 4))
    exact = [
        end if d == 0 else round(Fraction(int(n), int(d) << shift)) + 4
        for n, d, end in zip(dividend.flat, divisor.flat, ends.flat, strict=True)
    ]
    wanted = np.clip(np.array(exact).reshape(a.shape), -120, 110)
    facts = {"za": -7, "zb": 9, "m": m, "zero": 4, "shift": shift}
    graph = one(xbar.DivOp, [((2, 5, 3), I16), ((5, 1), U8)], (2, 5, 3), S8, **facts, **LIMITS)
    check(graph, wanted, (a, I16), (b, U8))


@pytest.mark.parametrize("pick", [0, 1])
@pytest.mark.parametrize("tie", [0, 1])
def test_arg_max(pick: int, tie: int) -> None:
    x = random(S8, 50, 2, 7) // 40
    turned = x[..., ::-1] if tie else x
    places = (turned.argmin if pick else turned.argmax)(axis=-1)[..., None]
    graph = one(xbar.ArgMaxOp, [((2, 7), S8)], (2, 1), codes(0, 6), which=pick, tie=tie)
    check(graph, 6 - places if tie else places, (x, S8))


def test_lut_covers_every_code() -> None:
    table = random_table(127, 255).astype(np.int8)
    x = np.arange(-127, 128).reshape(1, -1)
    graph = one(xbar.LutOp, [((255,), S8)], (255,), S8, table=table, first=-127)
    check(graph, table[x + 127].astype(np.int64), (x, S8))


def test_softmax() -> None:
    table = np.rint((1 << 20) * np.exp(-np.arange(90) * 0.2)).astype(np.int32)
    table[-1] = 0
    x = random(S8, 5, 3, 7)
    e = table[np.minimum(x.max(axis=-1, keepdims=True) - x, len(table) - 1)].astype(object)
    exact = np.vectorize(lambda part, total: round(Fraction(part * 255, total)))(e, e.sum(axis=-1, keepdims=True))
    graph = one(
        xbar.SoftmaxOp,
        [((3, 7), S8)],
        (3, 7),
        codes(-128, 127, -128),
        table=table,
        numerator=255,
        zero=-128,
        low=-128,
        high=126,
    )
    check(graph, np.clip(exact - 128, -128, 126), (x, S8))


def test_softmax_rounds_exact_halves_to_even() -> None:
    table, x = np.array([1, 0], np.int32), np.array([[5, 5, -5], [5, 5, 5]])
    graph = one(xbar.SoftmaxOp, [((3,), S8)], (3,), codes(0, 255), table=table, numerator=5, zero=0, low=0, high=255)
    check(graph, np.array([[2, 2, 0], [2, 2, 2]]), (x, S8))


def test_bounds_are_checked() -> None:
    with pytest.raises(CimcError, match=r"CIM0304.*accumulator can reach"):
        run_one(
            one(xbar.AddOp, [((3,), S8), ((3,), S8)], (3,), S8, ma=1, mb=1, bias=1 << 52, shift=3, **LIMITS),
            *[np.zeros((1, 3))] * 2,
        )
    with pytest.raises(CimcError, match=r"CIM0304.*start with one above 0"):
        table = np.array([0, 1], np.int32)
        run_one(
            one(xbar.SoftmaxOp, [((3,), S8)], (3,), S8, table=table, numerator=9, zero=0, low=0, high=9),
            np.zeros((1, 3)),
        )
