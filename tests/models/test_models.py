"""Real trained models through the command line: calibrated on one set, scored on another, proved, every target."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from models.models import MODELS, SHORT, Job, Model

from cimc.driving.arrays import load_arrays
from cimc.driving.float_model import run_float
from cimc.frontend import load

WIDE_TARGETS = ("aon-cim", "ideal", "hermes-64")
NARROW_TARGETS = ("aon-cim-6b", "aon-cim-4b")
QUICK = "kws_dscnn_fp32"
BY_DAY = (QUICK, "mnist_lstm64_fp32")
"""Whose bytes are compared by day."""

Start = Callable[[Model, str, str], Job]


def cases(targets: tuple[str, ...]) -> Iterator[object]:
    """Yield (model, layout, target): by day all models in their first layout on the first target, one on all."""
    for target in targets:
        for model in MODELS:
            if target == "hermes-64" and model.stem not in SHORT:
                continue
            for layout in model.layouts:
                late = layout or (target != targets[0] and model.stem != QUICK)
                marks = [pytest.mark.nightly] if late else []
                yield pytest.param(model, layout, target, id=f"{model.stem}{layout}-{target}", marks=marks)


@pytest.fixture
def start(shared_models: Path, tmp_path: Path) -> Start:
    return lambda model, layout, target: Job(model, layout, target, shared_models, tmp_path)


@pytest.mark.parametrize(("model", "layout", "target"), [*cases(WIDE_TARGETS)])
def test_score(model: Model, layout: str, target: str, start: Start) -> None:
    job = start(model, layout, target)
    job.compile()
    found = json.loads(job.test("eval", job.program, "--metric", model.metric, "--json"))
    assert model.low <= found[model.metric] <= model.high
    assert found["n"] == len(load_arrays(job.data(model.test))["x"])
    if model.agreement:
        assert agreement(job) >= model.agreement


def agreement(job: Job) -> float:
    """Return the share of the test set on which the program and the float model have the same top-1."""
    outputs = job.folder / "y.npz"
    job.test("run", job.program, "-o", str(outputs))
    (name, real), *_ = run_float(Path(job.file), load(Path(job.file)), job.inputs()).items()
    with np.load(outputs) as found:
        return float((found[name].argmax(axis=1) == real.argmax(axis=1)).mean())


@pytest.mark.parametrize(("model", "layout", "target"), [*cases(WIDE_TARGETS + NARROW_TARGETS)])
def test_proof(model: Model, layout: str, target: str, start: Start) -> None:
    job = start(model, layout, target)
    summary = json.loads(job.compile("--json"))
    assert summary["static_instructions"] < 500
    job.test("run", job.program, "-o", str(job.folder / "y.npz"), "--limit", "4")
    output = job.test("verify", job.file, job.program, "--limit", "2", "--reference-samples", "1")
    assert "ok: every tensor equal, 2 samples on integer graph and interpreter, 1 of them on the reference" in output


@pytest.mark.parametrize(
    "model",
    [pytest.param(one, id=one.stem, marks=[] if one.stem in BY_DAY else [pytest.mark.nightly]) for one in MODELS],
)
def test_a_compile_gives_the_same_bytes_on_any_hash_seed_and_thread_count(model: Model, start: Start) -> None:
    job = start(model, "", "aon-cim")
    code = "import sys; from cimc.command_line import main; sys.exit(main())"
    data = ["--calib", job.data(model.calibration), *model.feeding, "--limit", "32"]
    for seed, threads in ((0, 1), (99, 2)):
        command = [sys.executable, "-c", code, "compile", job.file, *data, "-o", f"{seed}.cimb"]
        environment = {**os.environ, "PYTHONHASHSEED": str(seed), "OMP_NUM_THREADS": str(threads)}
        subprocess.run(command, cwd=job.folder, env=environment, check=True, capture_output=True)
    assert len({path.read_bytes() for path in job.folder.glob("*.cimb")}) == 1
