"""One name for one layer: compile, report, run --layers, bands and verify call it as the program does."""

import json
from pathlib import Path

import numpy as np
import pytest
from command_line.files import SAMPLES
from command_line.test_cases import run

from cimc.backends.silicon.bands import ORIGIN
from cimc.driving.provenance import RUN
from cimc.driving.summary import SHOWN_LAYERS
from cimc.isa.container import load_program

UNIT = ("--scale", "0.00392156862745098")
REAL = {
    "kws_dscnn_fp32": ("kws01_test500", ("--offset", "-83", "--scale", "0.5847029")),
    "resnet8_cifar10_fp32": ("cifar10_test1000", ()),
    "mnist_lstm64_fp32": ("mnist_test10k", UNIT),
}


def ok(*arguments: str) -> str:
    status, output = run([*arguments])
    assert status == 0, output
    return output


def table(output: str) -> list[list[str]]:
    """Return the cells of the table whose first head is `layer`."""
    lines = output.splitlines()
    start = next(n for n, line in enumerate(lines) if line.split()[:1] == ["layer"])
    return [line.split() for line in lines[start + 1 :] if line.startswith("  ") and "more" not in line.split()]


def require_one_name(model: str, data: str, feeding: tuple[str, ...]) -> None:
    given = (data, *feeding, "--limit", "2")
    shown = table(ok("compile", model, "--calib", *given, "-o", "p.asm"))
    program = load_program("p.asm")
    products = [program.layer_name(i) for i, one in enumerate(program.instructions) if one.name == "mvm"]
    assert [cells[0] for cells in shown][:SHOWN_LAYERS] == products[:SHOWN_LAYERS]
    assert [cells[0] for cells in table(ok("report", "p.asm", "--input", *given, "-o", "r.json"))] == products
    assert [layer["layer"] for layer in json.loads(Path("r.json").read_text())["layers"]] == products
    ok("run", "p.asm", "--input", *given, "--layers", "-o", "y.npz")
    outputs = {port.name for port in program.outputs}
    with np.load("y.npz") as arrays:
        assert set(arrays) - outputs - {ORIGIN, RUN} == set(products)
    proved = table(ok("verify", model, "p.asm", "--input", *given, "--reference-samples", "0"))
    tensors = {layer.tensor: layer.name for layer in program.layers if layer.tensor}
    assert {cells[1]: cells[0] for cells in proved if cells[0] != "-" and cells[1] in tensors} == tensors


@pytest.mark.parametrize("name", ["digits", "digits_transformer"])
def test_samples(name: str, folder: Path) -> None:
    require_one_name(str(SAMPLES / f"{name}.onnx"), str(SAMPLES / "digits_test.npz"), ("--scale", "0.0625"))


@pytest.mark.parametrize("name", REAL)
def test_trained_networks(name: str, shared_models: Path, folder: Path) -> None:
    data, feeding = REAL[name]
    require_one_name(str(shared_models / f"{name}.onnx"), str(shared_models / "data" / f"{data}.npz"), feeding)
