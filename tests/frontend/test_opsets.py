"""Older opsets are converted, newer ones taken as they are; files that write things in other ways."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from frontend.onnx_models import assert_agrees, model, node, operations, weights, written

from cimc.frontend import check

IMAGE = {"x": ("N", 4, 6, 5)}


def network(opset: int) -> onnx.ModelProto:
    """A network of operators whose definitions changed between opset 7 and 21."""
    nodes = [
        node("Conv", "x w", "a", pads=[1, 1, 1, 1]),
        node("BatchNormalization", "a s o m v", "b"),
        node("Relu", "b", "c"),
        node("AveragePool", "c", "d", kernel_shape=[2, 2]),
        node("Flatten", "d", "e"),
        node("Gemm", "e g h", "f"),
        node("Softmax", "f", "y", axis=1),
    ]
    constants = {"w": weights(4, 4, 3, 3), "s": weights(4), "o": weights(4), "m": weights(4), "v": np.ones(4)}
    return model(nodes, IMAGE, {**constants, "g": weights(80, 3), "h": weights(3)}, opset=opset)


@pytest.mark.parametrize("opset", [7, 9, 11, 12, 13, 15, 18, 20, 21, 22, 24])
def test_opset(opset: int, tmp_path: Path) -> None:
    graph = assert_agrees(written(network(opset), tmp_path))
    assert operations(graph) == ["conv", "avg_pool", "reshape", "dense", "softmax"]


def test_attributes_that_became_inputs(tmp_path: Path) -> None:
    """Clip, Pad, Squeeze, Unsqueeze, Slice and Dropout of opset 9."""
    nodes = [
        node("Clip", "x", "a", min=-1.0, max=1.5),
        node("Pad", "a", "b", pads=[0, 0, 1, 1, 0, 0, 1, 1], value=0.5),
        node("Slice", "b", "c", starts=[1], ends=[3], axes=[2]),
        node("Unsqueeze", "c", "d", axes=[1]),
        node("Squeeze", "d", "e", axes=[1]),
        node("Dropout", "e", "y", ratio=0.3),
    ]
    assert_agrees(written(model(nodes, IMAGE, opset=9), tmp_path))


def test_local_functions_are_inlined(tmp_path: Path) -> None:
    proto = model([node("Twice", "x", "y", domain="local")], {"x": ("N", 6)})
    opsets = [onnx.helper.make_opsetid("", 21)]
    body = [onnx.helper.make_node("Add", ["u", "u"], ["v"])]
    proto.functions.append(onnx.helper.make_function("local", "Twice", ["u"], ["v"], body, opsets))
    proto.opset_import.append(onnx.helper.make_opsetid("local", 1))
    assert operations(assert_agrees(written(proto, tmp_path))) == ["add"]


def with_function(opset: int, *body: onnx.NodeProto) -> onnx.ModelProto:
    """Return a model of opset 21 that calls a function of another one."""
    proto = model([node("F", "x", "y", domain="local")], IMAGE, opset=21)
    proto.functions.append(
        onnx.helper.make_function("local", "F", ["u"], ["v"], list(body), [onnx.helper.make_opsetid("", opset)])
    )
    proto.opset_import.append(onnx.helper.make_opsetid("local", 1))
    return proto


def test_local_functions_of_another_opset(tmp_path: Path) -> None:
    """Taken where their operators are the same in both; else onnx's checker names the two."""
    same = [node("Sigmoid", "u", "s"), node("Concat", "s u", "v", axis=1)]
    assert_agrees(written(with_function(17, *same), tmp_path))
    other = [node("ReduceMean", "u", "v", axes=[1], keepdims=1)]
    (problem,) = check(written(with_function(13, *other), tmp_path))
    assert problem.code == "CIM0102" and "imports version 13 whereas model imports version 21" in problem.message


def test_shared_initialisers_and_several_outputs(tmp_path: Path) -> None:
    nodes = [node("Gemm", "x w", "a"), node("Gemm", "a w", "b"), node("Relu", "x", "dead"), node("Identity", "b", "c")]
    graph = assert_agrees(written(model(nodes, {"x": ("N", 6)}, {"w": weights(6, 6)}, ("a", "c")), tmp_path))
    assert operations(graph) == ["dense", "dense"]


def test_an_input_that_is_an_output(tmp_path: Path) -> None:
    assert_agrees(written(model([node("Identity", "x", "y")], IMAGE), tmp_path))


def test_constants_from_nodes(tmp_path: Path) -> None:
    """Weights computed from constants are folded."""
    value = onnx.numpy_helper.from_array(weights(3, 6))
    nodes = [
        node("Constant", "", "c", value=value),
        node("Transpose", "c", "t", perm=[1, 0]),
        node("ConstantOfShape", "s", "z"),
        node("Gemm", "x t z", "y"),
    ]
    graph = assert_agrees(written(model(nodes, {"x": ("N", 6)}, {"s": [3]}), tmp_path))
    assert operations(graph) == ["dense"]
