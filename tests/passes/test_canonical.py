"""The canonicalising passes: what they make of a graph, and that it still computes the same."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from frontend.onnx_models import (
    Array,
    assert_agrees,
    assert_equal,
    canonical,
    model,
    node,
    operations,
    samples,
    weights,
    written,
)

from cimc.driving.float_model import run_float
from cimc.evaluate import evaluate
from cimc.frontend import load
from cimc.ir.attributes import float_values, int_values
from cimc.ir.graph import Graph
from cimc.ir.location import names_of
from cimc.ir.nn import ConvOp, InputOp, OutputOp
from cimc.passes import fuse_functions

IMAGE, ROW = {"x": ("N", 4, 8, 6)}, {"x": ("N", 6)}
BN = {"s": weights(4), "o": weights(4, seed=1), "m": weights(4, seed=2), "v": np.abs(weights(4, seed=3)) + 0.2}


def made(proto: onnx.ModelProto, folder: Path) -> Graph:
    return assert_agrees(written(proto, folder))


def chain(*steps: tuple[Any, ...]) -> list[onnx.NodeProto]:
    """Return nodes that each read the result of the one before: (operator, constant names, attributes)."""
    names = ["x", *(f"t{i}" for i in range(1, len(steps))), "y"]
    return [
        node(operator, f"{names[i]} {constants}", names[i + 1], **(attributes[0] if attributes else {}))
        for i, (operator, constants, *attributes) in enumerate(steps)
    ]


def test_batch_norm_and_relu_fold_into_a_convolution(tmp_path: Path) -> None:
    nodes = chain(("Conv", "w"), ("BatchNormalization", "s o m v"), ("Relu", ""))
    graph = made(model(nodes, IMAGE, {"w": weights(4, 4, 3, 3), **BN}), tmp_path)
    assert operations(graph) == ["conv"]
    conv = next(op for op in graph.module.ops if isinstance(op, ConvOp))
    assert conv.label.data == "y"
    assert set(names_of(conv.location)) == {"the_t1", "the_t2", "the_y"}
    assert float_values(conv.clamp)[0] == 0.0


def test_scale_and_bias_after_matmul_fold(tmp_path: Path) -> None:
    nodes = chain(("MatMul", "w"), ("Add", "b"), ("Mul", "s"), ("Add", "b"), ("Relu", ""))
    graph = made(model(nodes, ROW, {"w": weights(6, 4), "b": weights(4), "s": weights(4, seed=4)}), tmp_path)
    assert operations(graph) == ["dense"]


def test_scales_of_which_some_are_1_fold(tmp_path: Path) -> None:
    constants = {"w": weights(6, 4), "s": np.array([1.0, 2.0, 1.0, -0.5], np.float32)}
    assert operations(made(model(chain(("MatMul", "w"), ("Mul", "s")), ROW, constants), tmp_path)) == ["dense"]


def test_scale_and_bias_after_a_normalisation_of_the_last_axis_fold(tmp_path: Path) -> None:
    constants = {"g": weights(6), "h": weights(6, seed=1), "s": weights(6, seed=2), "b": weights(6, seed=3)}
    nodes = chain(("LayerNormalization", "g h"), ("Mul", "s"), ("Add", "b"))
    assert operations(made(model(nodes, {"x": ("N", 5, 6)}, constants), tmp_path)) == ["norm"]


def test_a_sum_of_a_view_and_a_transpose_is_no_view_of_a_sum(tmp_path: Path) -> None:
    nodes = [
        node("Reshape", "x s", "a"),
        node("Transpose", "z", "b", perm=[0, 2, 1]),
        node("Add", "a b", "y"),
    ]
    inputs = {"x": ("N", 4, 6), "z": ("N", 4, 6)}
    graph = made(model(nodes, inputs, {"s": np.array([0, 6, 4], np.int64)}), tmp_path)
    assert operations(graph) == ["reshape", "add"]  # the input has its axes in the order of the sum


@pytest.mark.parametrize(
    ("operator", "constants", "name"), [("LayerNormalization", "g h", "norm"), ("MatMul", "w", "dense")]
)
def test_a_scale_of_rows_stays(operator: str, constants: str, name: str, tmp_path: Path) -> None:
    found = {"g": weights(6), "h": weights(6, seed=1), "w": weights(6, 4)}
    given = {key: found[key] for key in constants.split()} | {"s": weights(5, 1, seed=2)}
    graph = made(model(chain((operator, constants), ("Mul", "s")), {"x": ("N", 5, 6)}, given), tmp_path)
    assert operations(graph) == [name, "affine"]


def test_normalisation_before_an_unpadded_convolution_folds(tmp_path: Path) -> None:
    constants = {"c": weights(4, 1, 1), "d": weights(4, 1, 1, seed=1) + 3.0, "w": weights(6, 2, 3, 3)}
    nodes = chain(("Sub", "c"), ("Div", "d"), ("Conv", "w", {"group": 2}))
    assert operations(made(model(nodes, IMAGE, constants), tmp_path)) == ["conv"]


def test_an_offset_before_a_padded_convolution_stays(tmp_path: Path) -> None:
    constants = {"c": weights(4, 1, 1), "w": weights(6, 4, 3, 3)}
    nodes = chain(("Sub", "c"), ("Conv", "w", {"pads": [1, 1, 1, 1]}))
    assert operations(made(model(nodes, IMAGE, constants), tmp_path)) == ["affine", "conv"]


def test_a_scale_before_a_padded_convolution_folds(tmp_path: Path) -> None:
    constants = {"c": weights(4, 1, 1), "w": weights(8, 1, 3, 3)}
    nodes = chain(("Mul", "c"), ("Conv", "w", {"pads": [1, 1, 1, 1], "group": 4}))
    assert operations(made(model(nodes, IMAGE, constants), tmp_path)) == ["conv"]


def test_an_affine_with_two_users_is_not_folded_away(tmp_path: Path) -> None:
    nodes = [node("MatMul", "x w", "a"), node("Relu", "a", "b"), node("Add", "a c", "d"), node("Add", "b d", "y")]
    graph = made(model(nodes, ROW, {"w": weights(6, 6), "c": weights(6)}), tmp_path)
    assert operations(graph) == ["dense", "clamp", "affine", "add"]


def test_an_affine_folds_through_flatten_into_dense(tmp_path: Path) -> None:
    nodes = chain(("Relu", ""), ("BatchNormalization", "s o m v"), ("Flatten", ""), ("Gemm", "w"))
    graph = made(model(nodes, IMAGE, {"w": weights(192, 3), **BN}), tmp_path)
    assert operations(graph) == ["clamp", "reshape", "dense"]


def test_flatten_becomes_a_row_order_of_the_matrix(tmp_path: Path) -> None:
    nodes = chain(("Conv", "w"), ("Flatten", ""), ("Relu", ""), ("Gemm", "g"))
    graph = made(model(nodes, IMAGE, {"w": weights(5, 4, 3, 3), "g": weights(120, 3)}), tmp_path)
    assert operations(graph) == ["conv", "reshape", "dense"]


def test_flatten_of_two_users(tmp_path: Path) -> None:
    nodes = [
        node("Conv", "x w", "c"),
        node("Flatten", "c", "f"),
        node("Gemm", "f g", "y"),
        node("Gemm", "f h", "z"),
    ]
    constants = {"w": weights(5, 4, 3, 3), "g": weights(120, 3), "h": weights(120, 2, seed=5)}
    graph = made(model(nodes, IMAGE, constants, ("y", "z")), tmp_path)
    assert "transpose" not in operations(graph)


def test_channels_first_input_and_output_are_stored_channels_last(tmp_path: Path) -> None:
    graph = made(model(chain(("Conv", "w")), IMAGE, {"w": weights(3, 4, 3, 3)}), tmp_path)
    assert operations(graph) == ["conv"]
    orders = [int_values(op.order) for op in graph.module.ops if isinstance(op, InputOp | OutputOp)]
    assert orders == [(1, 2, 0), (1, 2, 0)]


def test_an_input_with_two_layouts_keeps_its_own(tmp_path: Path) -> None:
    nodes = [node("Conv", "x w", "c"), node("Flatten", "x", "f"), node("Gemm", "f g", "z")]
    constants = {"w": weights(3, 4, 3, 3), "g": weights(192, 3)}
    graph = made(model(nodes, IMAGE, constants, ("c", "z")), tmp_path)
    assert operations(graph).count("transpose") <= 1


def test_residual_block_has_no_transposes(tmp_path: Path) -> None:
    nodes = [
        node("Conv", "x w", "a", pads=[1, 1, 1, 1]),
        node("Relu", "a", "b"),
        node("Conv", "b w", "c", pads=[1, 1, 1, 1]),
        node("Add", "c x", "d"),
        node("GlobalAveragePool", "d", "g"),
        node("Conv", "g v", "h"),
        node("Sigmoid", "h", "i"),
        node("Mul", "d i", "y"),
    ]
    constants = {"w": weights(4, 4, 3, 3), "v": weights(4, 4, 1, 1)}
    graph = made(model(nodes, IMAGE, constants), tmp_path)
    assert "transpose" not in operations(graph)


def test_gate_from_a_dense_layer(tmp_path: Path) -> None:
    """Squeeze and excitation as torch writes it: the gate is reshaped to (channels, 1, 1)."""
    nodes = [
        node("Conv", "x w", "c"),
        node("GlobalAveragePool", "c", "g"),
        node("Flatten", "g", "f"),
        node("Gemm", "f m", "h"),
        node("Sigmoid", "h", "i"),
        node("Unsqueeze", "i axes", "j"),
        node("Mul", "c j", "y"),
    ]
    constants = {"w": weights(4, 4, 3, 3), "m": weights(4, 4), "axes": [2, 3]}
    graph = made(model(nodes, IMAGE, constants), tmp_path)
    assert "transpose" not in operations(graph)


def test_channel_shuffle_is_one_transpose(tmp_path: Path) -> None:
    nodes = chain(
        ("Conv", "w"),
        ("Reshape", "split"),
        ("Transpose", "", {"perm": [0, 2, 1, 3, 4]}),
        ("Reshape", "join"),
        ("Conv", "w"),
    )
    constants = {"w": weights(4, 4, 1, 1), "split": [0, 2, 2, 8, 6], "join": [0, 4, 8, 6]}
    graph = made(model(nodes, IMAGE, constants), tmp_path)
    assert operations(graph).count("transpose") == 1


def test_concat_of_channels(tmp_path: Path) -> None:
    nodes = [
        node("Conv", "x w", "a"),
        node("Conv", "x v", "b"),
        node("Concat", "a b", "c", axis=1),
        node("BatchNormalization", "c s o m v2", "d"),
        node("Relu", "d", "e"),
        node("MaxPool", "e", "f", kernel_shape=[2, 2]),
        node("Conv", "f u", "y"),
    ]
    constants = {"w": weights(2, 4, 1, 1), "v": weights(2, 4, 1, 1, seed=1), "u": weights(3, 4, 3, 2), **BN}
    constants |= {"v2": BN["v"], "v": weights(2, 4, 1, 1, seed=1)}
    graph = made(model(nodes, IMAGE, constants), tmp_path)
    assert operations(graph) == ["conv", "conv", "concat", "affine", "max_pool", "conv"]


def test_tensorflow_layout(tmp_path: Path) -> None:
    """NHWC input, transposes around every convolution, bias added in NHWC."""
    to_first, to_last = {"perm": [0, 3, 1, 2]}, {"perm": [0, 2, 3, 1]}
    nodes = chain(
        ("Transpose", "", to_first),
        ("Conv", "w", {"pads": [0, 0, 1, 1]}),
        ("Transpose", "", to_last),
        ("Add", "b"),
        ("Relu", ""),
        ("Transpose", "", to_first),
        ("MaxPool", "", {"kernel_shape": [2, 2], "strides": [2, 2]}),
        ("Transpose", "", to_last),
        ("Reshape", "shape"),
        ("MatMul", "m"),
    )
    constants = {"w": weights(5, 3, 3, 3), "b": weights(5), "shape": [-1, 60], "m": weights(60, 4)}
    graph = made(model(nodes, {"x": ("N", 9, 7, 3)}, constants), tmp_path)
    assert operations(graph) == ["conv", "max_pool", "reshape", "dense"]


def test_one_dimensional_network_has_no_movement_but_views(tmp_path: Path) -> None:
    nodes = chain(
        ("Conv", "w", {"pads": [1, 1]}),
        ("BatchNormalization", "s o m v"),
        ("Relu", ""),
        ("MaxPool", "", {"kernel_shape": [2], "strides": [2]}),
        ("Conv", "w"),
        ("GlobalAveragePool", ""),
        ("Flatten", ""),
        ("Gemm", "g"),
    )
    graph = made(model(nodes, {"x": ("N", 4, 10)}, {"w": weights(4, 4, 3), "g": weights(4, 2), **BN}), tmp_path)
    kinds = [kind for kind in operations(graph) if kind != "reshape"]
    assert kinds == ["conv", "max_pool", "conv", "avg_pool", "dense"]


def test_zero_pads_fold(tmp_path: Path) -> None:
    constants = {"p": [0, 0, 1, 2, 0, 0, 2, 0], "w": weights(3, 4, 3, 3)}
    nodes = chain(("Pad", "p"), ("Conv", "w", {"pads": [1, 0, 0, 1]}))
    assert operations(made(model(nodes, IMAGE, constants), tmp_path)) == ["conv"]


@pytest.mark.parametrize("include", [0, 1])
def test_zero_pads_before_an_average_pool(include: int, tmp_path: Path) -> None:
    attributes = {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "count_include_pad": include}
    nodes = chain(("Pad", "p"), ("AveragePool", "", attributes))
    graph = made(model(nodes, IMAGE, {"p": [0, 0, 1, 1, 0, 0, 1, 1]}), tmp_path)
    assert operations(graph) == (["avg_pool"] if include else ["pad", "avg_pool"])


@pytest.mark.parametrize("value", [0.5, -1.0])
def test_other_pads_stay(value: float, tmp_path: Path) -> None:
    constants = {"p": [0, 0, 1, 1, 0, 0, 1, 1], "v": np.float32(value), "w": weights(3, 4, 3, 3)}
    nodes = chain(("Pad", "p v"), ("Conv", "w"))
    assert operations(made(model(nodes, IMAGE, constants), tmp_path)) == ["pad", "conv"]


@pytest.mark.parametrize(("before", "behind"), [(0, 2), (2, 0), (1, 1)])
@pytest.mark.parametrize("operator", ["Conv", "AveragePool"])
def test_pads_of_channels_stay(operator: str, before: int, behind: int, tmp_path: Path) -> None:
    """A window has no padding across channels, neither before nor behind them."""
    constants = {"p": [0, before, 1, 1, 0, behind, 1, 1], "w": weights(3, 6, 3, 3)}
    pool = ("AveragePool", "", {"kernel_shape": [3, 3], "count_include_pad": 1})
    nodes = chain(("Pad", "p"), ("Conv", "w") if operator == "Conv" else pool)
    assert operations(made(model(nodes, IMAGE, constants), tmp_path))[0] == "pad"


def test_clamps_merge(tmp_path: Path) -> None:
    constants = {"l": np.float32(-1.0), "h": np.float32(6.0), "one": np.float32(0.5)}
    nodes = chain(("Relu", ""), ("Clip", "l h"), ("Clip", "- one"))
    assert operations(made(model(nodes, ROW, constants), tmp_path)) == ["clamp"]


def test_a_clamp_of_an_output_is_not_fused(tmp_path: Path) -> None:
    nodes = [node("MatMul", "x w", "a"), node("Relu", "a", "y")]
    graph = made(model(nodes, ROW, {"w": weights(6, 4)}, ("a", "y")), tmp_path)
    assert operations(graph) == ["dense", "clamp"]


def test_unused_weights_leave_the_store(tmp_path: Path) -> None:
    nodes = chain(("Conv", "w"), ("BatchNormalization", "s o m v"))
    graph = made(model(nodes, IMAGE, {"w": weights(4, 4, 3, 3), **BN}), tmp_path)
    assert graph.weights.names() == {"y.bias", "y.weight"}


REAL = [
    "mnist_lenet5",
    "mnist_mlp3",
    "resnet8_cifar10",
    "kws_dscnn",
    "vww_mobilenetv1",
    "ad01_autoencoder",
]
FORMS = [f"{name}_fp32" for name in REAL] + [f"{name}_fp32_nchw" for name in REAL[2:5]]


@pytest.mark.parametrize("name", FORMS)
def test_real_model(name: str, shared_models: Path) -> None:
    path = shared_models / f"{name}.onnx"
    golden = (
        np.load(shared_models / "golden" / f"{name}.npz")
        if (shared_models / "golden" / f"{name}.npz").exists()
        else None
    )
    imported = load(path)
    inputs: dict[str, Array] = samples(imported)
    if golden is not None:
        inputs = {next(iter(inputs)): golden["x"].astype(np.float32)}
    want = run_float(path, imported, inputs)
    graph = canonical(load(path))
    assert_equal(evaluate(graph, inputs), want)
    assert set(operations(graph)) <= {"conv", "dense", "add", "max_pool", "avg_pool", "reshape", "softmax"}


def test_sums_of_a_value_and_itself_are_asked_once_for_each_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A value doubled twelve times has 4,096 ways to each of its sums."""
    nodes = [node("Tanh", "x", "t0"), *(node("Add", f"t{i} t{i}", f"t{i + 1}") for i in range(12))]
    graph = load(written(model([*nodes, node("Relu", "t12", "y")], ROW), tmp_path))
    asked = []
    monkeypatch.setattr(
        fuse_functions, "_further", lambda *given, ask=fuse_functions._further: asked.append(1) or ask(*given)
    )
    fuse_functions.FuseFunctions()(graph)
    assert len(asked) <= 12 * 13
