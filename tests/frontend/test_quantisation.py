"""Quantised ONNX models: what QuantizeLinear and DequantizeLinear become, against onnxruntime."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from frontend.onnx_models import assert_agrees, canonical, model, node, operations, weights, written
from numpy.typing import NDArray
from onnx import TensorProto

from cimc.driving.float_model import run_float
from cimc.evaluate import evaluate
from cimc.frontend import check, load
from cimc.frontend.tensors import declared_bytes
from cimc.ir import nn
from cimc.ir.graph import Graph
from cimc.passes.fold_affine import FoldAffine

IMAGE = {"x": ("N", 4, 6, 5)}
KINDS = {
    TensorProto.INT8: np.int8,
    TensorProto.UINT8: np.uint8,
    TensorProto.INT16: np.int16,
    TensorProto.UINT16: np.uint16,
}
S, T = np.float32(0.05), np.float32(0.11)


def quantise(x: str, y: str, scale: str = "s", zero: str = "z") -> onnx.NodeProto:
    return node("QuantizeLinear", f"{x} {scale} {zero}", y)


def dequantise(x: str, y: str, scale: str = "s", zero: str = "z", **attributes: Any) -> onnx.NodeProto:
    return node("DequantizeLinear", f"{x} {scale} {zero}", y, **attributes)


def between(*nodes: onnx.NodeProto, **constants: Any) -> onnx.ModelProto:
    """Return a model that quantises x to q, runs nodes that make p of q, and dequantises p."""
    return model([quantise("x", "q"), *nodes, dequantise("p", "y")], IMAGE, {"s": S, "z": np.int8(-7), **constants})


def on_integers(nodes: Sequence[onnx.NodeProto], kind: int, **constants: Any) -> onnx.ModelProto:
    return model(nodes, IMAGE, {"s": S, **constants}, kind=kind)


def numbers(kind: int) -> NDArray[np.float32]:
    bounds = np.iinfo(KINDS[kind])
    return np.random.default_rng(0).integers(bounds.min, bounds.max + 1, (3, 4, 6, 5)).astype(np.float32)


def assert_exact(path: Path, x: NDArray[np.float32]) -> Graph:
    """Compare the imported and the canonical graph with onnxruntime, bit for bit; return the canonical graph."""
    graph = load(path)
    want = run_float(path, graph, {"x": x})
    for one in (graph, canonical(load(path))):
        for name, found in evaluate(one, {"x": x}).items():
            np.testing.assert_array_equal(found, want[name].astype(np.float32))
    return canonical(load(path))


MOVEMENTS = {
    "none": between(node("Identity", "q", "p")),
    "transpose": between(node("Transpose", "q", "p", perm=[0, 2, 3, 1])),
    "reshape": between(node("Reshape", "q n", "p"), n=[-1, 24, 5]),
    "max_pool": between(node("MaxPool", "q", "p", kernel_shape=[2, 2], pads=[1, 0, 0, 1])),
    "slice": between(node("Slice", "q b e a", "p"), b=[1], e=[3], a=[1]),
    "concat": between(node("Transpose", "q", "t", perm=[0, 1, 3, 2]), node("Concat", "t t", "p", axis=1)),
    "pad_zero": between(node("Pad", "q n v", "p"), n=[0, 0, 1, 2, 0, 0, 3, 0], v=np.int8(-7)),
    "pad_other": between(node("Pad", "q n v", "p"), n=[0, 0, 1, 2, 0, 0, 3, 0], v=np.int8(90)),
}


@pytest.mark.parametrize("case", MOVEMENTS)
def test_movements_between_the_two_come_after_both(case: str, tmp_path: Path) -> None:
    found = operations(assert_agrees(written(MOVEMENTS[case], tmp_path)))
    assert found[0] == "quantise"
    assert "recode" not in found


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: TensorProto.DataType.Name(kind))
def test_integers_in_and_out(kind: int, tmp_path: Path) -> None:
    """The model's own integers are fed and returned; in between they are real numbers."""
    zero = KINDS[kind](17)
    nodes = [dequantise("x", "r"), node("Transpose", "r", "t", perm=[0, 3, 1, 2]), quantise("t", "y", "u", "v")]
    path = written(on_integers(nodes, kind, z=zero, u=T, v=KINDS[kind](3)), tmp_path)
    assert operations(assert_exact(path, numbers(kind))) == ["recode", "quantise", "recode"]


def test_codes_may_be_read_with_another_scale(tmp_path: Path) -> None:
    nodes = [quantise("x", "q"), dequantise("q", "y", "u", "v")]
    proto = model(nodes, IMAGE, {"s": S, "z": np.uint8(100), "u": T, "v": np.uint8(90)})
    graph = assert_agrees(written(proto, tmp_path))
    assert operations(graph) == ["quantise", "recode"]


@pytest.mark.parametrize("zero", ["", "z"])
def test_without_a_zero_point_codes_are_unsigned(zero: str, tmp_path: Path) -> None:
    nodes = [node("QuantizeLinear", f"x s {zero}", "q"), node("DequantizeLinear", f"q s {zero}", "y")]
    graph = assert_agrees(written(model(nodes, IMAGE, {"s": S, "z": np.uint8(0)}), tmp_path))
    code = next(op.code for op in graph.module.ops if isinstance(op, nn.QuantiseOp))
    assert (code.low.data, code.high.data, code.zero.data) == (-128, 127, -128)


LAYERS = {
    "conv": (node("Conv", "x w", "y"), (6, 4, 3, 3), 0),
    "matmul": (node("MatMul", "x w", "y"), (5, 3), 1),
    "gemm": (node("Gemm", "r w", "y"), (120, 3), 1),
    "gemm_transposed": (node("Gemm", "r w", "y", transB=1), (3, 120), 0),
}


@pytest.mark.parametrize("case", LAYERS)
@pytest.mark.parametrize("per_channel", [False, True])
def test_weights_keep_the_steps_they_were_stored_with(case: str, per_channel: bool, tmp_path: Path) -> None:
    layer, shape, axis = LAYERS[case]
    stored = np.random.default_rng(0).integers(-127, 128, shape).astype(np.int8)
    steps = np.linspace(0.01, 0.02, shape[axis]).astype(np.float32) if per_channel else S
    constants = {"q": stored, "s": steps, "z": np.zeros_like(steps, np.int8), "n": [-1, 120]}
    nodes = [dequantise("q", "w", axis=axis), node("Reshape", "x n", "r"), layer]
    graph = assert_agrees(written(model(nodes, IMAGE, constants), tmp_path))
    op = next(op for op in graph.module.ops if isinstance(op, nn.ConvOp | nn.DenseOp))
    assert op.steps is not None
    ratios = graph.weights.get(op.weight).astype(np.float64) / graph.weights.get(op.steps)
    np.testing.assert_allclose(np.sort(ratios.ravel()), np.sort(stored.ravel()), atol=1e-4)
    np.testing.assert_array_equal(graph.weights.get(op.steps), np.broadcast_to(steps, (shape[axis],)))


@pytest.mark.parametrize("kind", [TensorProto.INT4, TensorProto.UINT4, TensorProto.INT16, TensorProto.UINT8])
def test_weights_of_any_integer_type(kind: int, tmp_path: Path) -> None:
    rng, bounds = np.random.default_rng(0), {TensorProto.INT4: (-8, 8), TensorProto.UINT4: (0, 16)}
    stored = rng.integers(*bounds.get(kind, (0, 200)), (5, 3))
    proto = model([dequantise("q", "w"), node("MatMul", "x w", "y")], {"x": ("N", 5)}, {"s": S})
    proto.graph.initializer.append(onnx.helper.make_tensor("q", kind, (5, 3), stored.ravel()))
    proto.graph.initializer.append(onnx.helper.make_tensor("z", kind, (), [3]))
    op = operations_of(assert_agrees(written(proto, tmp_path)), nn.DenseOp)[0]
    assert op.steps is not None


@pytest.mark.parametrize("name", ["INT4", "UINT4", "INT2", "UINT2", "FLOAT4E2M1", "FLOAT6E2M3"])
def test_elements_that_share_bytes_are_counted_as_they_are_stored(name: str) -> None:
    if not hasattr(TensorProto, name):
        pytest.skip(f"this onnx has no {name}")
    kind = TensorProto.DataType.Value(name)
    for size in range(1, 10):
        stored = onnx.helper.make_tensor("q", kind, (size,), [1] * size)
        raw = onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(stored)).raw_data
        assert declared_bytes(stored) == len(raw)


def test_blocks_of_weights_are_taken_without_steps(tmp_path: Path) -> None:
    """Where one output has several scales, its weights are real numbers like any other."""
    constants = {"q": np.arange(-9, 9, dtype=np.int8).reshape(6, 3), "s": np.abs(weights(2, 3)) + 0.1}
    nodes = [node("DequantizeLinear", "q s", "w", axis=0, block_size=3), node("MatMul", "x w", "y")]
    graph = assert_agrees(written(model(nodes, {"x": ("N", 6)}, constants), tmp_path))
    assert operations_of(graph, nn.DenseOp)[0].steps is None


def operations_of(graph: Graph, kind: type[nn.DenseOp]) -> list[nn.DenseOp]:
    return [op for op in graph.module.ops if isinstance(op, kind)]


def test_steps_along_another_axis_are_not_kept(tmp_path: Path) -> None:
    constants = {"q": np.ones((5, 3), np.int8), "s": np.linspace(0.1, 0.2, 5), "z": np.zeros(5, np.int8)}
    nodes = [dequantise("q", "w", axis=0), node("MatMul", "x w", "y")]
    graph = assert_agrees(written(model(nodes, IMAGE, constants), tmp_path))
    assert operations_of(graph, nn.DenseOp)[0].steps is None


def test_an_affine_map_behind_a_layer_scales_its_steps(tmp_path: Path) -> None:
    constants = {"q": np.full((5, 3), 7, np.int8), "s": S, "z": np.int8(0), "f": [2.0, -3.0, 0.5], "b": weights(3)}
    nodes = [dequantise("q", "w"), node("MatMul", "x w", "m"), node("Mul", "m f", "n"), node("Add", "n b", "y")]
    graph = FoldAffine()(load(written(model(nodes, {"x": ("N", 5)}, constants), tmp_path)))
    op = next(op for op in graph.module.ops if isinstance(op, nn.DenseOp))
    assert op.steps is not None
    np.testing.assert_allclose(graph.weights.get(op.steps), np.float32(S) * np.array([2.0, 3.0, 0.5]), rtol=1e-6)


def with_scale(scale: float) -> onnx.ModelProto:
    constants = {"s": np.float32(scale), "z": np.int8(0)}
    return model([quantise("x", "q"), dequantise("q", "y")], IMAGE, constants)


REFUSED = {
    "arithmetic on codes": (
        model([quantise("x", "q"), node("Add", "q q", "p"), dequantise("p", "y")], IMAGE, {"s": S, "z": np.int8(0)}),
        "CIM0104",
        "arithmetic on integers: 'q' is INT8",
    ),
    "scale of zero": (with_scale(0.0), "CIM0106", "scale 's' is 0"),
    "negative scale": (with_scale(-1.0), "CIM0106", "scale 's' is -1"),
    "scale of NaN": (with_scale(np.nan), "CIM0106", "'s' is nan"),
    "a scale for each channel": (
        model(
            [
                node("QuantizeLinear", "x s z", "q", axis=1),
                node("DequantizeLinear", "q s z", "y", axis=1),
            ],
            IMAGE,
            {"s": np.linspace(0.1, 0.4, 4), "z": np.zeros(4, np.int8)},
        ),
        "CIM0104",
        "4 different scales for one activation",
    ),
    "zero point of another type": (
        model([quantise("x", "q"), dequantise("q", "y", zero="u")], IMAGE, {"s": S, "z": np.int8(0), "u": np.uint8(0)}),
        "CIM0102",
        "",
    ),
    "codes of 8-bit floats": (
        model(
            [
                node("QuantizeLinear", "x s", "q", output_dtype=TensorProto.FLOAT8E4M3FN),
                node("DequantizeLinear", "q s", "y"),
            ],
            IMAGE,
            {"s": S},
        ),
        "CIM0104",
        "codes of type FLOAT8E4M3FN",
    ),
    "computed scale": (
        model([node("ReduceMean", "x", "m", keepdims=0), quantise("x", "q", "m")], IMAGE, {"z": np.int8(0)}, ["q"]),
        "CIM01",
        "",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_unusable_quantisation_is_refused(case: str, tmp_path: Path) -> None:
    proto, code, text = REFUSED[case]
    found = check(written(proto, tmp_path))
    assert found
    assert found[0].code.startswith(code)
    assert text in found[0].message
