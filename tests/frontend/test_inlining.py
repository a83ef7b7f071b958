"""Nodes that stand for others, against onnxruntime: branches, definitions, images one by one."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from frontend.onnx_models import assert_agrees, model, node, operations, weights, written
from onnx import TensorProto, helper, numpy_helper

from cimc.frontend import Specialisation, check, load

IMAGE = {"x": ("N", 4, 6, 5)}


def branch(nodes: list[onnx.NodeProto], result: str, constants: dict[str, Any] | None = None) -> onnx.GraphProto:
    """Return a subgraph; its constants are its own initialisers."""
    value = helper.make_tensor_value_info(result, TensorProto.FLOAT, None)
    tensors = [numpy_helper.from_array(np.asarray(array), name) for name, array in (constants or {}).items()]
    return helper.make_graph(nodes, "branch", [], [value], tensors)


def choice(condition: str, then: onnx.GraphProto, other: onnx.GraphProto, result: str = "y") -> onnx.NodeProto:
    return node("If", condition, result, then_branch=then, else_branch=other)


def on_shape(want: int, opset: int = 21) -> onnx.ModelProto:
    """What torch writes for squeeze(1): the branch depends on the number of channels."""
    axes: dict[str, Any] = {} if opset >= 13 else {"axes": [1]}
    squeeze = node("Squeeze", "x axis" if opset >= 13 else "x", "o", **axes)
    nodes = [
        node("Shape", "x", "shape"),
        node("Gather", "shape one", "channels"),
        node("Equal", "channels want", "same"),
        choice("same", branch([squeeze], "o"), branch([node("Relu", "x", "o")], "o")),
    ]
    constants = {"one": np.int64(1), "want": np.int64(want), "axis": np.array([1])}
    return model(nodes, {"x": ("N", 1, 6, 5)}, constants, opset=opset)


@pytest.mark.parametrize(("want", "left"), [(1, ["reshape"]), (2, ["clamp"])])
@pytest.mark.parametrize("opset", [11, 16, 21])
def test_a_condition_on_a_shape(want: int, left: list[str], opset: int, tmp_path: Path) -> None:
    assert operations(assert_agrees(written(on_shape(want, opset), tmp_path))) == left


@pytest.mark.parametrize("flag", [True, False])
def test_branches_with_constants_of_one_name(flag: bool, tmp_path: Path) -> None:
    """Each branch has its own w, the first result of one of them twice, and reads what lies outside."""
    then = branch([node("MatMul", "a w", "m"), node("Add", "m m", "o")], "o", {"w": weights(5, 3)})
    other = branch([node("MatMul", "a w", "o")], "o", {"w": weights(5, 3, seed=1)})
    nodes = [node("Tanh", "x", "a"), choice("flag", then, other, "r"), node("Relu", "r", "y")]
    assert_agrees(written(model(nodes, IMAGE, {"flag": np.bool_(flag)}), tmp_path))


@pytest.mark.parametrize("flag", [True, False])
def test_a_branch_in_a_branch(flag: bool, tmp_path: Path) -> None:
    inner = choice("flag", branch([node("Relu", "b", "o")], "o"), branch([node("Tanh", "b", "o")], "o"), "deep")
    then = branch([node("Neg", "x", "b"), inner], "deep")
    same = branch([node("Identity", "r", "o")], "o")
    nodes = [choice("yes", then, branch([node("Identity", "x", "o")], "o"), "r"), choice("no", then, same)]
    constants = {"flag": np.bool_(flag), "yes": np.bool_(True), "no": np.bool_(False)}
    assert_agrees(written(model(nodes, IMAGE, constants), tmp_path))


def test_a_condition_on_data_is_refused(tmp_path: Path) -> None:
    nodes = [
        node("ReduceMax", "x", "m", keepdims=0),
        node("Greater", "m zero", "c"),
        choice("c", branch([node("Relu", "x", "o")], "o"), branch([node("Neg", "x", "o")], "o")),
    ]
    found = check(written(model(nodes, {"x": (3,)}, {"zero": np.float32(0)}), tmp_path), Specialisation(unbatched=True))
    assert [(problem.operator, problem.code) for problem in found] == [("If", "CIM0103")]
    assert "must not depend on data" in found[0].hint


def test_a_condition_on_the_batch_is_refused(tmp_path: Path) -> None:
    nodes = [
        node("Shape", "x", "shape", end=1),
        node("Equal", "shape one", "same"),
        choice("same", branch([node("Relu", "x", "o")], "o"), branch([node("Neg", "x", "o")], "o")),
    ]
    (problem,) = check(written(model(nodes, IMAGE, {"one": np.array([1])}), tmp_path))
    assert (problem.operator, problem.code) == ("If", "CIM0103") and "batch size" in problem.hint


DEFINED = {
    "mean_variance": model([node("MeanVarianceNormalization", "x", "y", axes=[1, 2, 3])], IMAGE),
    "mean_variance_13": model([node("MeanVarianceNormalization", "x", "y", axes=[2, 3])], IMAGE, opset=13),
    "cast_like": model([node("CastLike", "x c", "y")], IMAGE, {"c": np.float32(0)}),
    "center_crop_pad": model([node("CenterCropPad", "x s", "y", axes=[2, 3])], IMAGE, {"s": [4, 8]}),
    "rotary": model(
        [node("RotaryEmbedding", "x c s", "y")],
        {"x": (1, 2, 3, 8)},
        {"c": np.cos(weights(1, 3, 4)), "s": np.sin(weights(1, 3, 4))},
        opset=23,
    ),
}


@pytest.mark.parametrize("case", DEFINED)
def test_what_onnx_defines_by_other_operators(case: str, tmp_path: Path) -> None:
    assert_agrees(written(DEFINED[case], tmp_path))


def test_a_definition_that_mixes_the_samples(tmp_path: Path) -> None:
    """By default the mean runs over the batch too."""
    (problem,) = check(written(model([node("MeanVarianceNormalization", "x", "y")], IMAGE), tmp_path))[:1]
    assert (problem.code, problem.node) == ("CIM0109", "the_y") and "the batch is reduced" in problem.message


def test_two_of_one_definition(tmp_path: Path) -> None:
    """Their inner tensors have names of their own."""
    nodes = [
        node("MeanVarianceNormalization", "x", "a", axes=[2]),
        node("MeanVarianceNormalization", "a", "y", axes=[3]),
    ]
    assert_agrees(written(model(nodes, IMAGE), tmp_path))


IMAGES = {
    "conv": (node("Conv", "x w b", "y", pads=[1, 1, 1, 1]), {"w": weights(3, 4, 3, 3), "b": weights(3)}),
    "conv_transpose": (node("ConvTranspose", "x w", "y", strides=[2, 2]), {"w": weights(4, 3, 2, 2)}),
    "max_pool": (node("MaxPool", "x", "y", kernel_shape=[2, 2]), {}),
    "average_pool": (node("AveragePool", "x", "y", kernel_shape=[3, 2], strides=[2, 1]), {}),
    "instance": (node("InstanceNormalization", "x g b", "y"), {"g": weights(4), "b": weights(4, seed=1)}),
    "group": (node("GroupNormalization", "x g b", "y", num_groups=2), {"g": weights(4), "b": weights(4, seed=1)}),
    "global": (node("GlobalAveragePool", "x", "y"), {}),
    "depth_to_space": (node("DepthToSpace", "x", "y", blocksize=2), {}),
}


@pytest.mark.parametrize("case", IMAGES)
def test_images_of_a_model_without_a_batch(case: str, tmp_path: Path) -> None:
    one, constants = IMAGES[case]
    proto = model([one], {"x": (2, 4, 6, 5)}, constants)
    path = written(proto, tmp_path)
    assert_agrees(path, {"x": weights(1, 2, 4, 6, 5)}, unbatched=True)


@pytest.mark.parametrize("case", IMAGES)
def test_several_images_of_each_sample(case: str, tmp_path: Path) -> None:
    """Frames of a clip in one axis with the batch, as a layer that is applied at each time step writes it."""
    one, constants = IMAGES[case]
    own = onnx.NodeProto()
    own.CopyFrom(one)
    own.input[0], own.output[0] = "flat", "f"
    nodes = [node("Reshape", "x s", "flat"), own, node("Reshape", "f t", "y")]
    proto = model(nodes, {"x": ("N", 3, 4, 6, 5)}, {**constants, "s": [-1, 4, 6, 5], "t": [-1, 3, 1, 1]})
    width = onnx.shape_inference.infer_shapes(model([own], {"flat": (3, 4, 6, 5)}, constants, ("f",))).graph.output[0]
    target = [-1, 3, *(dim.dim_value for dim in width.type.tensor_type.shape.dim[1:])]
    proto.graph.initializer[-1].CopyFrom(numpy_helper.from_array(np.array(target), "t"))
    assert_agrees(written(proto, tmp_path))


def test_one_layer_on_many_images_is_called_after_its_node(tmp_path: Path) -> None:
    one, constants = IMAGES["conv"]
    graph = load(written(model([one], {"x": (2, 4, 6, 5)}, constants), tmp_path), Specialisation(unbatched=True))
    convolutions = [op for op in graph.module.ops if op.name == "nn.conv"]
    assert [str(op.location) for op in convolutions] == ['loc("the_y")'] * 2
