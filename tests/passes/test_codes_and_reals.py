"""What becomes of real values on codes, from an ONNX file to the tile graph: comparisons, headroom, far magnitudes."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from frontend.onnx_models import model, node, weights, written
from onnx import TensorProto

from cimc.diagnostics import DiagnosticError
from cimc.driving.driver import Request, compile_model
from cimc.driving.float_model import run_float
from cimc.evaluate import evaluate
from cimc.targets import load_target

Array = np.ndarray[Any, Any]
IMAGE = {"x": ("N", 3, 5, 4)}
UNIFORM = np.random.default_rng(0).uniform(-2.0, 2.0, (16, 3, 5, 4)).astype(np.float32)
WHOLE, QUARTERS = np.round(UNIFORM), np.round(UNIFORM * 4) / 4
GIVEN = [node("QuantizeLinear", "x s z", "q"), node("DequantizeLinear", "q s z", "d")]
COMPARISONS = ("Equal", "Greater", "Less", "GreaterOrEqual", "LessOrEqual")


def both(proto: onnx.ModelProto, data: Mapping[str, Array], folder: Path) -> tuple[Array, Array]:
    """Return output y of the tile graph, calibrated on the data for `ideal`, and onnxruntime's."""
    path = written(proto, folder)
    graph = compile_model(path, Request(load_target("ideal"), data=lambda _: data)).graph
    want = run_float(path, graph, data)["y"].astype(np.float64)
    return evaluate(graph, data)["y"].reshape(want.shape), want


def decibels(found: Array, want: Array) -> float:
    return float(10.0 * np.log10(np.square(want).mean() / np.square(found - want).mean()))


def compared(operator: str, before: Sequence[onnx.NodeProto], number: Any, **constants: Any) -> onnx.ModelProto:
    read = before[-1].output[0] if before else "x"
    nodes = [*before, node(operator, f"{read} k", "e"), node("Cast", "e", "y", to=TensorProto.FLOAT)]
    return model(nodes, IMAGE, {"k": np.asarray(number, np.float32), **constants})


@pytest.mark.parametrize("operator", COMPARISONS)
@pytest.mark.parametrize("number", [1.0, -2.0, 0.5, 0.003, 3.0, [[[1.0]], [[-1.0]], [[0.25]]]])
@pytest.mark.parametrize("data", [WHOLE, QUARTERS], ids=["whole", "quarters"])
def test_comparison_with_a_number_on_no_code(operator: str, number: Any, data: Array, tmp_path: Path) -> None:
    """The codes of -2..2 are multiples of 2 / 127: 1 is none."""
    found, want = both(compared(operator, [], number), {"x": data}, tmp_path)
    assert np.array_equal(found, want)


@pytest.mark.parametrize("operator", ["Floor", "Ceil", "Round"])
@pytest.mark.parametrize("data", [WHOLE, QUARTERS], ids=["whole", "quarters"])
@pytest.mark.parametrize("reach", [2.0, 1.7, 11.3])
def test_what_is_whole_stays_whole_on_codes_that_are_not(
    operator: str, data: Array, reach: float, tmp_path: Path
) -> None:
    """Where results jump, 1 is no code: it counts as 1 all the same."""
    x = data.copy()
    x[0, 0, 0, 0] = reach
    found, want = both(model([node(operator, "x", "y")], IMAGE), {"x": x}, tmp_path)
    assert np.array_equal(found, want)


@pytest.mark.parametrize("number", [0.25, 0.5, 1.0])
@pytest.mark.parametrize("operator", ["ThresholdedRelu", "Shrink"])
def test_functions_that_compare(operator: str, number: float, tmp_path: Path) -> None:
    how = {"alpha": number} if operator == "ThresholdedRelu" else {"lambd": number}
    found, want = both(model([node(operator, "x", "y", **how)], IMAGE), {"x": QUARTERS}, tmp_path)
    assert decibels(found, want) > 40.0


@pytest.mark.parametrize("value", [-2.5, -1e9, -3.4028235e38, -np.inf])
def test_padding_that_only_maxima_read(value: float, tmp_path: Path) -> None:
    """It is below all data: the lowest code does."""
    nodes = [node("Pad", "x p v", "a"), node("MaxPool", "a", "y", kernel_shape=[2, 2])]
    constants = {"p": [0, 0, 1, 1, 0, 0, 1, 1], "v": np.float32(value)}
    found, want = both(model(nodes, IMAGE, constants), {"x": UNIFORM}, tmp_path)
    assert decibels(found, want) > 40.0


def test_windows_of_maxima_that_lie_in_the_padding(tmp_path: Path) -> None:
    """There the padding is the largest, and not the lowest code of the data."""
    nodes = [node("Relu", "x", "r"), node("Pad", "r p v", "a")]
    nodes.append(node("MaxPool", "a", "y", kernel_shape=[2, 2], strides=[2, 2]))
    constants = {"p": [0, 0, 2, 2, 0, 0, 2, 2], "v": np.float32(-1.0)}
    found, want = both(model(nodes, IMAGE, constants), {"x": UNIFORM}, tmp_path)
    assert (want == -1.0).any() and decibels(found, want) > 40.0


@pytest.mark.parametrize("operator", ["Floor", "Ceil", "Round"])
def test_the_codes_of_the_model_jump_as_its_reals_do(operator: str, tmp_path: Path) -> None:
    constants = {"s": np.float32(0.4), "z": np.int8(0)}
    found, want = both(model([*GIVEN, node(operator, "d", "y")], IMAGE, constants), {"x": UNIFORM}, tmp_path)
    assert np.array_equal(found, want)


@pytest.mark.parametrize("value", [3e38, -1e9, -np.inf])
def test_padding_beyond_all_codes(value: float, tmp_path: Path) -> None:
    nodes = [node("Pad", "x p v", "a"), node("Relu", "a", "y")]
    constants = {"p": [0, 0, 1, 1, 0, 0, 1, 1], "v": np.float32(value)}
    with pytest.raises(DiagnosticError) as raised:
        both(model(nodes, IMAGE, constants), {"x": UNIFORM}, tmp_path)
    (problem,) = raised.value.diagnostics
    assert problem.code == "CIM0304" and "'a'" in problem.message and problem.hint


@pytest.mark.parametrize("operator", COMPARISONS)
@pytest.mark.parametrize("number", [1.5, 0.3])
@pytest.mark.parametrize("exact", ["floor", "given"])
def test_comparison_on_codes_that_are_exact(operator: str, number: float, exact: str, tmp_path: Path) -> None:
    """Whole numbers and the model's own codes are no approximation: the number is left as it is."""
    before = [node("Floor", "x", "f")] if exact == "floor" else GIVEN
    scale = {} if exact == "floor" else {"s": np.float32(2 / 127), "z": np.int8(0)}
    found, want = both(compared(operator, before, number, **scale), {"x": UNIFORM}, tmp_path)
    assert np.array_equal(found, want)


@pytest.mark.parametrize("headroom", [1, 8, 32, 128])
@pytest.mark.parametrize("kind", [np.int16, np.uint16])
@pytest.mark.parametrize("before", ["", "Relu", "Tanh"])
def test_headroom_of_16_bit_codes(headroom: int, kind: type[np.integer[Any]], before: str, tmp_path: Path) -> None:
    """What the crossbar reads is cut to 8 bits over the range of the data, not over that of the type."""
    nodes = [*([node(before, "x", "r")] if before else []), *GIVEN, node("Conv", "d w", "y")]
    nodes[-3].input[0] = "r" if before else "x"
    info = np.iinfo(kind)
    scale, zero = np.float32(headroom * 4 / (int(info.max) - int(info.min))), kind(info.min + (1 << 15))
    proto = model(nodes, IMAGE, {"s": scale, "z": zero, "w": weights(4, 3, 1, 1)})
    found, want = both(proto, {"x": UNIFORM}, tmp_path)
    assert decibels(found, want) > 40.0


@pytest.mark.parametrize(("kind", "zero"), [("INT16", 0), ("UINT16", 32768)])
def test_headroom_of_16_bit_inputs(kind: str, zero: int, tmp_path: Path) -> None:
    nodes, scale = [node("DequantizeLinear", "x s z", "d"), node("Conv", "d w", "y")], np.float32(64 / 32767)
    constants = {"s": scale, "z": np.array(zero, kind.lower()), "w": weights(4, 3, 1, 1)}
    proto = model(nodes, IMAGE, constants, kinds={"x": getattr(TensorProto, kind)})
    found, want = both(proto, {"x": (np.rint(UNIFORM / scale) + zero).astype(np.float32)}, tmp_path)
    assert decibels(found, want) > 40.0


FAR = {
    "data": (1e30, 1.0),
    "weights": (1.0, 1e30),
    "products": (1e15, 1e16),
    "denormal data": (1e-42, 1.0),
    "denormal weights": (1.0, 1e-42),
    "denormal products": (1e-20, 1e-20),
}


@pytest.mark.parametrize("case", FAR)
def test_magnitudes_that_codes_cannot_stand_for(case: str, tmp_path: Path) -> None:
    data, factor = FAR[case]
    proto = model([node("Conv", "x w", "c"), node("Relu", "c", "y")], IMAGE, {"w": weights(4, 3, 1, 1) * factor})
    with pytest.raises(DiagnosticError) as raised:
        both(proto, {"x": UNIFORM * np.float32(data)}, tmp_path)
    (problem,) = raised.value.diagnostics
    assert problem.code == "CIM0304" and "in calibration" in problem.message and problem.hint


@pytest.mark.parametrize("factor", [1e-12, 1e12, 1e29])
def test_magnitudes_far_from_one(factor: float, tmp_path: Path) -> None:
    nodes = [node("Conv", "x w", "c"), node("Relu", "c", "y")]
    found, want = both(model(nodes, IMAGE, {"w": weights(4, 3, 1, 1)}), {"x": UNIFORM * np.float32(factor)}, tmp_path)
    assert decibels(found / factor, want / factor) > 40.0
