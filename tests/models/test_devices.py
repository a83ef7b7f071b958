"""Real trained models on torch's CPU device: every tensor as the interpreter computes it, with and without noise."""

from pathlib import Path

import numpy as np
import pytest
from models.models import MODELS, Job, Model

from cimc.backends.interpreter import Array, Interpreter
from cimc.backends.machine import ports
from cimc.backends.machine.observer import Writes
from cimc.backends.noise.profiles import load_profile
from cimc.backends.noise.sources import Noise
from cimc.backends.noise.table import NAMES
from cimc.isa.container import load_program

pytest.importorskip("torch", reason="the extra `gpu` is not installed: nothing is computed on a device here")

IMAGES, CHUNK = 9, 4
NOISE = {
    "exact": None,
    "frozen": Noise(load_profile("pcm"), 5, 86400),
    "all": Noise(load_profile("pcm"), 5, 86400, frozenset(NAMES), 100),
}
CASES = [pytest.param(model, "aon-cim", id=model.stem) for model in MODELS]
CASES.append(pytest.param(MODELS[2], "hermes-64", id=f"{MODELS[2].stem}-hermes-64"))


@pytest.mark.parametrize(("model", "target"), CASES)
def test_every_tensor_is_the_same(model: Model, target: str, shared_models: Path, tmp_path: Path) -> None:
    job = Job(model, "", target, shared_models, tmp_path)
    job.compile()
    program = load_program(job.program)
    given = job.inputs()
    codes = {port.name: ports.quantise(port, given[port.name][:IMAGES]) for port in program.inputs}
    for name, noise in NOISE.items():
        fast = Interpreter(program, chunk=CHUNK, noise=noise)
        device = Interpreter(program, chunk=CHUNK, noise=noise, planned=fast._plan, executor="torch:cpu")
        assert device._executor
        assert all(device._executor.forms), name
        wanted, found = (writes(interpreter, codes) for interpreter in (fast, device))
        assert wanted.keys() == found.keys()
        assert [index for index in wanted if not np.array_equal(wanted[index], found[index])] == [], name
        for port, values in fast.run(codes).items():
            assert np.array_equal(device.run(codes)[port], values), name


def writes(interpreter: Interpreter, codes: dict[str, Array]) -> dict[int, Array]:
    """Return what every instruction writes [images, vectors, length], turn after turn of a loop, chunk after chunk."""
    seen: dict[int, list[Array]] = {}
    interpreter.run(codes, Writes(lambda index, values: seen.setdefault(index, []).append(values)))
    return {index: np.concatenate(parts) for index, parts in seen.items()}
