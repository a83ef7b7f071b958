"""digital: every operation of the digital unit is within a code of the float result."""

from typing import Any

import numpy as np
import pytest
from evaluate.graphs import GraphBuilder
from evaluate.test_nn_float import parameters_of
from targets.stages import SAME, Array, layers, lowered, normal, through

from cimc.evaluate import Evaluator
from cimc.ir import nn
from cimc.ir.attributes import int_values
from cimc.ir.functions import FUNCTIONS
from cimc.ir.graph import Graph
from cimc.ir.types import CodeType, code_of
from cimc.isa.errors import CimcError
from cimc.passes.digital.digital import Digital

IMAGE, OTHER = (4, 6, 3), (1, 6, 1)
SECOND: dict[Any, tuple[int, ...]] = {
    nn.AddOp: OTHER,
    nn.SubOp: OTHER,
    nn.MulOp: OTHER,
    nn.DivOp: OTHER,
    nn.MatMulOp: (1, 5, 3),
    nn.ConcatOp: IMAGE,
}
"""Operation -> shape of its second operand."""
STEADY = {"shrink": [0.5, 0.5]}
"""Parameters with which a function does not jump: near a jump, values within half a code may be on either side."""
POOL = SAME | {"kernel": [3, 3], "stride": [2, 2]}
CASES: dict[str, tuple[Any, tuple[int, ...], dict[str, Any]]] = {
    "relu": (nn.ClampOp, IMAGE, {"low": 0.0, "high": nn.UNBOUNDED}),
    "clip": (nn.ClampOp, IMAGE, {"low": -0.5, "high": 0.75}),
    "affine": (nn.AffineOp, IMAGE, {"scale": normal(1, 1, 3, seed=1), "bias": normal(1, 1, 3, seed=2)}),
    "affine over columns": (nn.AffineOp, IMAGE, {"scale": normal(1, 6, 1, seed=1), "bias": normal(1, 1, 3, seed=2)}),
    "affine of one": (nn.AffineOp, IMAGE, {"scale": normal(1, 1, 1), "bias": normal(1, 1, 1), "clamp": [0.0, 1.0]}),
    "add": (nn.AddOp, IMAGE, {"clamp": [-0.5, 1.0]}),
    "sub": (nn.SubOp, IMAGE, {}),
    "mul": (nn.MulOp, IMAGE, {"clamp": [0.0, nn.UNBOUNDED]}),
    "div": (nn.DivOp, IMAGE, {"clamp": [-4.0, 4.0]}),
    "arg max": (nn.ArgMaxOp, (4, 6, 1), {"which": 0, "tie": 0}),
    "arg min": (nn.ArgMaxOp, (4, 6, 1), {"which": 1, "tie": 1}),
    "pick": (nn.PickOp, (4, 4, 3), {"axis": 1, "indices": np.array([5, 0, 0, 2], np.int32)}),
    "pick evenly": (nn.PickOp, (3, 6, 3), {"axis": 0, "indices": np.array([3, 2, 1], np.int32)}),
    "max pool": (nn.MaxPoolOp, (2, 3, 3), POOL),
    "max pool with clamp": (nn.MaxPoolOp, (2, 3, 3), POOL | {"clamp": [0.0, 1.0]}),
    "avg pool": (nn.AvgPoolOp, (2, 3, 3), POOL | {"counted": [1, 1, 1, 1]}),
    "avg pool without pads": (nn.AvgPoolOp, (2, 3, 3), POOL | {"counted": [0, 0, 0, 0], "clamp": [0.0, 6.0]}),
    "avg pool with a ceiling": (nn.AvgPoolOp, (2, 3, 3), POOL | {"pads": [0, 0, 1, 1], "counted": [0, 0, 1, 0]}),
    "avg pool of oblong windows": (nn.AvgPoolOp, (3, 3, 3), POOL | {"kernel": [2, 3], "counted": [1, 1, 1, 1]}),
    "softmax": (nn.SoftmaxOp, IMAGE, {}),
    "matmul": (nn.MatMulOp, (4, 6, 5), {}),
    "norm": (nn.NormOp, IMAGE, {"centred": 1, "epsilon": 1e-5, "scale": normal(3), "bias": normal(3, seed=2)}),
    "norm about zero": (
        nn.NormOp,
        IMAGE,
        {"centred": 0, "epsilon": 1e-3, "scale": normal(3), "bias": np.zeros(3, np.float32)},
    ),
    "concat": (nn.ConcatOp, (4, 12, 3), {"axis": 1}),
    "pad": (nn.PadOp, (5, 6, 6), {"before": [0, 0, 2], "after": [1, 0, 1], "value": 0.25}),
    "pad beyond the range": (nn.PadOp, (5, 6, 3), {"before": [1, 0, 0], "after": [0, 0, 0], "value": -9.0}),
    "reshape": (nn.ReshapeOp, (72,), {}),
    "transpose": (nn.TransposeOp, (3, 4, 6), {"order": [2, 0, 1]}),
    "slice": (nn.SliceOp, (2, 2, 1), {"begin": [3, 1, 1], "step": [-2, 3, 1]}),
} | {
    f"unary {name}": (nn.UnaryOp, IMAGE, {"function": name, "parameters": STEADY.get(name) or parameters_of(name)})
    for name in FUNCTIONS
    if name not in ("acos", "acosh", "asin", "atanh", "log", "power", "reciprocal", "sqrt", "visible")
}


def graph_of(name: str) -> Graph:
    """Return the case on inputs x, and z where it has two."""
    kind, shape, properties = CASES[name]
    b = GraphBuilder()
    x = b.input(IMAGE)
    if kind is nn.ConcatOp:
        b.output(b.op(kind, [[x, b.input(IMAGE, label="z")]], shape, **properties))
    elif kind in SECOND:
        b.output(b.op(kind, [x, b.input(SECOND[kind], label="z")], shape, **properties))
    else:
        b.output(b.op(kind, [x], shape, **properties))
    return b.graph()


def inputs(name: str, one_sided: bool) -> dict[str, Array]:
    found = {"x": normal(16, *IMAGE)}
    if CASES[name][0] in SECOND:
        found["z"] = 3 * normal(16, *SECOND[CASES[name][0]], seed=9)
    if CASES[name][0] is nn.DivOp:
        found["z"] = np.abs(found["z"]) + 1.0
    return {key: np.abs(x) if one_sided else x for key, x in found.items()}


def on_the_grid(graph: Graph, data: dict[str, Array]) -> dict[str, Array]:
    """Return inputs that their codes represent exactly."""
    codes = {op.label.data: code_of(op.out) for op in graph.module.ops if isinstance(op, nn.InputOp)}
    return {
        key: ((np.clip(np.rint(x / c.scale.data) + c.zero.data, c.low.data, c.high.data) - c.zero.data) * c.scale.data)
        for key, x in data.items()
        for c in [codes[key]]
    }


@pytest.mark.parametrize("one_sided", [False, True], ids=["two-sided", "one-sided"])
@pytest.mark.parametrize("name", CASES)
def test_within_a_code_of_the_float_result(name: str, one_sided: bool) -> None:
    data = inputs(name, one_sided)
    options = {"calibrate": "method=minmax inputs=full", "quantise": "bits=8"}
    graph = lowered(graph_of(name), data, "digital", **options)
    assert {op.name.partition(".")[0] for op in graph.module.ops} == {"nn", "xbar"}
    exact = on_the_grid(graph, data)
    code = next(code_of(op.out) for op in graph.module.ops if isinstance(op, nn.Computed) and op.label.data == "y")
    wanted = Evaluator(graph_of(name), ["y"]).run(exact)["y"] / code.scale.data + code.zero.data
    found = Evaluator(graph, ["y"]).run(exact)["y"].astype(np.int64)
    # Sixteen-bit multipliers allow an error of 2^-16 of a product, which a 16-bit code may show.
    slack = 1.0 if code.bits.data == 8 else 4.0
    assert np.abs(found - np.clip(wanted, code.low.data, code.high.data)).max() <= slack


@pytest.mark.parametrize("kind", [nn.AddOp, nn.MulOp])
def test_both_operands_may_be_one_value(kind: Any) -> None:
    b = GraphBuilder()
    x = b.input((5,))
    b.output(b.op(kind, [x, x], (5,)))
    data = {"x": normal(20, 5)}
    found = Evaluator(lowered(b.graph(), data, "digital")).run(data)["out"]
    wanted = data["x"] * (2.0 if kind is nn.AddOp else data["x"])
    np.testing.assert_allclose(found, wanted, atol=0.06 * np.abs(wanted).max())


def test_softmax_of_codes_far_apart_is_exact_at_both_ends() -> None:
    x, y = CodeType.of(8, -127, 127, 0, 1.0), CodeType.of(16, -32767, 32767, -32767, 1 / 65534)
    b = GraphBuilder()
    b.output(b.op(nn.SoftmaxOp, [b.input((3,), x, "a")], (3,), y))
    found = Evaluator(through(b.graph(), Digital()), ["y"]).run({"a": np.array([[-127.0, 127, -127], [5, 5, -127]])})
    assert found["y"].tolist() == [[-32767, 32767, -32767], [0, 0, -32767]]


def test_one_multiplier_serves_an_average_that_counts_alike_everywhere() -> None:
    for name, entries in (("avg pool", 1), ("avg pool without pads", 6)):
        graph = lowered(graph_of(name), inputs(name, False), "digital")
        pool = next(op for op in graph.module.ops if op.name == "xbar.pool_sum")
        assert pool.properties["scale"].dims == (entries,)  # type: ignore[attr-defined]


@pytest.mark.parametrize("kind", [nn.AddOp, nn.MulOp])
def test_scales_too_far_apart_are_refused(kind: Any) -> None:
    large, small = CodeType.of(8, -127, 127, 0, 1e6), CodeType.of(8, -127, 127, 0, 1e-3)
    b = GraphBuilder()
    b.output(b.op(kind, [b.input((2,), large, "a"), b.input((2,), large, "b")], (2,), small))
    with pytest.raises(CimcError, match=r"CIM0304.*'y'"):
        through(b.graph(), Digital())


def test_layers_are_left_to_the_crossbar() -> None:
    b = GraphBuilder()
    b.output(b.op(nn.DenseOp, [b.input((4,))], (2,), weight=normal(4, 2)))
    graph = lowered(b.graph(), {"x": normal(3, 4)}, "digital")
    assert len(layers(graph)) == 1 and not int_values(layers(graph)[0].window)
