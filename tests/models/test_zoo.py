"""Networks at full size: compiled for as many tiles as they need, run, and verified."""

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from time import process_time
from types import ModuleType

import numpy as np
import onnx
import pytest
from command_line.test_cases import run

from cimc.backends.cost.estimate import estimate
from cimc.backends.cost.facts import facts
from cimc.isa.container import load_program
from cimc.isa.program import Program

SAMPLES = Path(__file__).resolve().parents[2] / "samples" / "bench"
MOST_INSTRUCTIONS = 5000
MOST_SECONDS_OF_COST = 2


@pytest.fixture(scope="module")
def zoo() -> Iterator[ModuleType]:
    spec = importlib.util.spec_from_file_location("zoo_models", SAMPLES / "zoo_models.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


def ok(command: str, *arguments: str) -> str:
    status, output = run([command, *arguments])
    assert status == 0, output
    return output


def require_cost_at_once(program: Program) -> None:
    """Fail where what a program costs takes long to find, in the processor's own time."""
    start = process_time()
    found = facts(estimate(program), program, "layer")
    assert process_time() - start < MOST_SECONDS_OF_COST
    assert len(found["rows"]) > 10


@pytest.mark.nightly
@pytest.mark.parametrize("target", ["hermes-64", "ideal"])
@pytest.mark.parametrize("name", ["shufflenet", "squeezenet", "inception_v2", "resnet50"])
def test_a_network_of_the_zoo(name: str, target: str, zoo: ModuleType, tmp_path: Path) -> None:
    model, data, program = (str(tmp_path / file) for file in ("m.onnx", "x.npz", "p.cimb"))
    made = zoo.seeded_model(name)
    onnx.save(made, model)
    np.savez(data, **{made.graph.input[0].name: zoo.images(2, seed=7)})
    ok("compile", model, "--calib", data, "--target", target, "--tiles", "auto", "-o", program)
    loaded = load_program(program)
    assert len(loaded.instructions) < MOST_INSTRUCTIONS
    require_cost_at_once(loaded)
    ok("run", program, "--input", data, "-o", str(tmp_path / "y.npz"))
    output = ok("verify", model, program, "--input", data, "--limit", "1")
    assert "ok: every tensor equal, 1 samples on integer graph and interpreter, 1 on the reference in part" in output


def test_the_weights_are_seeded(zoo: ModuleType) -> None:
    first, second = (zoo.seeded_model("squeezenet") for _ in range(2))
    assert first.SerializeToString() == second.SerializeToString()
    assert np.array_equal(zoo.images(2, seed=3), zoo.images(2, seed=3))
