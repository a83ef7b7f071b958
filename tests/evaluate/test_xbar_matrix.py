"""matmul, norm, embed and select of dialect `xbar`, bit for bit against Python integers at every level."""

from math import isqrt
from typing import Any

import numpy as np
import pytest
from evaluate.graphs import S8, at_every_level, codes, one, run_one
from evaluate.integers import half_even
from numpy.typing import NDArray

from cimc.ir import xbar
from cimc.ir.graph import Graph
from cimc.ir.types import CodeType
from cimc.isa.errors import CimcError

Array = NDArray[Any]
I16 = codes(-32767, 32767, -7)
U16 = codes(0, 65535, 3)
LIMITS: dict[str, Any] = {"low": -32767, "high": 32767}


def random(code: CodeType, *shape: int, seed: int = 0) -> Array:
    """Return codes whose first and last vectors are all at the extremes."""
    x = np.random.default_rng(seed).integers(code.low.data, code.high.data + 1, shape)
    x[0, ..., 0, :], x[-1, ..., -1, :] = code.low.data, code.high.data
    return x


def check(graph: Graph, wanted: Array, *operands: tuple[Array, CodeType]) -> None:
    reals = [x - code.zero.data for x, code in operands]
    for found in [*at_every_level(graph, *reals), run_one(graph, *reals)]:
        np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize(("code", "m", "shift"), [(S8, 65535, 14), (I16, 32767, 30), (U16, 8000, 31)])
@pytest.mark.parametrize("stack", [((), ()), ((3,), (3,)), ((2, 3), (2, 1)), ((1, 3), (2, 1))])
def test_matmul(stack: Any, code: CodeType, m: int, shift: int) -> None:
    a, b = random(code, 4, *stack[0], 5, 16), random(code, 4, *stack[1], 6, 16, seed=1)
    zero = code.zero.data
    total = ((a - zero) @ (b - zero).swapaxes(-1, -2)) * m + 12345
    wanted = np.clip(half_even(total, shift), -32767, 32767)
    properties = {"za": zero, "zb": zero, "m": m, "bias": 12345, "shift": shift, **LIMITS}
    operands = [(x.shape[1:], code) for x in (a, b)]
    check(one(xbar.MatMulOp, operands, wanted.shape[1:], I16, **properties), wanted, (a, code), (b, code))


def normalised(x: list[int], zero: int, centred: int, fraction: int, epsilon: int) -> list[int]:
    """Return h of one vector, in Python integers."""
    n, u = len(x), [value - zero for value in x]
    s = sum(u) * centred
    w = max((n * sum(value * value for value in u) - s * s) * 4**fraction + epsilon, 1)
    t = max(t for t in range(31) if w << 2 * t < 1 << 62)
    root = isqrt(w << 2 * t)
    return [_rounded((n * value - s) << 16 + fraction + t, root) for value in u]


def _rounded(numerator: int, denominator: int) -> int:
    quotient, rest = divmod(numerator, denominator)
    return quotient + (2 * rest > denominator or (2 * rest == denominator and quotient % 2 == 1))


@pytest.mark.parametrize("length", [1, 2, 3, 64, 768])
@pytest.mark.parametrize("epsilon", [0, 1, 1 << 40])
@pytest.mark.parametrize("centred", [0, 1])
@pytest.mark.parametrize("code", [S8, I16, U16], ids=["i8", "i16", "u16"])
def test_norm(code: CodeType, centred: int, epsilon: int, length: int) -> None:
    x = random(code, 6, 3, length)
    x[1, 1] = code.zero.data + (np.arange(length) % 3 == 1)  # a variance of hardly anything
    fraction = 4 if code is S8 else 1
    h = [[normalised(row, code.zero.data, centred, fraction, epsilon) for row in sample] for sample in x.tolist()]
    scale, offset = np.arange(length) % 9000 - 4500, np.arange(length) * 100
    wanted = np.clip(half_even(np.array(h) * scale + offset, 14), -32767, 32767)
    tables = {"epsilon": np.array([epsilon]), "scale": scale.astype(np.int32), "offset": offset}
    numbers = {"centred": centred, "zero": code.zero.data, "fraction": fraction, "shift": 14, **LIMITS}
    check(one(xbar.NormOp, [(x.shape[1:], code)], x.shape[1:], I16, **tables, **numbers), wanted, (x, code))


def test_embed() -> None:
    index, table = codes(0, 50, 0), np.random.default_rng(3).integers(-32767, 32768, (51, 7)).astype(np.int16)
    x = np.random.default_rng(4).integers(0, 51, (5, 2, 9))
    check(one(xbar.EmbedOp, [((2, 9), index)], (2, 9, 7), I16, table=table, first=0), table[x], (x, index))


def test_select_broadcasts() -> None:
    c, a, b = np.random.default_rng(5).integers(-1, 2, (4, 5, 1)), random(S8, 4, 3, 5, 6), random(S8, 4, 1, 6, seed=2)
    wanted = np.where((c != -1)[:, None], a, b[:, None])
    graph = one(xbar.SelectOp, [((5, 1), S8), ((3, 5, 6), S8), ((1, 6), S8)], (3, 5, 6), S8, zero=-1)
    check(graph, wanted, (c, S8), (a, S8), (b, S8))


def test_bounds_are_checked() -> None:
    x = np.zeros((1, 2, 4096))
    properties = {"za": 0, "zb": 0, "m": 65535, "bias": 0, "shift": 9, **LIMITS}
    with pytest.raises(CimcError, match=r"CIM0304.*accumulator can reach"):
        run_one(one(xbar.MatMulOp, [((2, 4096), U16)] * 2, (2, 2), I16, **properties), x, x)
    tables = {"epsilon": np.array([1 << 61]), "scale": np.ones(70000, np.int32), "offset": np.zeros(70000, np.int64)}
    with pytest.raises(CimcError, match=r"CIM0304.*sum under the root can reach"):
        graph = one(
            xbar.NormOp, [((70000,), U16)], (70000,), I16, centred=1, zero=0, fraction=0, shift=1, **tables, **LIMITS
        )
        run_one(graph, np.zeros((1, 70000)))
