"""The float model on onnxruntime: whatever it says of a file, verify ends with a verdict, never with a traceback."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from frontend.onnx_models import assert_equal, model, node, weights, written

from cimc.command_line.main import main
from cimc.diagnostics import DiagnosticError
from cimc.driving.float_model import run_float
from cimc.evaluate import evaluate
from cimc.frontend import load

IMAGE = {"x": ("N", 3, 5, 4)}
X = np.random.default_rng(0).uniform(-2.0, 2.0, (6, 3, 5, 4)).astype(np.float32)
CONV = {"w": weights(4, 3, 1, 1)}


def one_sample_inside() -> onnx.ModelProto:
    """An open batch, and a reshape to [1, -1] that mixes the samples of a batch."""
    nodes = [node("Conv", "x w", "c"), node("Reshape", "c s", "f"), node("MatMul", "f m", "y")]
    return model(nodes, IMAGE, {**CONV, "s": [1, -1], "m": weights(80, 3)})


def other_shape() -> onnx.ModelProto:
    """The same without a product: onnxruntime runs the whole batch, and the output is one long row."""
    return model([node("Conv", "x w", "c"), node("Reshape", "c s", "y")], IMAGE, {**CONV, "s": [1, -1]})


def same_names() -> onnx.ModelProto:
    proto = model([node("Relu", "x", "a"), node("Conv", "a w", "y")], IMAGE, CONV)
    for one in proto.graph.node:
        one.name = "n"
    return proto


MODELS = {"one sample inside": one_sample_inside, "other shape": other_shape, "same names": same_names}


@pytest.mark.parametrize("case", MODELS)
def test_what_onnxruntime_does_not_take_whole(case: str, tmp_path: Path) -> None:
    path = written(MODELS[case](), tmp_path)
    graph = load(path)
    assert_equal(evaluate(graph, {"x": X}), run_float(path, graph, {"x": X}))


def test_same_names_with_external_data(tmp_path: Path) -> None:
    path, proto = tmp_path / "model.onnx", same_names()
    onnx.save(proto, path, save_as_external_data=True, location="model.data", size_threshold=0)
    graph = load(path)
    assert_equal(evaluate(graph, {"x": X}), run_float(path, graph, {"x": X}))


def test_a_relative_path_is_found_wherever_the_process_was_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(model([node("Relu", "x", "y")], IMAGE), tmp_path)
    graph = load(path)
    run_float(path, graph, {"x": X})
    monkeypatch.chdir(tmp_path)
    assert run_float(Path(path.name), graph, {"x": X})


@pytest.fixture
def unknown(tmp_path: Path) -> Path:
    """A model of an opset that onnxruntime may know less of than onnx: here an IR version that it refuses."""
    proto = model([node("Relu", "x", "y")], IMAGE)
    path = written(proto, tmp_path)
    proto.ir_version = 99
    (tmp_path / "newer.onnx").write_bytes(proto.SerializeToString())
    return path


def test_a_refusal_of_onnxruntime_has_a_code(unknown: Path) -> None:
    with pytest.raises(DiagnosticError) as raised:
        run_float(unknown.with_name("newer.onnx"), load(unknown), {"x": X})
    (problem,) = raised.value.diagnostics
    assert problem.code == "CIM0211" and "IR version" in problem.message


@pytest.mark.parametrize("case", MODELS)
def test_verify_ends_with_a_verdict(case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, data, program = written(MODELS[case](), tmp_path), tmp_path / "x.npz", tmp_path / "p.cimb"
    np.savez(data, x=X)
    compiled = main(["compile", str(path), "--target", "ideal", "--calib", str(data), "-o", str(program)])
    assert (compiled, main(["verify", str(path), str(program), "--input", str(data)])) == (0, 0)
    assert "signal to quantisation noise" in capsys.readouterr().out
