"""--constant: inputs that always have one value, from compile to verify; what is said of numbers they cannot be."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from frontend.onnx_models import model, node, weights, written
from onnx import TensorProto, helper

from cimc.command_line.main import main
from cimc.frontend import Specialisation, check
from cimc.isa.container import load_program

IMAGE = ("N", 3, 6, 5)


def at_rate(rate: tuple[int | str, ...] = ()) -> onnx.ModelProto:
    """Return what a sample rate decides: one branch convolves, the other halves."""
    value = helper.make_tensor_value_info("o", TensorProto.FLOAT, None)
    nodes = (node("Conv", "x w", "o"), node("Mul", "x half", "o"))
    then, other = (helper.make_graph([one], "branch", [], [value]) for one in nodes)
    made = [node("Equal", "sr want", "same"), node("If", "same", "y", then_branch=then, else_branch=other)]
    constants = {"w": weights(4, 3, 1, 1), "half": np.array(0.5), "want": np.int64(16000)}
    return model(made, {"x": IMAGE, "sr": rate}, constants, kinds={"sr": TensorProto.INT64})


@pytest.mark.parametrize(("rate", "channels"), [(16000, 4), (8000, 3)])
def test_the_constant_decides_what_is_compiled_and_proved(rate: int, channels: int, tmp_path: Path) -> None:
    path, program, data = written(at_rate(), tmp_path), str(tmp_path / "p.cimb"), str(tmp_path / "x.npz")
    np.savez(data, x=weights(20, *IMAGE[1:]))
    options = ["--constant", f"sr={rate}", "--target", "ideal", "--calib", data, "-o", program]
    assert main(["compile", str(path), *options]) == 0
    made = load_program(program)
    assert [port.name for port in made.inputs] == ["x"]
    assert channels in made.outputs[0].shape
    assert made.meta["options"]["constants"] == {"sr": rate}
    assert main(["verify", str(path), program, "--input", data, "--require-float", "--min-sqnr", "30"]) == 0


def test_an_input_that_decides_is_told_how_it_is_stated(tmp_path: Path) -> None:
    (problem,) = check(written(at_rate(), tmp_path), Specialisation(True, {"x": (1, None, None, None)}))
    assert (problem.operator, problem.code) == ("If", "CIM0103")
    assert "--constant" in problem.hint


@pytest.mark.parametrize(
    ("rate", "stated", "said"),
    [((), {"rate": 1.0}, "no such input"), ((), {"sr": 0.5}, "the input is INT64"), ((), {"sr": 1e30}, "INT64"),
     (("N",), {"sr": 16000.0}, "leaves sizes of the input open")],
)  # fmt: skip
def test_what_an_input_cannot_be_is_refused(
    rate: tuple[int | str, ...], stated: dict[str, float], said: str, tmp_path: Path
) -> None:
    (problem,) = check(written(at_rate(rate), tmp_path), Specialisation(constants=stated))
    assert problem.code == "CIM0003"
    assert said in problem.message


def test_an_input_without_numbers_is_refused(tmp_path: Path) -> None:
    proto = model([node("Identity", "x", "y")], {"x": IMAGE, "s": (1,)}, kinds={"s": TensorProto.STRING})
    (problem,) = check(written(proto, tmp_path), Specialisation(constants={"s": 1.0}))
    assert (problem.code, "STRING" in problem.message) == ("CIM0003", True)


@pytest.mark.parametrize("text", ["sr", "=16000", "sr=", "sr=fast", "sr=nan"])
def test_words_that_are_no_constant_are_refused(text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(written(at_rate(), tmp_path)), "--constant", text]) == 2
    assert "is not the name of an input, =, and a number" in capsys.readouterr().err


def test_open_sizes_are_stated_beside_the_constant(tmp_path: Path) -> None:
    stated = Specialisation(shapes={"sr": (1,)}, constants={"sr": 16000.0})
    assert check(written(at_rate(("N",)), tmp_path), stated) == []


def test_text_at_a_stage_takes_no_constant(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["compile", "t.mlir", "--from", "graph", "--constant", "sr=1", "-o", str(tmp_path / "p.asm")]
    assert main(words) != 0
    assert "--constant says how a model is read, and --from reads none" in capsys.readouterr().err
