"""The public functions: names, axis orders, batches, extra outputs, errors."""

from typing import Any

import numpy as np
import onnx
import pytest
from evaluate.graphs import S8, GraphBuilder, codes
from numpy.typing import NDArray

from cimc.evaluate import Evaluator, evaluate, selftest, to_onnx
from cimc.evaluate.lower import lower
from cimc.ir import loop, nn, xbar
from cimc.ir.graph import Graph
from cimc.isa.errors import CimcError

Array = NDArray[Any]
X: Array = np.random.default_rng(0).integers(-40, 40, (7, 2, 3, 4)).astype(np.float32) / 2


def channels_first_graph() -> Graph:
    """Return a graph whose input is (channels 2, height 3, width 4) outside and channels last in memory."""
    b = GraphBuilder()
    half = codes(-127, 127, 0, 0.5)
    x = b.op(nn.InputOp, [], (3, 4, 2), half, "x", model_shape=[2, 3, 4], order=[1, 2, 0])
    doubled = {"ma": 1, "mb": 1, "bias": 0, "shift": 0, "low": -127, "high": 127}
    y = b.op(xbar.AddOp, [x, x], (3, 4, 2), half, "sum", **doubled)
    b.output(y, "out", order=[1, 2, 0])
    b.output(x, "same", order=[1, 2, 0])
    return b.graph()


def test_outputs_come_in_the_shapes_of_the_model() -> None:
    found = evaluate(channels_first_graph(), {"x": X})
    assert sorted(found) == ["out", "same"] and found["out"].dtype == np.float32
    np.testing.assert_array_equal(found["out"], 2 * X)
    np.testing.assert_array_equal(found["same"], X)


def test_values_come_in_memory_layout_as_codes() -> None:
    found = evaluate(channels_first_graph(), {"x": X}, values=["sum", "x"])
    assert sorted(found) == ["sum", "x"] and found["sum"].dtype == np.int8
    np.testing.assert_array_equal(found["sum"], (4 * X).transpose(0, 2, 3, 1))


@pytest.mark.parametrize("batch", [1, 3, 7, 100])
def test_chunks_do_not_matter(batch: int) -> None:
    np.testing.assert_array_equal(evaluate(channels_first_graph(), {"x": X}, batch=batch)["out"], 2 * X)


def test_stream_yields_chunks_in_order() -> None:
    chunks = list(Evaluator(channels_first_graph(), batch=3).stream({"x": X}))
    assert [len(chunk["out"]) for chunk in chunks] == [3, 3, 1]
    np.testing.assert_array_equal(np.concatenate([chunk["out"] for chunk in chunks]), 2 * X)


def test_no_samples_give_empty_arrays() -> None:
    assert evaluate(channels_first_graph(), {"x": X[:0]})["out"].shape == (0, 2, 3, 4)


def test_exported_model_has_the_names_and_shapes_of_the_model() -> None:
    model = to_onnx(channels_first_graph(), codes=True)
    onnx.checker.check_model(model, full_check=True)
    dims = [[dim.dim_param or dim.dim_value for dim in entry.type.tensor_type.shape.dim] for entry in model.graph.input]
    assert [entry.name for entry in model.graph.input] == ["x"] and dims == [["batch", 2, 3, 4]]
    assert sorted(entry.name for entry in model.graph.output) == ["out", "same", "sum:value", "x:value"]


def test_same_graph_gives_same_bytes() -> None:
    first, second = (to_onnx(channels_first_graph()).SerializeToString(deterministic=True) for _ in range(2))
    assert first == second


def test_equal_constants_are_kept_once() -> None:
    b = GraphBuilder()
    x, weight = b.input((8,)), np.eye(8, dtype=np.float32)
    y = b.op(nn.DenseOp, [b.op(nn.DenseOp, [x], (8,), label="y", weight=weight)], (8,), label="z", weight=weight)
    b.output(y)
    assert len(to_onnx(b.graph()).graph.initializer) == 1


def test_large_constants_are_fed_and_exported_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    b = GraphBuilder()
    generator = np.random.default_rng(3)
    weight = generator.integers(-8, 8, (24, 16)).astype(np.float32)
    b.output(b.op(nn.DenseOp, [b.input((24,))], (16,), weight=weight))
    graph = b.graph()
    monkeypatch.setattr("cimc.evaluate.builder.FED_BYTES", weight.nbytes)
    x = generator.integers(-8, 8, (40, 24)).astype(np.float32)
    np.testing.assert_array_equal(evaluate(graph, {"x": x})["out"], x @ weight)
    lowered = lower(graph, feeding=True)
    assert [fed is b.weights.array("weight") for fed in lowered.fed.values()] == [True]
    assert not lowered.model.graph.initializer and len(to_onnx(graph).graph.initializer) == 1


def test_values_alone_leave_out_what_they_do_not_need() -> None:
    b = GraphBuilder()
    x = b.input((4,))
    for label in ("p", "q"):
        x = b.op(nn.ClampOp, [x], (4,), label=label, low=0.0, high=1.0)
    b.output(x)
    assert sorted(evaluate(b.graph(), {"x": X[:, 0, 0]}, ["p"])) == ["p"]


def test_no_values_are_no_trouble() -> None:
    assert evaluate(channels_first_graph(), {"x": X}, []) == {}


def test_a_model_name_may_look_like_ours() -> None:
    b = GraphBuilder()
    b.output(b.op(nn.ClampOp, [b.input((4,), label="y:Clip")], (4,), label="y", low=0.0, high=1.0), "y:Clip.1")
    x = X[:, 0, 0]
    np.testing.assert_array_equal(evaluate(b.graph(), {"y:Clip": x})["y:Clip.1"], np.clip(x, 0, 1))


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({}, "CIM0201.*no array for the model's input 'x'"),
        ({"x": X[:, :1]}, r"CIM0202.*has shape \(7, 1, 3, 4\), the model wants \(N, 2, 3, 4\)"),
    ],
)
def test_wrong_inputs_are_refused(inputs: Any, message: str) -> None:
    with pytest.raises(CimcError, match=message):
        evaluate(channels_first_graph(), inputs)


def test_an_unknown_value_is_refused() -> None:
    with pytest.raises(CimcError, match="no operation of the graph computes a value labelled 'nowhere'"):
        evaluate(channels_first_graph(), {"x": X}, ["nowhere"])


def test_selftest_passes_here() -> None:
    selftest()


def test_selftest_sees_an_inexact_product(monkeypatch: pytest.MonkeyPatch) -> None:
    from cimc.evaluate import bounds

    monkeypatch.setattr(bounds, "SINGLE", 1 << 60)
    with pytest.raises(CimcError, match="does not multiply exactly on this machine"):
        selftest()


def test_every_operation_of_the_dialects_has_a_lowering() -> None:
    from cimc.evaluate.lower import REAL, STORED

    in_loops = {loop.ScanOp, loop.YieldOp, loop.TakeOp, loop.StateOp}
    known = {*REAL, *STORED, nn.InputOp, nn.OutputOp, *in_loops}
    assert {*nn.Nn.operations, *xbar.Xbar.operations, *loop.Loops.operations} == known


def test_codes_of_one_graph_meet_floats() -> None:
    b = GraphBuilder()
    b.output(b.op(nn.RequantiseOp, [b.input((4,))], (4,), S8))
    assert evaluate(b.graph(), {"x": X[:, 0, 0]}, ["y"])["y"].dtype == np.int8
