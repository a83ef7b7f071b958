"""A real model on one measured chip: the bits of its noise in every executor, on one tile and on many."""

import json
from pathlib import Path

import numpy as np
import pytest
from models.models import MODELS, Job

from cimc.backends.interpreter import Interpreter, on_processor
from cimc.backends.machine import ports
from cimc.backends.machine.observer import Writes
from cimc.backends.noise.profiles import load_profile
from cimc.backends.noise.sources import Noise
from cimc.backends.noise.table import DEFAULTS
from cimc.backends.reference import instructions as reference
from cimc.backends.silicon.reading_back import read_back
from cimc.driving.arrays import to_npz
from cimc.driving.chip_files import chip_arrays, load_chip
from cimc.driving.feeding import Feeding
from cimc.driving.scoring import program_inputs
from cimc.isa.container import load_program

KWS = next(model for model in MODELS if model.stem == "kws_dscnn_fp32")
DRAWN = Noise(load_profile("pcm"), 7, 86400, frozenset({*DEFAULTS, "cycle", "adc"}))


@pytest.mark.nightly
@pytest.mark.parametrize("target", ["aon-cim", "hermes-64"])
def test_a_chip_of_kws_gives_the_bits_of_its_noise(shared_models: Path, tmp_path: Path, target: str) -> None:
    job = Job(KWS, "", target, shared_models, tmp_path)
    job.compile()
    program, path = load_program(job.program), tmp_path / "chip.npz"
    path.write_bytes(to_npz(chip_arrays(read_back(program, DRAWN))))
    twin = Noise.of_chip(load_chip(str(path), program))
    arrays = {"x": np.load(job.data(KWS.test))["x"][:2]}
    codes = ports.codes_of(program, program_inputs(program, arrays, Feeding(), "x"))
    seen: list[list[tuple[int, list[int]]]] = []
    for noise, executor in ((DRAWN, "numpy"), *((twin, executor) for executor in on_processor())):
        seen.append([])
        keep = Writes(lambda index, values: seen[-1].append((index, values[:1].tolist())))
        Interpreter(program, noise=noise, executor=executor, chunk=1).run({n: a[:1] for n, a in codes.items()}, keep)
    seen.append([])
    reference.run(program, {name: array[0].tolist() for name, array in codes.items()}, keep, twin)
    assert all(one == seen[0] for one in seen)


@pytest.mark.nightly
@pytest.mark.parametrize("stem", ["kws_dscnn_fp32", "resnet8_cifar10_fp32"])
def test_a_twin_of_256_samples_scores_near_its_chip_within_the_bands(
    shared_models: Path, tmp_path: Path, stem: str
) -> None:
    """Within a point of one chip: half of one is within what 500 samples tell (docs/twin.md)."""
    job = Job(next(model for model in MODELS if model.stem == stem), "", "aon-cim", shared_models, tmp_path)
    job.compile()
    chip, few = ("--noise", "pcm", "--seed", "7", "--time", "1d"), ("--limit", "256")
    measured, twin, bands, layers = (str(tmp_path / name) for name in ("m.npz", "twin.npz", "bands.npz", "layers.npz"))
    job.test("run", job.program, *few, *chip, "--layers", "--adc", "-o", measured)
    job.test("twin", job.program, *few, "--measured", measured, "--time", "1d", "-o", twin)
    scores = [json.loads(job.test("eval", job.program, "--json", *one))["accuracy"] for one in (chip, ("--chip", twin))]
    assert abs(scores[0] - scores[1]) <= 0.01
    job.test("bands", job.program, *few, *chip[:2], *chip[4:], "--seeds", "12", "--seed", "100", "-o", bands)
    job.test("run", job.program, *few, "--chip", twin, "--layers", "-o", layers)
    job.ok("check-silicon", bands, layers)
