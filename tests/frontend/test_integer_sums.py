"""MatMulInteger and ConvInteger with scales known when compiling; Quant nodes; what is refused says why."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from frontend.onnx_models import assert_agrees, model, node, written
from onnx import TensorProto

from cimc.frontend import check

SCALES = {"s": np.float32(0.05), "z": np.uint8(120), "t": np.float32(0.002), "v": np.int8(3)}
CODES = np.random.default_rng(0).integers(-100, 100, (6, 4)).astype(np.int8)


def product(*inputs: str, **more: Any) -> onnx.ModelProto:
    """What quantize_dynamic writes, with a constant scale in place of the one found at run time."""
    nodes = [
        node("QuantizeLinear", "x s z", "q"),
        node("MatMulInteger", " ".join(inputs), "i"),
        node("Cast", "i", "f", to=TensorProto.FLOAT),
        node("Mul", "f t", "y"),
    ]
    return model(nodes, {"x": ("N", 6)}, {**SCALES, "w": CODES, **more})


CASES = {
    "both zero points": product("q", "w", "z", "v"),
    "one zero point": product("q", "w", "z"),
    "none": product("q", "w"),
    "second only": product("q", "w", "-", "v"),
}


@pytest.mark.parametrize("case", CASES)
def test_products_of_integers(case: str, tmp_path: Path) -> None:
    assert_agrees(written(CASES[case], tmp_path))


def test_convolution_of_integers(tmp_path: Path) -> None:
    nodes = [
        node("QuantizeLinear", "x s z", "q"),
        node("ConvInteger", "q w z", "i", pads=[1, 1, 1, 1]),
        node("Cast", "i", "f", to=TensorProto.FLOAT),
        node("Mul", "f t", "y"),
    ]
    kernel = np.random.default_rng(1).integers(-100, 100, (2, 4, 3, 3)).astype(np.int8)
    proto = model(nodes, {"x": ("N", 4, 6, 5)}, {**SCALES, "w": kernel})
    assert_agrees(written(proto, tmp_path))


def test_sums_read_as_integers_are_refused_for_that(tmp_path: Path) -> None:
    nodes = [
        node("QuantizeLinear", "x s z", "q"),
        node("MatMulInteger", "q w z", "i"),
        node("Add", "i i", "j"),
        node("Cast", "j", "y", to=TensorProto.FLOAT),
    ]
    (problem,) = check(written(model(nodes, {"x": ("N", 6)}, {**SCALES, "w": CODES}), tmp_path))
    assert (problem.operator, problem.code) == ("MatMulInteger", "CIM0103") and "cast its sums" in problem.hint


def test_scales_found_at_run_time_are_refused_for_that(tmp_path: Path) -> None:
    nodes = [
        node("DynamicQuantizeLinear", "x", "q s z"),
        node("MatMulInteger", "q w z", "i"),
        node("Cast", "i", "f", to=TensorProto.FLOAT),
        node("Mul", "f s", "y"),
    ]
    found = check(written(model(nodes, {"x": ("N", 6)}, {"w": CODES}), tmp_path))
    assert found[0].operator == "DynamicQuantizeLinear" and "quantize_static" in found[0].hint


@pytest.mark.parametrize("imported", [True, False])
@pytest.mark.parametrize("domain", ["onnx.brevitas", "qonnx.custom_op.general"])
def test_nodes_of_brevitas_and_qonnx(domain: str, imported: bool, tmp_path: Path) -> None:
    """QONNX's own files may leave out the import of the domain."""
    quant = onnx.helper.make_node("Quant", ["x", "s", "b", "n"], ["y"], "q", domain=domain, signed=1, narrow=1)
    constants = {"s": np.float32(0.1), "b": np.float32(0), "n": np.float32(8)}
    proto = model([node("Relu", "y", "r"), quant], {"x": ("N", 6)}, constants, ("r",))
    if imported:
        proto.opset_import.add(domain=domain, version=1)
    (problem,) = check(written(proto, tmp_path))
    assert (problem.code, problem.node) == ("CIM0103", "q") and "export_onnx_qcdq" in problem.hint
