"""A whole integer network in one graph: the same bits at every optimisation level, so no fusion crosses operations."""

from typing import Any

import numpy as np
from evaluate.graphs import S8, GraphBuilder, at_every_level, run_one

from cimc.ir import xbar
from cimc.ir.graph import Graph

SAME = (3, 3, 1, 1, 1, 1, 1, 1, 8, 8)
LIMITS: dict[str, Any] = {"low": -127, "high": 127}


def network() -> Graph:
    """Return mvm in two blocks -> depthwise -> residual sum -> pooling -> dense."""
    rng, b = np.random.default_rng(3), GraphBuilder()
    x = b.input((8, 8, 4), S8, "a")
    first = mvm(b, x, (8, 8, 6), rng.integers(-508, 509, (1, 36, 6)), window=SAME, row_cuts=(0, 18, 36), label="first")
    tables = {"scale": np.full(6, 300), "offset": np.full(6, 1 << 13), "weights": rng.integers(-127, 128, (9, 6, 1))}
    second = b.op(xbar.DepthwiseOp, [first], (8, 8, 6), S8, "second", window=SAME, shift=17, low=0, high=127, **tables)
    residual = b.op(xbar.AddOp, [first, second], (8, 8, 6), S8, "sum", ma=77, mb=51, bias=32, shift=7, **LIMITS)
    one_scale = {"scale": np.array([5]), "offset": np.array([0]), "shift": 6}
    pooled = b.op(
        xbar.PoolSumOp, [residual], (1, 1, 6), S8, "pool", window=(8, 8, *[1] * 4, 0, 0, 1, 1), **one_scale, **LIMITS
    )
    flat = b.op(xbar.ViewOp, [pooled], (6,), S8, "flat")
    b.output(mvm(b, flat, (5,), rng.integers(-508, 509, (1, 6, 5)), row_cuts=(0, 6), label="y"))
    return b.graph()


def mvm(b: GraphBuilder, x: Any, shape: tuple[int, ...], conductance: Any, **properties: Any) -> Any:
    blocks, cols = len(properties["row_cuts"]) - 1, conductance.shape[2]
    properties |= {"adc_multiplier": 50000, "adc_shift": 25, "adc_low": -127, "adc_high": 127}
    properties |= {"scale": np.full((1, blocks, cols), 90), "offset": np.full(cols, -50), "shift": 6, **LIMITS}
    return b.op(xbar.MvmOp, [x], shape, S8, conductance=conductance.astype(np.int16), **properties)


def test_a_network_has_the_same_bits_at_every_level() -> None:
    x, graph = np.random.default_rng(0).integers(-127, 128, (40, 8, 8, 4)), network()
    wanted = run_one(graph, x)
    assert len(np.unique(wanted)) > 20
    for found in at_every_level(graph, x):
        np.testing.assert_array_equal(found, wanted)
