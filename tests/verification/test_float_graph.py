"""The imported graph against onnxruntime: right ones pass, a lowering that is wrong is found by its node's name."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from frontend.onnx_models import model, node, weights, written
from onnx import TensorProto

from cimc.command_line.main import main
from cimc.diagnostics import DiagnosticError
from cimc.frontend import Specialisation, load_traced
from cimc.frontend.elementary import scaled
from cimc.frontend.lowering import Lowering
from cimc.frontend.operators import OPERATORS
from cimc.proof.agreement import furthest
from cimc.proof.float_graph import ONNXRUNTIME, REFERENCE, FloatCheck, check_float

RNG = np.random.default_rng(0)
IMAGE = {"x": ("N", 3, 5, 4)}
X = RNG.uniform(-2.0, 2.0, (3, 3, 5, 4)).astype(np.float32)
CONV = {"w": weights(4, 3, 1, 1)}


def layers() -> onnx.ModelProto:
    """A few nodes behind each other, so that what is wrong in the middle shows to the end."""
    nodes = [node("Conv", "x w", "c"), node("Sigmoid", "c", "s"), node("Transpose", "s", "t", perm=[0, 2, 3, 1])]
    return model([*nodes, node("Add", "t t", "y")], IMAGE, CONV)


def quantised() -> onnx.ModelProto:
    """Codes in the middle, and a movement of them."""
    nodes = [
        node("Conv", "x w", "c"),
        node("QuantizeLinear", "c s z", "q"),
        node("MaxPool", "q", "m", kernel_shape=[2, 2]),
    ]
    constants = {**CONV, "s": np.float32(0.02), "z": np.int8(3)}
    return model([*nodes, node("DequantizeLinear", "m s z", "y")], IMAGE, constants)


def checked(proto: onnx.ModelProto, folder: Path, x: Any = X, unbatched: bool = False) -> FloatCheck:
    path = written(proto, folder)
    return check_float(path, load_traced(path, Specialisation(unbatched)), {"x": x})


@pytest.mark.parametrize("make", [layers, quantised])
def test_a_right_import(make: Callable[[], onnx.ModelProto], tmp_path: Path) -> None:
    found = checked(make(), tmp_path)
    assert found.ok and not found.inherited
    assert (found.runtime, found.samples, len(found.covered), found.tensors) == (ONNXRUNTIME, 3, 4, 4)


def test_a_cast_makes_what_it_reads_no_finer(tmp_path: Path) -> None:
    """Both tensors are one value here; what bfloat16 rounded, its float32 has as well."""
    kinds = {"to": TensorProto.BFLOAT16}, {"to": TensorProto.FLOAT}
    nodes = [node("Cast", "x", "h", **kinds[0]), node("MatMul", "h w", "m"), node("Cast", "m", "y", **kinds[1])]
    proto, kernel = model(nodes, {"x": ("N", 6)}), weights(6, 4)
    proto.graph.initializer.append(onnx.helper.make_tensor("w", TensorProto.BFLOAT16, kernel.shape, kernel.ravel()))
    found = checked(proto, tmp_path, RNG.uniform(-2.0, 2.0, (3, 6)).astype(np.float32))
    assert found.ok and (found.runtime, len(found.covered)) == (REFERENCE, 3)


def test_what_a_branch_reads_is_covered(tmp_path: Path) -> None:
    """The condition is a constant; what depends on the input is what the branch reads."""
    branches = {
        name: onnx.helper.make_graph([node(operator, "x", out)], name, [], [outputs(out)])
        for name, operator, out in (("then_branch", "Neg", "a"), ("else_branch", "Exp", "b"))
    }
    nodes = [onnx.helper.make_node("If", ["k"], ["i"], "the_i", **branches), node("Relu", "i", "y")]
    found = checked(model(nodes, IMAGE, {"k": np.array(True)}), tmp_path)
    assert found.ok and found.tensors == 2 and "y" in found.covered


def outputs(name: str) -> onnx.ValueInfoProto:
    return onnx.helper.make_tensor_value_info(name, TensorProto.FLOAT, None)


RIGHT = dict(OPERATORS)


def off(factor: float) -> Callable[[Lowering], Any]:
    """Return a lowering whose result is off by a factor."""
    return lambda at: scaled(at, RIGHT[at.node.operator](at), factor, suffix="wrong")


def turned(at: Lowering) -> Any:
    """Transpose by another permutation that has the same result shape, or by none."""
    x = at.activation(0)
    return at.reshaped(x, at.result_shape(), "wrong")


def next_code(at: Lowering) -> Any:
    """Dequantise with a zero point that is one off."""
    return scaled(at, RIGHT["DequantizeLinear"](at), 1.0, 0.02, "wrong")


BROKEN = {
    "a value off by half": (layers, "Sigmoid", off(1.5), "the_s"),
    "a value off by a thousandth": (layers, "Sigmoid", off(1.002), "the_s"),
    "an order": (layers, "Transpose", turned, "the_t"),
    "one code more": (quantised, "DequantizeLinear", next_code, "the_y"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_wrong_lowering_is_named(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make, operator, lowering, name = BROKEN[case]
    monkeypatch.setitem(OPERATORS, operator, lowering)
    found = checked(make(), tmp_path)
    (wrong,) = found.wrong.values()
    assert not found.ok and f"'{name}'" in wrong.node and operator in wrong.node
    assert "y" in found.inherited or name == "the_y"


def test_verify_names_the_node_and_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(OPERATORS, "Sigmoid", off(1.5))
    path, data, program = written(layers(), tmp_path), tmp_path / "x.npz", tmp_path / "p.cimb"
    np.savez(data, x=X)
    assert main(["compile", str(path), "--target", "ideal", "--calib", str(data), "-o", str(program)]) == 0
    verify = ["verify", str(path), str(program), "--input", str(data)]
    assert main(verify) == 1
    assert "FAILED: float graph: node 'the_s' (Sigmoid), tensor 's', sample 0" in capsys.readouterr().out
    assert main([*verify, "--no-float"]) == 0


@pytest.mark.parametrize("calibration", [True, False])
@pytest.mark.filterwarnings("ignore::cimc.isa.errors.CimcWarning")
def test_compile_names_the_node_and_writes_no_program(
    calibration: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("cimc.command_line.float_checking.SAMPLES", 2)
    monkeypatch.setitem(OPERATORS, "Sigmoid", off(1.5))
    path, data, program = written(layers(), tmp_path), tmp_path / "x.npz", tmp_path / "p.cimb"
    np.savez(data, x=X)
    command = ["compile", str(path), "--target", "ideal", "-o", str(program)]
    command += ["--calib", str(data)] if calibration else []
    assert main(command) == 1
    assert "FAILED: float graph: node 'the_s' (Sigmoid)" in capsys.readouterr().out and not program.exists()
    assert main([*command, "--no-float-check"]) == 0


def test_what_is_no_number_is_left_out_and_ours_must_be_numbers() -> None:
    numbers, nan = np.ones(3), np.array([1.0, np.nan, 1.0])
    assert furthest(numbers, nan, None, 1e-3, lambda: 0.0) is None
    assert furthest(nan, numbers, None, 1e-3, lambda: 0.0) == (1,)
    assert furthest(np.float64(1.0), np.float64(2.0), None, 1e-3, lambda: 0.0) == ()


def test_codes_round_as_a_port_does(tmp_path: Path) -> None:
    """Fractions and numbers beyond the type reach onnxruntime as the codes that the port would have."""
    proto = model(
        [node("DequantizeLinear", "x s z", "y")],
        {"x": ("N", 4)},
        {"s": np.float32(0.5), "z": np.int8(1)},
        kinds={"x": TensorProto.INT8},
    )
    assert checked(proto, tmp_path, np.array([[1.5, -2.5, 0.9, 300.0]], np.float32)).ok


def test_infinities_and_zeros_are_equal(tmp_path: Path) -> None:
    proto = model(
        [node("Mul", "x zero", "n"), node("Max", "x low", "y")], {"x": ("N", 4)}, {"zero": [0.0], "low": [-1.0]}
    )
    assert checked(proto, tmp_path, np.zeros((2, 4), np.float32)).ok


def test_what_onnxruntime_does_not_know_goes_to_the_reference(tmp_path: Path) -> None:
    proto = layers()
    path = written(proto, tmp_path)
    imported = load_traced(path)
    proto.ir_version = 99
    path.write_bytes(proto.SerializeToString())
    found = check_float(path, imported, {"x": X})
    assert (found.ok, found.runtime, found.samples, len(found.covered)) == (True, REFERENCE, 1, 4)


def test_what_nobody_runs_is_refused(tmp_path: Path) -> None:
    proto = layers()
    path = written(proto, tmp_path)
    imported = load_traced(path)
    proto.graph.node[1].op_type = "Unheard"
    path.write_bytes(proto.SerializeToString())
    with pytest.raises(DiagnosticError, match="Unheard"):
        check_float(path, imported, {"x": X})


def test_the_batch_may_lie_anywhere(tmp_path: Path) -> None:
    nodes = [node("Transpose", "x", "t", perm=[1, 0, 2]), node("Reshape", "t rows", "r"), node("Relu", "r", "y")]
    proto = model(nodes, {"x": ("N", 3, 4)}, {"rows": [3, -1, 2, 2]})
    assert checked(proto, tmp_path, X[:, :, 0, :]).ok


def test_a_fixed_batch_is_filled(tmp_path: Path) -> None:
    proto = model([node("Relu", "x", "y")], {"x": (2, 3)})
    found = checked(proto, tmp_path, X[:, :, 0, 0])
    assert (found.ok, found.samples) == (True, 3)


def test_an_unbatched_model(tmp_path: Path) -> None:
    proto = model([node("Softmax", "x", "y", axis=0)], {"x": (3, 4)})
    assert checked(proto, tmp_path, X[:, :, 0, :], unbatched=True).ok
