"""Quantised models end to end, in both of onnxruntime's forms: proved, held against onnxruntime, weights exact."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from command_line.test_cases import run
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from quantised.models import SHAPE, Form, normal, quantised

from cimc.driving.driver import Compilation, Request, compile_model
from cimc.driving.float_model import run_float
from cimc.evaluate import evaluate
from cimc.frontend import load
from cimc.ir.attributes import int_value
from cimc.ir.types import code_of
from cimc.ir.xbar import AffineOp, DepthwiseOp, MvmOp
from cimc.targets import load_target

FORMS = (
    Form("QDQ"),
    Form("QDQ", "QInt8"),
    Form("QDQ", weights="QUInt8", per_channel=False),
    Form("QDQ", "QInt16"),
    Form("QOperator"),
    Form("QOperator", "QInt8"),
    Form("QOperator", weights="QUInt8", per_channel=False),
)
TARGETS = ("ideal", "aon-cim")


def compiled(path: Path, target: str) -> Compilation:
    return compile_model(path, Request(load_target(target), data=lambda _: {"x": normal(9, 32, *SHAPE)}))


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("form", FORMS, ids=str)
def test_compiles_and_proves(form: Form, target: str, tmp_path: Path) -> None:
    model, program = str(quantised(form, tmp_path)), str(tmp_path / "p.cimb")
    np.savez(tmp_path / "x.npz", x=normal(9, 32, *SHAPE))
    data = str(tmp_path / "x.npz")
    status, output = run(["compile", model, "--calib", data, "--target", target, "-o", program])
    assert status == 0, output
    status, output = run(["verify", model, program, "--input", data, "--limit", "3", "--reference-samples", "1"])
    assert (status, "ok: every tensor equal" in output) == (0, True), output


@pytest.mark.parametrize("form", [form for form in FORMS if form.weights == "QInt8" and form.activations != "QInt16"])
def test_on_ideal_outputs_are_onnxruntime_s_within_one_code(form: Form, tmp_path: Path) -> None:
    path = quantised(form, tmp_path)
    inputs = {"x": normal(11, 64, *SHAPE)}
    found, wanted = evaluate(compiled(path, "ideal").graph, inputs)["y"], run_float(path, load(path), inputs)["y"]
    steps = np.abs(found - wanted.reshape(found.shape)) / (1.0 / 256.0)
    assert steps.max() < 1.1
    assert (steps > 0.1).mean() < 0.05


def initialiser(path: Path, name: str) -> NDArray[np.int64]:
    tensors = {tensor.name: tensor for tensor in onnx.load(path).graph.initializer}
    return numpy_helper.to_array(tensors[name]).astype(np.int64)


@pytest.mark.parametrize("format_", ["QDQ", "QOperator"])
def test_on_ideal_every_conductance_is_a_whole_multiple_of_the_model_s_weight(format_: str, tmp_path: Path) -> None:
    path = quantised(Form(format_), tmp_path)
    graph = compiled(path, "ideal").graph
    layers = [op for op in graph.operations if isinstance(op, MvmOp)]
    matrices = [initialiser(path, f"{name}_quantized") for name in ("w0", "w1", "w3", "w4")]
    stored = [matrices[0].transpose(2, 3, 1, 0), matrices[1].transpose(2, 3, 1, 0), matrices[2].T, matrices[3]]
    for op, weight in zip(layers, stored, strict=True):
        assert op.conductance is not None
        found = graph.weights.get(op.conductance)[0].astype(np.int64)
        wanted = weight.reshape(found.shape)
        np.testing.assert_array_equal(found, wanted * (508 // np.abs(wanted).max(axis=0)))
    taps = next(op for op in graph.operations if isinstance(op, DepthwiseOp)).weights
    wanted = initialiser(path, "w2_quantized").transpose(2, 3, 1, 0).reshape(9, 1, 8).transpose(0, 2, 1)
    np.testing.assert_array_equal(graph.weights.get(taps), wanted)


def test_the_crossbar_reads_the_model_s_codes_where_the_dac_takes_them(tmp_path: Path) -> None:
    graph = compiled(quantised(Form("QDQ"), tmp_path), "ideal").graph
    codes = [code_of(op.x) for op in graph.operations if isinstance(op, MvmOp)]
    assert {(code.low.data, code.high.data) for code in codes} == {(-128, 127)}
    assert not any(isinstance(op, AffineOp) and op.label.data.startswith("r0") for op in graph.operations)


@pytest.mark.parametrize("form", [Form("QDQ"), Form("QOperator", "QInt8"), Form("QDQ", "QInt16")], ids=str)
@pytest.mark.parametrize("target", ["aon-cim", "aon-cim-6b"])
def test_a_symmetric_dac_gets_codes_that_it_takes(form: Form, target: str, tmp_path: Path) -> None:
    graph = compiled(quantised(form, tmp_path), target).graph
    low, high = load_target(target).dac_range
    for op in graph.operations:
        if isinstance(op, MvmOp):
            assert low <= code_of(op.x).low.data
            assert code_of(op.x).high.data <= high


def layer(seed: int) -> tuple[onnx.ModelProto, dict[str, NDArray[Any]]]:
    """Return one convolution from integers to integers, and its constants."""
    rng = np.random.default_rng(seed)
    constants: dict[str, NDArray[Any]] = {
        "sx": np.float32(0.021),
        "zx": np.uint8(rng.integers(0, 256)),
        "w": rng.integers(-127, 128, (16, 8, 3, 3)).astype(np.int8),
        "sw": rng.uniform(0.001, 0.02, 16).astype(np.float32),
        "zw": np.zeros(16, np.int8),
        "sy": np.float32(rng.uniform(0.05, 0.5)),
        "zy": np.uint8(rng.integers(0, 256)),
        "b": rng.integers(-20000, 20000, 16).astype(np.int32),
    }
    node = helper.make_node("QLinearConv", ["x", "sx", "zx", "w", "sw", "zw", "sy", "zy", "b"], ["y"], name="conv")
    graph = helper.make_graph(
        [node],
        "layer",
        [helper.make_tensor_value_info("x", TensorProto.UINT8, ["N", 8, 7, 7])],
        [helper.make_tensor_value_info("y", TensorProto.UINT8, ["N", 16, 5, 5])],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), constants


def exact(x: NDArray[np.float32], c: dict[str, NDArray[Any]]) -> NDArray[np.float64]:
    """Return the codes of the layer before they are rounded and clipped."""
    patches = np.lib.stride_tricks.sliding_window_view(x - float(c["zx"]), (3, 3), axis=(2, 3))
    sums = np.einsum("nchwij,ocij->nohw", patches.astype(np.float64), c["w"].astype(np.float64))
    sums += c["b"].astype(np.float64)[:, None, None]
    ratio = float(c["sx"]) * c["sw"].astype(np.float64) / float(c["sy"])
    return sums * ratio[:, None, None] + float(c["zy"])


@pytest.mark.parametrize("seed", range(4))
def test_codes_differ_from_onnxruntime_by_one_and_only_near_a_tie(seed: int, tmp_path: Path) -> None:
    """The only inexact number of a layer is its 16-bit multiplier: off by 2^-k / 2 a unit of the array sum."""
    proto, constants = layer(seed)
    path = tmp_path / "layer.onnx"
    onnx.save(proto, path)
    x = np.random.default_rng(seed).integers(0, 256, (32, 8, 7, 7)).astype(np.float32)
    compilation = compile_model(path, Request(load_target("ideal"), data=lambda _: {"x": x[:1]}))
    found = evaluate(compilation.graph, {"x": x})["y"]
    wanted = run_float(path, load(path), {"x": x})["y"].astype(np.float64)
    assert np.abs(found - wanted).max() <= 1.0
    real = exact(x, constants)
    op = next(op for op in compilation.graph.operations if isinstance(op, MvmOp))
    assert op.conductance is not None
    assert op.shift is not None
    total = np.abs(compilation.graph.weights.get(op.conductance).astype(np.int64)).sum(axis=1).max() * 255
    slack = (total + 2.0) * 2.0 ** -(int_value(op.shift) + 1)
    from_tie = np.abs(real - np.floor(real) - 0.5)
    assert from_tie[found != wanted].max(initial=0.0) <= slack < 0.25
    assert (found != wanted).mean() < 0.01


def test_a_model_given_integers_has_ports_of_scale_one(tmp_path: Path) -> None:
    proto, _ = layer(0)
    onnx.save(proto, tmp_path / "layer.onnx")
    data = np.arange(256, dtype=np.float32)[:196].reshape(1, 4, 7, 7).repeat(2, axis=1)
    for target, lost in (("ideal", 0), ("aon-cim", 1)):
        request = Request(load_target(target), data=lambda _: {"x": data})
        port = compile_model(tmp_path / "layer.onnx", request).emission.program.inputs[0]
        assert (port.scale, port.high - port.low, port.model_shape) == (1.0, 255 - lost, (8, 7, 7))


DYNAMIC = {
    "DynamicQuantizeLinear": (TensorProto.FLOAT, "x", "y s z", TensorProto.UINT8),
    "ConvInteger": (TensorProto.UINT8, "x w", "y", TensorProto.INT32),
    "MatMulInteger": (TensorProto.UINT8, "x v", "y", TensorProto.INT32),
}


SUMS = ("no lowering exists for this operator", "cast its sums to FLOAT")
REMEDIES = {"ConvInteger": SUMS, "MatMulInteger": SUMS}


@pytest.mark.parametrize("operator", DYNAMIC)
def test_scales_found_at_run_time_are_refused_with_a_remedy(operator: str, tmp_path: Path) -> None:
    kind, inputs, outputs, result = DYNAMIC[operator]
    graph = helper.make_graph(
        [helper.make_node(operator, inputs.split(), outputs.split(), name="dynamic")],
        "dynamic",
        [helper.make_tensor_value_info("x", kind, ["N", 2, 6, 6])],
        [helper.make_tensor_value_info("y", result, None)],
        [
            numpy_helper.from_array(np.ones(shape, np.uint8), name)
            for name, shape in (("w", (3, 2, 1, 1)), ("v", (6, 4)))
        ],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), tmp_path / "m.onnx")
    status, output = run(["check", str(tmp_path / "m.onnx")])
    assert status == 4
    said, cure = REMEDIES.get(operator, ("its scales are found at run time", "quantize_static"))
    assert f"'dynamic' ({operator}): {said}" in output
    assert cure in output


@pytest.mark.parametrize("operator", ["Relu", "MaxPool", "Identity"])
def test_operators_between_quantising_and_dequantising_are_exact(operator: str, tmp_path: Path) -> None:
    """A Relu of integers is no Relu of the real values: it cuts at code 0."""
    extra = {"kernel_shape": [2, 2]} if operator == "MaxPool" else {}
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["q"], name="quantise"),
        helper.make_node(operator, ["q"], ["p"], name="between", **extra),
        helper.make_node("DequantizeLinear", ["p", "s", "z"], ["y"], name="dequantise"),
    ]
    graph = helper.make_graph(
        nodes,
        "between",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", *SHAPE])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.array(0.03, np.float32), "s"), numpy_helper.from_array(np.array(-9, np.int8), "z")],
    )
    path = tmp_path / "between.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    inputs = {"x": normal(3, 8, *SHAPE)}
    compilation = compile_model(path, Request(load_target("ideal"), data=lambda _: inputs))
    np.testing.assert_array_equal(evaluate(compilation.graph, inputs)["y"], run_float(path, load(path), inputs)["y"])


@pytest.mark.parametrize(("target", "origin"), [("ideal", "none"), ("aon-cim", "synthetic")])
def test_a_model_that_brings_all_codes_needs_no_data_where_the_adc_has_no_gain(
    target: str, origin: str, tmp_path: Path
) -> None:
    proto, _ = layer(0)
    onnx.save(proto, tmp_path / "layer.onnx")
    compilation = compile_model(tmp_path / "layer.onnx", Request(load_target(target)))
    assert compilation.synthetic is (origin == "synthetic")
    assert compilation.emission.program.meta["options"]["calibration"] == origin
