"""Transformers of the sample program, small: every tensor equal on every executor; masks, token ids, sizes."""

import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from frontend.onnx_models import model, node, written
from onnx import TensorProto

from cimc.backends.interpreter import Interpreter
from cimc.backends.machine import ports
from cimc.backends.machine.ports import PortError
from cimc.driving.driver import Compilation, Request, compile_model, graph_intakes
from cimc.driving.float_model import run_float
from cimc.evaluate import Batch, evaluate
from cimc.frontend import load
from cimc.isa.errors import CimcError
from cimc.proof.prover import Prover
from cimc.targets import load_target

SAMPLE = Path(__file__).parents[2] / "samples" / "transformers.py"
SIZES = {
    "bert": "--layers 1 --width 24 --heads 2 --length 10 --vocabulary 60",
    "gpt": "--layers 1 --width 24 --heads 2 --length 8 --vocabulary 50",
    "vit": "--layers 1 --width 24 --heads 2 --side 16 --patch 8 --classes 7",
}


def sample(name: str, folder: Path, sizes: str = "") -> tuple[Path, Batch]:
    """Return a model that the sample program writes, and its inputs."""
    path = folder / f"{name}.onnx"
    command = [sys.executable, SAMPLE, name, path, *(sizes or SIZES[name]).split()]
    subprocess.run(command, check=True)
    return path, {key: array.astype(np.float32) for key, array in np.load(path.with_suffix(".npz")).items()}


def compiled(path: Path, data: Batch) -> Compilation:
    return compile_model(path, Request(load_target("ideal"), data=lambda _: data))


@pytest.mark.parametrize("name", SIZES)
def test_every_tensor_is_equal(name: str, tmp_path: Path) -> None:
    path, data = sample(name, tmp_path)
    compilation = compiled(path, data)
    assert list(Prover(compilation).prove(data, 2))[-1] == len(next(iter(data.values())))
    found, wanted = evaluate(compilation.graph, data), run_float(path, compilation.graph, data)
    for label, exact in wanted.items():
        noise = float(np.square(found[label] - exact).mean() / np.var(exact))
        assert 10.0 * np.log10(1.0 / noise) > 15.0


def test_heads_and_tokens_cost_no_instructions(tmp_path: Path) -> None:
    counts = set()
    for heads, length in ((2, 8), (4, 8), (3, 12)):
        path, data = sample("gpt", tmp_path, f"--layers 1 --width 24 --vocabulary 50 --heads {heads} --length {length}")
        counts.add(len(compiled(path, data).emission.program.instructions))
    assert len(counts) == 1


def masked_scores(folder: Path) -> Path:
    """Softmax of scores x, with -inf where m is 0."""
    nodes = [
        node("Unsqueeze", "m axes", "u"),
        node("Where", "u x never", "s"),
        node("Softmax", "s", "y"),
    ]
    constants = {"axes": np.array([1]), "never": -np.inf}
    return written(model(nodes, {"x": ("N", 3, 4), "m": ("N", 4)}, constants, kinds={"m": TensorProto.BOOL}), folder)


@pytest.mark.parametrize("shown", [4, 2, 0])
def test_hidden_scores_have_no_weight(shown: int, tmp_path: Path) -> None:
    """Whatever the data for calibration showed; where everything is hidden, all have the same weight."""
    rng = np.random.default_rng(3)
    data = {"x": rng.normal(0.0, 5.0, (8, 3, 4)).astype(np.float32), "m": np.ones((8, 4), np.float32)}
    data["m"][:, shown:] = 0.0
    compilation = compiled(masked_scores(tmp_path), data)
    masks = np.tile(np.array([[1, 1, 0, 1], [0, 0, 0, 1], [0, 0, 0, 0], [1, 1, 1, 1]], np.float32), (2, 1))
    fed = {"x": data["x"], "m": masks}
    assert list(Prover(compilation).prove(fed, 1))[-1] == 8
    found = evaluate(compilation.graph, fed)["y"]
    hidden = np.broadcast_to((masks == 0.0)[:, None], found.shape) & (masks.sum(axis=1) > 0)[:, None, None]
    assert not found[hidden].any()
    np.testing.assert_allclose(found[2], 0.25, atol=1e-4)


def embedding(folder: Path) -> Path:
    table = np.arange(24.0).reshape(6, 4)
    nodes = [node("Gather", "w i", "y")]
    return written(model(nodes, {"i": ("N", 3)}, {"w": table}, kinds={"i": TensorProto.INT64}), folder)


@pytest.mark.parametrize("bad", [-1.0, 6.0, 1.5])
def test_a_token_without_a_row_is_refused(bad: float, tmp_path: Path) -> None:
    path, good = embedding(tmp_path), {"i": np.array([[0.0, 5.0, 2.0]], np.float32)}
    program = compiled(path, good).emission.program
    codes = ports.quantise(program.inputs[0], good["i"])
    found = Interpreter(program).run({"i": codes})["y"]
    exact = ports.dequantise(program.outputs[0], found)
    np.testing.assert_allclose(exact, np.arange(24.0).reshape(6, 4)[[[0, 5, 2]]], atol=0.01)
    wrong = {"i": np.array([[0.0, bad, 2.0]], np.float32)}
    with pytest.raises(PortError, match=r"CIM0553.*takes whole numbers from 0 to 5"):
        ports.quantise(program.inputs[0], wrong["i"])
    with pytest.raises(CimcError, match=r"CIM0208.*takes whole numbers from 0 to 5"):
        compiled(path, wrong)


def test_synthetic_data_are_tokens_and_shown(tmp_path: Path) -> None:
    path, data = sample("bert", tmp_path)
    compilation = compile_model(path, Request(load_target("ideal")))
    assert compilation.synthetic and {one.name for one in graph_intakes(load(path))} == data.keys()
    assert list(Prover(compilation).prove(data, 0))[-1] == 4


def test_the_full_shapes_are_the_published_ones() -> None:
    shapes: dict[str, Any] = runpy.run_path(str(SAMPLE))["SHAPES"]
    assert (shapes["gpt"].layers, shapes["gpt"].width, shapes["gpt"].vocabulary) == (12, 768, 50257)
    assert (shapes["bert"].layers, shapes["bert"].width) == (2, 128)


def test_the_trained_sample_loses_less_than_a_point_on_hermes() -> None:
    path, scale = SAMPLE.parent / "digits_transformer.onnx", np.float32(0.0625)
    calib, test = (np.load(SAMPLE.parent / f"digits_{name}.npz") for name in ("calib", "test"))
    request = Request(load_target("hermes-64"), data=lambda _: {"image": calib["x"].astype(np.float32) * scale})
    compilation = compile_model(path, request)
    program, images = compilation.emission.program, {"image": test["x"].astype(np.float32) * scale}
    codes = Interpreter(program).run({"image": ports.quantise(program.inputs[0], images["image"])})
    real = run_float(path, compilation.graph, images)["logits"]
    found, exact = ((scores.argmax(axis=1) == test["y"]).mean() for scores in (codes["logits"], real))
    assert exact >= 0.98 and found > exact - 0.01
