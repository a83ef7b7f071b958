"""--shape: sizes that a file leaves open, from compile to verify; what is said where they are not stated."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from frontend.onnx_models import assert_agrees, model, node, weights, written

from cimc.command_line.main import main
from cimc.frontend import Specialisation, check, load
from cimc.isa.container import load_program

CONSTANTS = {"w": weights(4, 3, 3, 3)}
NODES = [node("Conv", "x w", "c", pads=[1, 1, 1, 1]), node("GlobalAveragePool", "c", "y")]


def image(*shape: int | str | None) -> onnx.ModelProto:
    return model(NODES, {"x": shape}, CONSTANTS)


def compiled(path: Path, *options: str, data: Any) -> int:
    """Compile and verify on seeded data; return the first exit status that is not 0."""
    np.savez(path.parent / "x.npz", **data)
    program, inputs = str(path.parent / "p.cimb"), str(path.parent / "x.npz")
    status = main(["compile", str(path), "--target", "ideal", "--calib", inputs, "-o", program, *options])
    return status or main(["verify", str(path), program, "--input", inputs])


OPEN = {
    "everything": (image("N", 3, "H", "W"), "x=1,3,8,5"),
    "one name for two sizes": (image("?", 3, "?", "?"), "x=1,3,8,5"),
    "without names": (image(None, 3, None, None), "x=?,3,8,5"),
    "batch stays open": (image("N", 3, "H", "W"), "x=?,?,8,5"),
    "no shape at all": (model(NODES, {"x": None}, CONSTANTS), "x=?,3,8,5"),  # type: ignore[dict-item]
    "the width only": (image(1, 3, 8, "W"), "x=1,3,8,5"),
}


@pytest.mark.parametrize("case", OPEN)
def test_stated_sizes_compile_and_verify(case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    proto, stated = OPEN[case]
    data = {"x": weights(5, 3, 8, 5)}
    assert compiled(written(proto, tmp_path), "--shape", stated, data=data) == 0
    noise = capsys.readouterr().out.partition("signal to quantisation noise ")[2]
    assert float(noise.split()[0]) > 30.0
    shapes = load_program(str(tmp_path / "p.cimb")).meta["options"]["shapes"]
    assert json.dumps(shapes) == json.dumps(
        {"x": [None if size == "?" else int(size) for size in stated[2:].split(",")]}
    )


def test_two_inputs(tmp_path: Path) -> None:
    proto = model([node("Add", "a b", "y")], {"a": ("N", "T", 4), "b": ("N", "T", 4)})
    shapes = {"a": (None, 6, 4), "b": (None, 6, 4)}
    path = written(proto, tmp_path)
    graph = load(path, Specialisation(shapes=shapes))
    assert [op.out.type.get_shape() for op in graph.module.ops if op.name == "nn.input"] == [(6, 4), (6, 4)]
    data = {"a": weights(3, 6, 4), "b": weights(3, 6, 4, seed=1)}
    assert compiled(path, "--shape", "a=?,6,4", "--shape", "b=?,6,4", data=data) == 0


def test_a_program_without_stated_shapes_does_not_tell_of_them(tmp_path: Path) -> None:
    assert compiled(written(image("N", 3, 8, 5), tmp_path), data={"x": weights(5, 3, 8, 5)}) == 0
    assert "shapes" not in load_program(str(tmp_path / "p.cimb")).meta["options"]


def test_an_open_size_taken_as_the_batch_is_told_once(tmp_path: Path) -> None:
    (problem,) = check(written(image(1, 3, 8, "W"), tmp_path))
    assert problem.code == "CIM0105" and "axis 3 of input 'x' is open" in problem.message
    assert "--shape x=1,3,8,SIZE" in problem.hint


def test_an_open_length_is_told_once(tmp_path: Path) -> None:
    """Frames of one recording: a convolution along them."""
    proto = model([node("Conv", "x w", "y")], {"x": (1, 4, "T")}, {"w": weights(3, 4, 3)})
    (problem,) = check(written(proto, tmp_path))
    assert problem.code == "CIM0105" and "--shape x=1,4,SIZE" in problem.hint


def test_several_open_sizes_are_told_with_the_option(tmp_path: Path) -> None:
    (problem,) = check(written(image("N", 3, "H", "W"), tmp_path))
    assert problem.code == "CIM0105" and "--shape x=?,3,H,W" in problem.hint


def test_a_batch_along_a_later_axis_needs_no_option(tmp_path: Path) -> None:
    assert_agrees(written(model([node("Relu", "x", "y")], {"x": (1, 3, "N")}), tmp_path))


@pytest.mark.parametrize(
    ("stated", "said"),
    [
        ({"z": (1, 3)}, "no such input"),
        ({"x": (1, 3, 8)}, "states 3 axes, the input has 4"),
        ({"x": (1, 5, 8, 5)}, "states 5 for axis 1, the file fixes it to 3"),
    ],
)
def test_what_the_file_contradicts(stated: Any, said: str, tmp_path: Path) -> None:
    (problem,) = check(written(image("N", 3, "H", "W"), tmp_path), Specialisation(shapes=stated))
    assert problem.code == "CIM0003" and said in problem.message and problem.hint


@pytest.mark.parametrize("text", ["x", "x=", "=1,2", "x=1,-2", "x=1;2", "x=1,0", "x=1,²"])
def test_what_is_no_shape(text: str, tmp_path: Path) -> None:
    path = written(image("N", 3, "H", "W"), tmp_path)
    assert main(["check", str(path), "--shape", text]) == 2
