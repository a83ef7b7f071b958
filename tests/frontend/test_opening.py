"""One road to files: what a model names is a regular file in its folder; `check` and `verify` see the same."""

import os
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from cimc.diagnostics import DiagnosticError
from cimc.frontend import check, load, model_digest
from cimc.isa.opening import open_regular, set_root

SHAPE = (160, 128)
CONTENT = np.random.default_rng(0).normal(size=SHAPE).astype(np.float32).tobytes()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The model's folder, in a folder with a file that is no business of the model's."""
    (tmp_path / "secret.bin").write_bytes(CONTENT)
    (tmp_path / "in").mkdir()
    return tmp_path / "in"


def model(folder: Path, location: str, **entries: object) -> Path:
    """Write a model whose one weight lies at `location`."""
    weight = TensorProto(name="w", data_type=1, dims=SHAPE, data_location=TensorProto.EXTERNAL)
    for key, value in {"location": location, **entries}.items():
        weight.external_data.add(key=key, value=str(value))
    values = [helper.make_tensor_value_info(name, 1, shape) for name, shape in (("x", [1, 160]), ("y", None))]
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"], "mm")], "g", values[:1], values[1:], [weight]
    )
    path = folder / "model.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


def refusal(path: Path) -> str:
    """Return what `check` says, which `verify` (by the digest) must say too."""
    (problem,) = check(path)
    with pytest.raises(DiagnosticError) as raised:
        model_digest(path)
    assert raised.value.diagnostics == (problem,)
    return f"{problem.code} {problem.message}"


def test_a_file_in_the_folder_is_read(folder: Path) -> None:
    (folder / "sub").mkdir()
    (folder / "sub" / "w.bin").write_bytes(CONTENT)
    assert load(model(folder, "sub/w.bin")).digest == model_digest(model(folder, "sub/w.bin"))


@pytest.mark.parametrize("location", ["../secret.bin", "sub/../../secret.bin", "", ".", "a\\b"])
def test_names_that_leave_the_folder_are_refused(folder: Path, location: str) -> None:
    (folder / "sub").mkdir()
    assert "CIM0102" in refusal(model(folder, location))


def test_absolute_names_are_refused(folder: Path) -> None:
    assert "outside the model's folder" in refusal(model(folder, str(folder.parent / "secret.bin")))
    assert "outside the model's folder" in refusal(model(folder, "/dev/zero"))


def test_links_out_are_refused_and_links_within_are_not(folder: Path) -> None:
    (folder / "soft.bin").symlink_to("../secret.bin")
    assert "outside the model's folder" in refusal(model(folder, "soft.bin"))
    os.link(folder.parent / "secret.bin", folder / "hard.bin")
    assert "hard link" in refusal(model(folder, "hard.bin"))
    (folder / "own.bin").write_bytes(CONTENT)
    (folder / "alias.bin").symlink_to("own.bin")
    assert check(model(folder, "alias.bin")) == []


def test_what_is_no_regular_file_is_refused_at_once(folder: Path) -> None:
    os.mkfifo(folder / "pipe")
    assert "FIFO" in refusal(model(folder, "pipe"))
    (folder / "zero").symlink_to("/dev/zero")
    assert "outside" in refusal(model(folder, "zero"))
    (folder / "dir").mkdir()
    assert "directory" in refusal(model(folder, "dir"))
    for path in (folder / "pipe", folder / "dir", Path("/dev/zero")):
        with pytest.raises(OSError, match=r"a regular file is needed|Is a directory"):
            open_regular(path)
        (problem,) = check(path)
        assert problem.code == "CIM0001"


@pytest.mark.parametrize("entries", [{"offset": -4}, {"offset": 4}, {"length": 4}, {"length": "many"}])
def test_offsets_and_lengths_lie_inside(folder: Path, entries: dict[str, object]) -> None:
    (folder / "w.bin").write_bytes(CONTENT)
    assert "CIM0102" in refusal(model(folder, "w.bin", **entries))


def test_a_root_widens_it_knowingly(folder: Path) -> None:
    os.link(folder.parent / "secret.bin", folder / "hard.bin")
    set_root(str(folder.parent))
    try:
        for location in ("../secret.bin", "hard.bin", str(folder.parent / "secret.bin")):
            assert check(model(folder, location)) == []
        assert "leads out" in refusal(model(folder, "/dev/zero"))
    finally:
        set_root(None)
