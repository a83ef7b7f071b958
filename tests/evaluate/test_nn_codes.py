"""Dialect `nn` on codes: real values in, the operation, codes out."""

from typing import Any

import numpy as np
from evaluate.graphs import GraphBuilder, at_every_level, codes, one, run_one
from numpy.typing import NDArray

from cimc.ir import nn
from cimc.ir.types import CodeType

Array = NDArray[Any]
U8 = codes(0, 255, 17, 0.25)
S8 = codes(-127, 127, 3, 0.5)


def every_code(code: CodeType) -> Array:
    return np.arange(code.low.data, code.high.data + 1).reshape(1, -1)


def as_real(x: Array, code: CodeType) -> Array:
    return (x - code.zero.data) * code.scale.data


def as_codes(x: Array, code: CodeType) -> Array:
    return np.clip(np.rint(x / code.scale.data) + code.zero.data, code.low.data, code.high.data)


def test_input_rounds_half_to_even_and_clips() -> None:
    b = GraphBuilder()
    b.output(b.input((7,), S8, "a"), "y2")
    graph = b.graph()
    x = np.array([[0.25, 0.75, -0.25, -0.75, 1000.0, -1000.0, 0.0]], dtype=np.float32)
    from cimc.evaluate import evaluate

    assert evaluate(graph, {"a": x}, ["a"])["a"].tolist() == [[3, 5, 3, 1, 127, -127, 3]]
    assert evaluate(graph, {"a": x})["y2"].tolist() == [[0.0, 1.0, 0.0, -1.0, 62.0, -65.0, 0.0]]


def test_requantise_clips_and_stores_in_the_element_type() -> None:
    x = every_code(U8)
    found = run_one(one(nn.RequantiseOp, [((256,), U8)], (256,), S8), as_real(x, U8))
    assert found.dtype == np.int8
    np.testing.assert_array_equal(found, as_codes(as_real(x, U8), S8))


def test_sixteen_bit_codes_survive() -> None:
    wide = CodeType.of(16, 0, 65535, 32768, 0.001)
    x = np.array([[0, 1, 32767, 32768, 65534, 65535]])
    found = run_one(one(nn.RequantiseOp, [((6,), wide)], (6,), wide), as_real(x, wide))
    assert found.dtype == np.uint16
    np.testing.assert_array_equal(found, x)


def test_arithmetic_is_on_real_values() -> None:
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 256, (3, 5)), rng.integers(-127, 128, (3, 5))
    graph = one(nn.AddOp, [((5,), U8), ((5,), S8)], (5,), S8, clamp=[-20.0, 30.0])
    wanted = as_codes(np.clip(as_real(a, U8) + as_real(b, S8), -20, 30), S8)
    for found in at_every_level(graph, as_real(a, U8), as_real(b, S8)):
        np.testing.assert_array_equal(found, wanted)


def test_max_pool_returns_codes_it_was_given() -> None:
    x = np.random.default_rng(0).integers(0, 256, (3, 4, 4, 2))
    geometry = {"kernel": [2, 2], "stride": [2, 2], "dilation": [1, 1], "pads": [0, 0, 0, 0]}
    graph = one(nn.MaxPoolOp, [((4, 4, 2), U8)], (2, 2, 2), U8, **geometry)
    wanted = x.reshape(3, 2, 2, 2, 2, 2).max(axis=(2, 4))
    np.testing.assert_array_equal(run_one(graph, as_real(x, U8)), wanted)


def test_padding_value_becomes_its_code() -> None:
    graph = one(nn.PadOp, [((2,), U8)], (4,), U8, before=[1], after=[1], value=0.5)
    assert run_one(graph, as_real(np.array([[0, 255]]), U8)).tolist() == [[19, 0, 255, 19]]
