"""Element types: half and double precision, casts, token ids that come as real numbers; against onnxruntime."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from frontend.onnx_models import assert_agrees, model, node, weights, written
from onnx import TensorProto

from cimc.driving.float_model import run_float
from cimc.evaluate import evaluate
from cimc.frontend import check, load
from cimc.ir.attributes import int_values
from cimc.ir.nn import InputOp

IMAGE = {"x": ("N", 4, 6, 5)}
FLOAT, INT32, INT64 = TensorProto.FLOAT, TensorProto.INT32, TensorProto.INT64


def network(kind: Any, code: int) -> onnx.ModelProto:
    """A convolution, a division, a mean and a product, all in one type."""
    nodes = [
        node("Conv", "x w b", "c"),
        node("Relu", "c", "r"),
        node("Div", "r k", "d"),
        node("GlobalAveragePool", "d", "p"),
        node("Flatten", "p", "f"),
        node("MatMul", "f m", "y"),
    ]
    constants = {"w": weights(3, 4, 3, 3), "b": weights(3), "k": np.array(1.5), "m": weights(3, 2)}
    return model(nodes, IMAGE, {name: array.astype(kind) for name, array in constants.items()}, kind=code)


def test_half_precision(tmp_path: Path) -> None:
    path = written(network(np.float16, TensorProto.FLOAT16), tmp_path)
    graph, x = load(path), {"x": weights(4, 4, 6, 5).astype(np.float16).astype(np.float32)}
    found, want = evaluate(graph, x)["y"], run_float(path, graph, x)["y"].astype(np.float32)
    np.testing.assert_allclose(found, want, rtol=4e-3, atol=4e-3)


def test_double_precision(tmp_path: Path) -> None:
    """onnxruntime has no convolution in double precision; what is here is elementwise and a product."""
    nodes = [node("Tanh", "x", "t"), node("Mul", "t k", "u"), node("MatMul", "u m", "y")]
    constants = {"k": np.array([0.5]), "m": weights(5, 2).astype(np.float64)}
    proto = model(nodes, IMAGE, kind=TensorProto.DOUBLE)
    proto.graph.initializer.extend(onnx.numpy_helper.from_array(array, name) for name, array in constants.items())
    assert_agrees(written(proto, tmp_path))


def test_half_precision_inside(tmp_path: Path) -> None:
    nodes = [
        node("Cast", "x", "h", to=TensorProto.FLOAT16),
        node("Conv", "h w", "c"),
        node("Cast", "c", "y", to=FLOAT),
    ]
    path = written(model(nodes, IMAGE, {"w": weights(3, 4, 1, 1).astype(np.float16)}), tmp_path)
    graph, x = load(path), {"x": weights(4, 4, 6, 5)}
    np.testing.assert_allclose(evaluate(graph, x)["y"], run_float(path, graph, x)["y"], rtol=4e-3, atol=4e-3)


@pytest.mark.parametrize("to", [INT32, INT64])
def test_reals_are_cut_off_towards_zero(to: int, tmp_path: Path) -> None:
    nodes = [node("Cast", "x", "i", to=to), node("Cast", "i", "y", to=FLOAT)]
    assert_agrees(written(model(nodes, {"x": ("N", 9)}), tmp_path))


def looked_up(*before: onnx.NodeProto, ids: str, kind: int = FLOAT, **constants: Any) -> onnx.ModelProto:
    """Rows of a table of 20, averaged, as Keras ends an embedding."""
    nodes = [*before, node("Gather", f"t {ids}", "g", axis=0), node("ReduceMean", "g one", "y", keepdims=0)]
    return model(nodes, {"x": ("N", 6)}, {"t": weights(20, 4), "one": [1], **constants}, kinds={"x": kind})


IDS = {
    "int32": looked_up(node("Cast", "x", "i", to=INT32), ids="i"),
    "int64": looked_up(node("Cast", "x", "i", to=INT64), ids="i"),
    "twice": looked_up(node("Cast", "x", "h", to=INT64), node("Cast", "h", "i", to=INT32), ids="i"),
    "half": looked_up(node("Cast", "x", "h", to=TensorProto.FLOAT16), node("Cast", "h", "i", to=INT32), ids="i"),
    "half input": looked_up(node("Cast", "x", "i", to=INT32), ids="i", kind=TensorProto.FLOAT16),
    "moved": looked_up(
        node("Unsqueeze", "x two", "u"),
        node("Cast", "u", "i", to=INT32),
        node("Squeeze", "i two", "s"),
        ids="s",
        two=[2],
    ),
    "part": looked_up(
        node("Slice", "x zero three one", "s"), node("Cast", "s", "i", to=INT32), ids="i", zero=[0], three=[3]
    ),
    "from the end, by choice": looked_up(
        node("Cast", "x", "i", to=INT32),
        node("Less", "i nought", "negative"),
        node("Add", "i rows", "later"),
        node("Where", "negative later i", "w"),
        ids="w",
        nought=np.int32(0),
        rows=np.int32(20),
    ),
    "from the end, by products": looked_up(
        node("Cast", "x", "i", to=INT32),
        node("Add", "i rows", "later"),
        node("Less", "x nought", "negative"),
        node("Cast", "negative", "n", to=INT32),
        node("Mul", "n later", "a"),
        node("Not", "negative", "positive"),
        node("Cast", "positive", "p", to=INT32),
        node("Mul", "i p", "b"),
        node("Add", "a b", "w"),
        ids="w",
        nought=np.float32(0),
        rows=np.int32(20),
    ),
    "kept within the rows": looked_up(
        node("Round", "x", "r"),
        node("Clip", "r nought last", "c"),
        node("Cast", "c", "i", to=INT64),
        ids="i",
        nought=np.float32(0),
        last=np.float32(19),
    ),
    "not negative": looked_up(node("Relu", "x", "r"), node("Cast", "r", "i", to=INT64), ids="i"),
    "of 8 bits": looked_up(node("Cast", "x", "i", to=INT32), ids="i", kind=TensorProto.UINT8),
    "of 8 bits with a sign": looked_up(node("Cast", "x", "i", to=INT64), ids="i", kind=TensorProto.INT8),
    "split": looked_up(node("Cast", "x", "c", to=INT32), node("Split", "c", "i j", axis=1, num_outputs=2), ids="i"),
    "one column": model(
        [
            node("Gather", "x two", "c", axis=1),
            node("Cast", "c", "i", to=INT32),
            node("Gather", "t i", "y", axis=0),
        ],
        {"x": ("N", 6)},
        {"t": weights(20, 4), "two": np.int64(2)},
    ),
    "masked": model(
        [
            node("Cast", "x", "i", to=INT32),
            node("Gather", "t i", "g", axis=0),
            node("Equal", "x zero", "pad"),
            node("Not", "pad", "real"),
            node("Cast", "real", "m", to=FLOAT),
            node("Unsqueeze", "m two", "u"),
            node("Mul", "g u", "y"),
        ],
        {"x": ("N", 6)},
        {"t": weights(20, 4), "zero": np.float32(0), "two": [2]},
    ),
}


@pytest.mark.parametrize("case", IDS)
def test_token_ids_that_come_as_reals(case: str, tmp_path: Path) -> None:
    path = written(IDS[case], tmp_path)
    ids = np.random.default_rng(0).integers(0, 20, (7, 6)).astype(np.float32)
    graph = assert_agrees(path, {"x": ids})
    (source,) = (op for op in graph.module.ops if isinstance(op, InputOp))
    assert source.integers is not None and int_values(source.integers) == (0, 19)


def test_rows_of_other_indices_than_an_inputs_own_are_refused(tmp_path: Path) -> None:
    proto = looked_up(node("Cast", "x", "i", to=INT32), node("Add", "i rows", "later"), ids="later", rows=np.int32(1))
    (problem,) = check(written(proto, tmp_path))
    assert problem.code == "CIM0104" and "computed indices of 20 rows" in problem.message


def test_a_cast_to_what_wraps_is_refused(tmp_path: Path) -> None:
    (problem,) = check(written(model([node("Cast", "x", "y", to=TensorProto.INT8)], IMAGE), tmp_path))
    assert problem.code == "CIM0104" and "QuantizeLinear" in problem.hint
