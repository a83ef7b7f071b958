"""Every supported operator, in its forms, against onnxruntime."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from frontend.onnx_models import assert_agrees, model, node, weights, written
from frontend.test_transformers import CASES as TRANSFORMERS

from cimc.frontend.operators import OPERATORS, TABLES

IMAGE = {"x": ("N", 4, 6, 5)}
LINE = {"x": ("N", 4, 9)}
ROW = {"x": ("N", 6)}
FACTOR = np.linspace(-1.0, 2.0, 5)


def bn(channels: int) -> dict[str, Any]:
    return {
        "s": weights(channels),
        "b": weights(channels, seed=1),
        "m": weights(channels, seed=2),
        "v": np.abs(weights(channels, seed=3)) + 0.1,
    }


def one(operator: str, inputs: str, shapes: Any, constants: Any = None, **attributes: Any) -> onnx.ModelProto:
    return model([node(operator, inputs, "y", **attributes)], shapes, constants)


CASES = {
    "add_channel": one("Add", "x c", IMAGE, {"c": weights(4, 1, 1)}),
    "add_constant_first": one("Add", "c x", IMAGE, {"c": weights(1, 4, 1, 1)}),
    "add_last_axis": one("Add", "x c", IMAGE, {"c": FACTOR}),
    "add_expands": one("Add", "x c", {"x": ("N", 1, 5)}, {"c": weights(3, 1)}),
    "add_two": one("Add", "x x", IMAGE),
    "add_broadcast": one("Add", "a b", {"a": ("N", 4, 1, 5), "b": ("N", 1, 6, 5)}),
    "avg_pool_1d": one("AveragePool", "x", LINE, kernel_shape=[3], strides=[2], pads=[1, 0]),
    "batch_norm": one("BatchNormalization", "x s b m v", IMAGE, bn(4), epsilon=0.01),
    "batch_norm_row": one("BatchNormalization", "x s b m v", ROW, bn(6)),
    "clip": one("Clip", "x l h", IMAGE, {"l": np.float32(-0.5), "h": np.float32(0.75)}),
    "clip_low": one("Clip", "x l", IMAGE, {"l": np.float32(-0.5)}),
    "clip_high": one("Clip", "x - h", IMAGE, {"h": np.float32(0.5)}),
    "clip_crossed": one("Clip", "x l h", IMAGE, {"l": np.float32(0.75), "h": np.float32(-0.5)}),
    "clip_infinite": one("Clip", "x l h", IMAGE, {"l": np.float32(-np.inf), "h": np.float32(0.5)}),
    "clip_nothing": one("Clip", "x", IMAGE),
    "concat": one("Concat", "a b a", {"a": ("N", 2, 3), "b": ("N", 4, 3)}, axis=1),
    "concat_last": one("Concat", "a b", {"a": ("N", 2, 3), "b": ("N", 2, 1)}, axis=-1),
    "conv_1d": one("Conv", "x w b", LINE, {"w": weights(3, 4, 3), "b": weights(3)}, strides=[2], pads=[1, 2]),
    "conv_1d_group": one("Conv", "x w", LINE, {"w": weights(4, 2, 3)}, group=2, dilations=[2]),
    "conv_depthwise": one("Conv", "x w", IMAGE, {"w": weights(8, 1, 3, 3)}, group=4, pads=[1, 1, 1, 1]),
    "div": one("Div", "x c", IMAGE, {"c": weights(4, 1, 1) + 3.0}),
    "dropout": one("Dropout", "x", IMAGE),
    "flatten": one("Flatten", "x", IMAGE),
    "flatten_unit": one("Flatten", "x", {"x": ("N", 1, 6)}, axis=2),
    "flatten_negative": one("Flatten", "x", IMAGE, axis=-3),
    "gather_scalar": one("Gather", "x i", LINE, {"i": np.int64(-1)}, axis=2),
    "gather_range": one("Gather", "x i", LINE, {"i": np.array([1, 4, 7])}, axis=2),
    "gemm": one("Gemm", "x w b", ROW, {"w": weights(6, 3), "b": weights(3)}),
    "gemm_full": one("Gemm", "x w b", ROW, {"w": weights(3, 6), "b": weights(1, 3)}, transB=1, alpha=0.5, beta=2.0),
    "gemm_scalar_bias": one("Gemm", "x w b", ROW, {"w": weights(6, 3), "b": np.float32(0.3)}),
    "gemm_no_bias": one("Gemm", "x w", ROW, {"w": weights(6, 3)}),
    "global_average": one("GlobalAveragePool", "x", IMAGE),
    "global_average_1d": one("GlobalAveragePool", "x", LINE),
    "global_max": one("GlobalMaxPool", "x", IMAGE),
    "hard_sigmoid": one("HardSigmoid", "x", IMAGE, alpha=0.3, beta=0.4),
    "hard_sigmoid_default": one("HardSigmoid", "x", IMAGE),
    "hard_swish": one("HardSwish", "x", IMAGE),
    "identity": one("Identity", "x", IMAGE),
    "leaky_relu": one("LeakyRelu", "x", IMAGE, alpha=0.2),
    "leaky_relu_default": one("LeakyRelu", "x", IMAGE),
    "matmul": one("MatMul", "x w", ROW, {"w": weights(6, 3)}),
    "matmul_3d": one("MatMul", "x w", LINE, {"w": weights(9, 3)}),
    "matmul_4d": one("MatMul", "x w", IMAGE, {"w": weights(5, 3)}),
    "matmul_left": one("MatMul", "w x", LINE, {"w": weights(7, 4)}),
    "matmul_vector": one("MatMul", "x w", LINE, {"w": weights(9)}),
    "max_pool_1d": one("MaxPool", "x", LINE, kernel_shape=[3], strides=[2], pads=[1, 1]),
    "mul": one("Mul", "x c", IMAGE, {"c": weights(4, 1, 1)}),
    "mul_two": one("Mul", "a b", {"a": ("N", 4, 3, 3), "b": ("N", 4, 1, 1)}),
    "neg": one("Neg", "x", IMAGE),
    "pad": one("Pad", "x p v", IMAGE, {"p": [0, 0, 1, 2, 0, 0, 3, 0], "v": np.float32(1.5)}),
    "pad_axes": one("Pad", "x p - a", IMAGE, {"p": [1, 0, 2, 1], "a": np.array([2, -1])}),
    "pad_negative": one("Pad", "x p", IMAGE, {"p": [0, 0, -1, 2, 0, 0, 3, -2]}),
    "quantize": model(
        [node("QuantizeLinear", "x s z", "q"), node("DequantizeLinear", "q s z", "y")],
        IMAGE,
        {"s": np.float32(0.05), "z": np.int8(-3)},
    ),
    "reduce_mean": one("ReduceMean", "x a", IMAGE, {"a": [2, 3]}, keepdims=1),
    "reduce_mean_dropped": one("ReduceMean", "x a", IMAGE, {"a": [-1, -2]}, keepdims=0),
    "reduce_mean_channels": one("ReduceMean", "x a", IMAGE, {"a": [1]}, keepdims=1),
    "reduce_mean_three": one("ReduceMean", "x a", IMAGE, {"a": [1, 2, 3]}, keepdims=1),
    "relu": one("Relu", "x", IMAGE),
    "reshape": one("Reshape", "x s", IMAGE, {"s": [-1, 2, 60]}),
    "reshape_zero": one("Reshape", "x s", IMAGE, {"s": [0, 4, -1]}),
    "reshape_zero_later": one("Reshape", "x s", IMAGE, {"s": [-1, 0, 30]}),
    "sigmoid": one("Sigmoid", "x", IMAGE),
    "slice": one("Slice", "x s e a t", IMAGE, {"s": [1, -4], "e": [3, 99], "a": [1, 3], "t": [1, 2]}),
    "slice_batch": one("Slice", "x s e", {"x": ("N", 4)}, {"s": [0, 1], "e": [2**62, 3]}),
    "softmax": one("Softmax", "x", ROW),
    "softmax_channels": one("Softmax", "x", IMAGE, axis=1),
    "squeeze": one("Squeeze", "x a", {"x": ("N", 1, 6, 1)}, {"a": [1, -1]}),
    "sub": one("Sub", "x c", IMAGE, {"c": weights(4, 1, 1)}),
    "sub_from": one("Sub", "c x", IMAGE, {"c": np.float32(1.0)}),
    "sub_two": one("Sub", "a b", {"a": ("N", 3), "b": ("N", 3)}),
    "sum": one("Sum", "a b c d", {"a": ("N", 3), "b": ("N", 3), "d": ("N", 3)}, {"c": weights(3)}),
    "sum_one": one("Sum", "x", ROW),
    "tanh": one("Tanh", "x", IMAGE),
    "and": model(
        [node("Greater", "x c", "p"), node("Less", "x d", "q"), node("And", "p q", "r"), node("Cast", "r", "y", to=1)],
        ROW,
        {"c": np.float32(-0.5), "d": weights(6)},
    ),
    "or_not_xor": model(
        [
            node("GreaterOrEqual", "x c", "p"),
            node("LessOrEqual", "c x", "q"),
            node("Not", "p", "n"),
            node("Or", "n q", "o"),
            node("Xor", "o p", "r"),
            node("Cast", "r", "y", to=1),
        ],
        ROW,
        {"c": weights(6)},
    ),
    "equal": model(
        [node("Floor", "x", "f"), node("Equal", "f c", "r"), node("Cast", "r", "y", to=1)], ROW, {"c": np.float32(1.0)}
    ),
    "compare_two": model(
        [node("Less", "a b", "r"), node("Cast", "r", "y", to=1)], {"a": ("N", 2, 3), "b": ("N", 2, 3)}
    ),
    "arg_max": model([node("ArgMax", "x", "r", axis=1), node("Cast", "r", "y", to=1)], IMAGE),
    "arg_min": model(
        [node("ArgMin", "x", "r", axis=-1, keepdims=0, select_last_index=1), node("Cast", "r", "y", to=1)], IMAGE
    ),
    "cast_to_bool": model([node("Relu", "x", "c"), node("Cast", "c", "r", to=9), node("Cast", "r", "y", to=1)], IMAGE),
    "conv_transpose": one(
        "ConvTranspose",
        "x w b",
        IMAGE,
        {"w": weights(4, 3, 3, 2), "b": weights(3)},
        strides=[2, 3],
        pads=[1, 0, 2, 1],
        output_padding=[1, 2],
    ),
    "conv_transpose_1d": one("ConvTranspose", "x w", LINE, {"w": weights(4, 3, 4)}, strides=[2], pads=[1, 1]),
    "conv_transpose_dilated": one(
        "ConvTranspose", "x w", IMAGE, {"w": weights(4, 2, 3, 3)}, dilations=[2, 3], strides=[2, 1]
    ),
    "conv_transpose_groups": one(
        "ConvTranspose", "x w b", IMAGE, {"w": weights(4, 3, 2, 2), "b": weights(6)}, group=2, strides=[2, 2]
    ),
    "conv_transpose_same": one(
        "ConvTranspose", "x w", IMAGE, {"w": weights(4, 3, 3, 3)}, strides=[2, 2], auto_pad="SAME_UPPER"
    ),
    "conv_transpose_shape": one(
        "ConvTranspose", "x w", IMAGE, {"w": weights(4, 3, 3, 3)}, strides=[3, 2], output_shape=[18, 11]
    ),
    "depth_to_space": one("DepthToSpace", "x", IMAGE, blocksize=2),
    "depth_to_space_crd": one("DepthToSpace", "x", {"x": ("N", 12, 3, 2)}, blocksize=2, mode="CRD"),
    "div_two": one("Div", "a b", {"a": ("N", 4, 3), "b": ("N", 4, 1)}),
    "div_constant_first": one("Div", "c x", ROW, {"c": weights(6)}),
    "expand": one("Expand", "x s", {"x": ("N", 4, 1, 1)}, {"s": np.array([1, 1, 3, 2])}),
    "gather_any": one("Gather", "x i", LINE, {"i": np.array([[1, 4, 4], [-2, 0, 3]])}, axis=2),
    "gather_same": one("Gather", "x i", LINE, {"i": np.array([2, 2])}, axis=1),
    "global_lp": one("GlobalLpPool", "x", IMAGE),
    "log_softmax": one("LogSoftmax", "x", IMAGE, axis=1),
    "lp_pool": one("LpPool", "x", IMAGE, kernel_shape=[2, 3], strides=[2, 1], pads=[0, 1, 0, 1]),
    "lp_pool_one": one("LpPool", "x", IMAGE, kernel_shape=[2, 3], p=1),
    "lp_pool_three": one("LpPool", "x", IMAGE, kernel_shape=[2, 2], p=3),
    "lrn": one("LRN", "x", {"x": ("N", 7, 3, 4)}, size=3, alpha=0.2, beta=0.6, bias=1.5),
    "max": one("Max", "a b c d", {"a": ("N", 2, 3), "b": ("N", 2, 1)}, {"c": weights(3), "d": np.float32(0.1)}),
    "max_scalar": one("Max", "x c", ROW, {"c": np.float32(0.5)}),
    "min": one("Min", "a b c", {"a": ("N", 2, 3), "b": ("N", 1, 3)}, {"c": weights(2, 1)}),
    "mean": one("Mean", "a b c d", {"a": ("N", 3), "b": ("N", 3), "d": ("N", 3)}, {"c": weights(3)}),
    "pad_edge": one("Pad", "x p", IMAGE, {"p": [0, 0, 1, 2, 0, 0, 3, 0]}, mode="edge"),
    "pad_reflect": one("Pad", "x p", IMAGE, {"p": [0, 0, 1, 2, 0, 1, 3, 0]}, mode="reflect"),
    "pad_wrap": one("Pad", "x p", IMAGE, {"p": [0, 0, 1, 2, 0, 0, 3, 0]}, mode="wrap"),
    "pow_square": one("Pow", "x c", IMAGE, {"c": np.float32(2.0)}),
    "pow_cube": one("Pow", "x c", IMAGE, {"c": np.float32(3.0)}),
    "pow_base": one("Pow", "c x", ROW, {"c": np.abs(weights(6)) + 0.5}),
    "pow_two": model([node("Exp", "a", "e"), node("Pow", "e b", "y")], {"a": ("N", 3), "b": ("N", 3)}),
    "prelu": one("PRelu", "x s", IMAGE, {"s": weights(4, 1, 1)}),
    "prelu_one": one("PRelu", "x s", IMAGE, {"s": weights(1)}),
    "prelu_computed": one("PRelu", "x s", {"x": ("N", 4, 3), "s": ("N", 4, 1)}),
    "reduce_l1": one("ReduceL1", "x a", IMAGE, {"a": [2, 3]}),
    "reduce_l2": one("ReduceL2", "x a", IMAGE, {"a": [1]}, keepdims=0),
    "reduce_log_sum": model([node("Abs", "x", "p"), node("ReduceLogSum", "p a", "y")], IMAGE, {"a": [3]}),
    "reduce_log_sum_exp": one("ReduceLogSumExp", "x a", IMAGE, {"a": [1, 3]}),
    "reduce_max": one("ReduceMax", "x a", IMAGE, {"a": [-1]}, keepdims=0),
    "reduce_min": one("ReduceMin", "x a", IMAGE, {"a": [1, 3]}),
    "reduce_prod": one("ReduceProd", "x a", {"x": ("N", 3, 2, 4)}, {"a": [1, 2]}),
    "reduce_sum": one("ReduceSum", "x a", IMAGE, {"a": [1, 2, 3]}),
    "reduce_sum_noop": one("ReduceSum", "x", IMAGE, noop_with_empty_axes=1),
    "reduce_sum_square": one("ReduceSumSquare", "x a", IMAGE, {"a": [2]}),
    "slice_backwards": one("Slice", "x s e a t", IMAGE, {"s": [-1, 9], "e": [0, -99], "a": [2, 3], "t": [-2, -1]}),
    "space_to_depth": one("SpaceToDepth", "x", {"x": ("N", 3, 4, 6)}, blocksize=2),
    "tile": one("Tile", "x r", IMAGE, {"r": np.array([1, 2, 1, 3])}),
    "transpose": one("Transpose", "x", IMAGE, perm=[0, 2, 3, 1]),
    "unsqueeze": one("Unsqueeze", "x a", ROW, {"a": [1, -1]}),
    "split": model([node("Split", "x s", "y z", axis=1)], IMAGE, {"s": [1, 3]}, ["y", "z"]),
    "split_equal": model([node("Split", "x", "y z", axis=2, num_outputs=2)], IMAGE, None, ["y", "z"]),
}


@pytest.mark.parametrize("case", CASES)
def test_operator(case: str, tmp_path: Path) -> None:
    assert_agrees(written(CASES[case], tmp_path))


def test_every_operator_has_a_case() -> None:
    """Resize has a file of its own, windows too; every table's operator has a case made from its defaults."""
    tested = {proto.op_type for case in (*CASES.values(), *TRANSFORMERS.values()) for proto in case.graph.node}
    elsewhere = {"AveragePool", "Conv", "GRU", "LSTM", "MaxPool", "RNN", "Resize"}  # files of their own
    assert set(OPERATORS) - tested - set(TABLES) == elsewhere - tested


@pytest.mark.parametrize("operator", sorted({*TABLES} - {"Swish"}))  # that one came with opset 24
def test_table(operator: str, tmp_path: Path) -> None:
    """In a range where every function has values."""
    nodes = [node("Sigmoid", "x", "p"), node(operator, "p", "y")]
    if operator == "Acosh":
        nodes = [node("Sigmoid", "x", "u"), node("Add", "u one", "p"), nodes[1]]
    assert_agrees(written(model(nodes, IMAGE, {"one": np.float32(1.0)}), tmp_path))


def test_batch_of_one_is_free(tmp_path: Path) -> None:
    """A model exported with a batch of one runs on any number of samples."""
    nodes = [node("Reshape", "x s", "f"), node("Gemm", "f w", "y")]
    assert_agrees(written(model(nodes, {"x": (1, 4, 3)}, {"s": [1, 12], "w": weights(12, 5)}), tmp_path))


def test_shape_arithmetic_of_a_free_batch(tmp_path: Path) -> None:
    """The way torch writes x.view(x.size(0), -1)."""
    nodes = [
        node("Shape", "x", "shape"),
        node("Gather", "shape zero", "n", axis=0),
        node("Unsqueeze", "n axes", "n1"),
        node("Concat", "n1 rest", "target", axis=0),
        node("Reshape", "x target", "y"),
    ]
    constants = {"zero": np.int64(0), "axes": [0], "rest": [-1]}
    assert_agrees(written(model(nodes, IMAGE, constants), tmp_path))


def test_initialiser_listed_as_input(tmp_path: Path) -> None:
    proto = one("Add", "x c", ROW, {"c": weights(6)})
    proto.graph.input.append(onnx.helper.make_tensor_value_info("c", onnx.TensorProto.FLOAT, [6]))
    assert_agrees(written(proto, tmp_path))


def test_unnamed_nodes_and_strange_names(tmp_path: Path) -> None:
    proto = model([node("Relu", "x", "a/b:0"), node("Tanh", "a/b:0", 'é"\\')], ROW, outputs=['é"\\'])
    proto.graph.node[0].name = ""
    proto.graph.node[1].name = 'ñ "quoted" \\'
    assert_agrees(written(proto, tmp_path))
