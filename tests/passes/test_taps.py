"""Taps of 16 bits on a depthwise unit that reads 8: two runs and one rounding."""

from fractions import Fraction

import numpy as np
import pytest
from evaluate.graphs import GraphBuilder
from targets.stages import SAME, chip, emitted, lowered, normal

from cimc.backends.interpreter import Interpreter
from cimc.evaluate import Evaluator, evaluate
from cimc.ir import nn, xbar
from cimc.ir.attributes import int_value
from cimc.ir.graph import Graph
from cimc.isa.errors import CimcError

DATA = {"x": normal(32, 5, 5, 3)}
WIDE = {"quantise": "digital_bits=16", "im2col": "depthwise=digital tap_bits=16"}


def layer() -> Graph:
    b = GraphBuilder()
    x = b.op(nn.ClampOp, [b.input((5, 5, 3))], (5, 5, 3), label="a", low=0.0, high=2.0)
    properties = {"weight": normal(3, 3, 1, 6, seed=1), "bias": normal(6, seed=2), "group": 3, "clamp": (0.0, 9.0)}
    b.output(b.op(nn.ConvOp, [x], (5, 5, 6), label="deep", **properties, **SAME))
    return b.graph()


def quality(**options: str) -> float:
    real, found = (evaluate(one, DATA)["out"] for one in (layer(), lowered(layer(), DATA, **options)))
    return float(10.0 * np.log10(np.square(real).mean() / np.square(real - found).mean()))


def test_taps_of_16_bits_lose_what_8_bits_do() -> None:
    assert quality(**{**WIDE, "im2col": "depthwise=digital"}) < 60.0 and quality(**WIDE) > 80.0


def test_both_runs_are_rounded_once_in_the_graph_and_on_the_machine() -> None:
    graph = lowered(layer(), DATA, **WIDE)
    ops = {op.label.data: op for op in graph.operations if isinstance(op, nn.Computed)}
    total = ops["deep"]
    assert isinstance(total, xbar.AddOp) and [op.name for op in ops.values()].count("xbar.depthwise") == 2
    codes = Evaluator(graph, list(ops)).run(DATA)
    sums = codes["deep.taps.high"].astype(object) + codes["deep.taps.low"].astype(object) + int_value(total.bias)
    wanted = [round(Fraction(int(one), 1 << int_value(total.shift))) for one in sums.ravel()]
    clamped = np.clip(wanted, int_value(total.low), int_value(total.high)).reshape(sums.shape)
    np.testing.assert_array_equal(codes["deep"], clamped)
    outputs = Interpreter(emitted(graph).program).run({"x": codes["x"]})
    np.testing.assert_array_equal(outputs["out"].reshape(clamped.shape), clamped)


def test_taps_have_no_more_bits_than_two_digits() -> None:
    with pytest.raises(CimcError, match=r"CIM0305.*17 bits are not two slices of at most 8"):
        lowered(layer(), DATA, "im2col", im2col="depthwise=digital tap_bits=17")


@pytest.mark.parametrize("bits", [8, 16])
def test_taps_that_the_model_gives_are_run_once(bits: int) -> None:
    b = GraphBuilder()
    taps = np.array([-127.0, 5.0, 64.0] * 3, np.float32).reshape(3, 3, 1, 1) / 8
    steps = np.array([0.125])
    b.output(b.op(nn.ConvOp, [b.input((5, 5, 1))], (5, 5, 1), label="deep", weight=taps, steps=steps, group=1, **SAME))
    graph = lowered(b.graph(), {"x": normal(8, 5, 5, 1)}, "im2col", chip(), im2col=f"depthwise=digital tap_bits={bits}")
    assert sum(isinstance(op, xbar.DepthwiseOp | xbar.MvmOp) for op in graph.operations) == 1


def test_taps_of_more_multiples_than_8_bits_hold_have_steps_of_ours() -> None:
    b = GraphBuilder()
    taps = np.repeat(np.array([-63.5, 5.0, 64.0] * 3, np.float32), 2).reshape(3, 3, 1, 2)
    layer = {"weight": taps, "steps": np.full(2, 0.125), "group": 2, **SAME}
    b.output(b.op(nn.ConvOp, [b.input((5, 5, 2))], (5, 5, 2), label="deep", **layer))
    graph = lowered(b.graph(), {"x": normal(8, 5, 5, 2)}, "im2col", chip(), im2col="depthwise=digital")
    (product,) = (op for op in graph.operations if isinstance(op, xbar.DepthwiseOp))
    assert np.unique(graph.weights.get(product.weights)).tolist() == [-126, 10, 127]
