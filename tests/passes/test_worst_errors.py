"""The worst errors that docs/number-rules.md states, in codes of the result, over every pair of 8-bit codes."""

from itertools import product
from typing import Any

import numpy as np
import pytest
from evaluate.graphs import GraphBuilder
from numpy.typing import NDArray
from targets.stages import through

from cimc.evaluate import Evaluator
from cimc.ir import functions, nn
from cimc.ir.types import CodeType
from cimc.passes.code_types import code_type
from cimc.passes.digital.digital import Digital

Reals = NDArray[np.float64]
PAIRS = np.array(list(product(range(-127, 128), repeat=2)), np.float64)
S8 = CodeType.of(8, -127, 127, 0, 1.0)


def errors(kind: Any, x: Reals, code: CodeType, result: CodeType, wanted: Reals, **properties: Any) -> Reals:
    """Return |result - wanted|, in codes, of one operation on rows of codes x; clipped results count as right."""
    b = GraphBuilder()
    b.output(b.op(kind, [b.input(x.shape[1:], code, "a")], x.shape[1:], result, **properties))
    graph = through(b.graph(), Digital())
    scale, zero = code.scale.data, code.zero.data
    found = Evaluator(graph, ["y"], batch=4096).run({"a": (x - zero) * scale})["y"].astype(np.float64)
    codes = wanted / result.scale.data + result.zero.data
    return np.abs(found - np.clip(codes, result.low.data, result.high.data))


@pytest.mark.parametrize(("bits", "worst"), [(8, 0.51), (16, 1.3)])
@pytest.mark.parametrize("centred", [0, 1])
@pytest.mark.parametrize("epsilon", [0.0, 1e-5, 2.0])
def test_norm(bits: int, worst: float, centred: int, epsilon: float) -> None:
    scale, bias, step = np.array([1.0, -0.37]), np.array([0.1, -0.2]), 0.013
    real = PAIRS * step
    away = real - real.mean(axis=1, keepdims=True) * centred
    root = np.sqrt(np.square(away).mean(axis=1, keepdims=True) + epsilon)
    wanted = np.divide(away, root, out=np.zeros_like(away), where=root > 0.0) * scale + bias
    result = code_type(-1.7, 1.7, bits, False)
    tables = {"scale": scale.astype(np.float32), "bias": bias.astype(np.float32)}
    code = CodeType.of(8, -127, 127, 0, step)
    found = errors(nn.NormOp, PAIRS, code, result, wanted, centred=centred, epsilon=epsilon, **tables)
    assert found.max() <= worst


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("step", [0.001, 0.05, 1.0])
def test_softmax(bits: int, step: float) -> None:
    wanted = np.exp(PAIRS * step - (PAIRS * step).max(axis=1, keepdims=True))
    wanted /= wanted.sum(axis=1, keepdims=True)
    result = code_type(0.0, 1.0, bits, True)
    found = errors(nn.SoftmaxOp, PAIRS, CodeType.of(8, -127, 127, 0, step), result, wanted)
    assert found.max() <= 0.5 + (1 + PAIRS.shape[1]) / result.scale.data / (1 << 21)


@pytest.mark.parametrize("bits", [8, 12, 16])
@pytest.mark.parametrize("name", ["gelu", "gelu_tanh", "erf", "swish", "tanh", "sigmoid"])
def test_functions_are_right_to_half_a_code(name: str, bits: int) -> None:
    """Every code of every width that a table has."""
    top = (1 << (bits - 1)) - 1
    x, code = np.arange(-top, top + 1, dtype=np.float64)[:, None], code_type(-8.0, 8.0, bits, False)
    parameters = (1.702,) if name == "swish" else ()
    wanted = functions.apply(name, x * code.scale.data, parameters)
    result = code_type(float(min(wanted.min(), 0.0)), float(wanted.max()), bits, True)
    found = errors(nn.UnaryOp, x, code, result, wanted, function=name, parameters=list(parameters))
    assert found.max() <= 0.5 + 1e-6


@pytest.mark.parametrize(("bits", "worst"), [(8, 0.51), (16, 1.0)])
def test_products(bits: int, worst: float) -> None:
    """One product; sums of more have the same error, relative to the range of the result."""
    b, result = GraphBuilder(), code_type(-127.0 * 127.0, 127.0 * 127.0, bits, False)
    left, right = b.input((1, 1), S8, "a"), b.input((1, 1), S8, "b")
    b.output(b.op(nn.MatMulOp, [left, right], (1, 1), result))
    graph = through(b.graph(), Digital())
    feeds = {name: PAIRS[:, axis].reshape(-1, 1, 1) for axis, name in enumerate("ab")}
    found = Evaluator(graph, ["y"], batch=4096).run(feeds)["y"].reshape(-1)
    assert np.abs(found - PAIRS.prod(axis=1) / result.scale.data).max() <= worst
