"""Real 8-bit models: their codes on our targets, against onnxruntime on whole test sets."""

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from models.models import MODELS, Job, Model
from numpy.typing import NDArray

from cimc.driving.arrays import load_arrays

README = Path(__file__).resolve().parents[2] / "README.md"
MARK = "<!-- quantised -->"
TARGETS = ("ideal", "aon-cim", "hermes-64")
CENTRED = ("--offset", "-128")
AD01_IN, AD01_OUT = (0.3910152316093445, 89), (0.36449846625328064, 96)
"""Scale and zero point of the autoencoder's codes."""

FEEDING = {
    "resnet8_cifar10": CENTRED,
    "kws_dscnn": (),
    "vww_mobilenetv1": CENTRED,
    "ad01_autoencoder": ("--offset", str(AD01_IN[0] * AD01_IN[1]), "--scale", str(1 / AD01_IN[0])),
}
"""What makes codes of the raw data."""

INT8 = tuple(
    replace(model, stem=model.stem.replace("_fp32", "_int8_qdq"), feeding=FEEDING[model.stem.removesuffix("_fp32")])
    for model in MODELS
    if model.stem.removesuffix("_fp32") in FEEDING
)


def onnxruntime_codes(job: Job) -> NDArray[np.int64]:
    """Return the model's integers [N, outputs] on onnxruntime with its usual optimisations."""
    import onnxruntime

    session = onnxruntime.InferenceSession(job.file, providers=["CPUExecutionProvider"])
    inputs = {name: np.clip(np.rint(x), -128, 127).astype(np.int8) for name, x in job.inputs().items()}
    return _rows(session.run(None, inputs)[0])


def program_codes(job: Job, *options: str) -> NDArray[np.int64]:
    """Return the same of the compiled program."""
    job.compile(*options)
    job.test("run", job.program, "-o", str(job.folder / "y.npz"))
    with np.load(job.folder / "y.npz") as found:
        return _rows(next(iter(found.values())))


def _rows(array: NDArray[Any]) -> NDArray[np.int64]:
    return array.reshape(len(array), -1).astype(np.int64)


def score(job: Job, codes: NDArray[np.int64]) -> float:
    """Return top-1 accuracy in percent, or the mean squared error of the autoencoder."""
    data = load_arrays(job.data(job.model.test))
    if job.model.metric == "mse":
        real = (codes - AD01_OUT[1]) * AD01_OUT[0]
        return float(np.square(real - data["x"].reshape(len(codes), -1)).mean())
    return float(100.0 * (codes.argmax(axis=1) == data["y"]).mean())


BOUNDS = {"ideal": (0.3, 0.002), "aon-cim": (1.0, 0.02), "hermes-64": (1.0, 0.02)}
"""Points of accuracy, and share of an error, by which a target may differ from onnxruntime."""


@pytest.mark.parametrize("target", [*TARGETS[:2], pytest.param(TARGETS[2], marks=pytest.mark.nightly)])
@pytest.mark.parametrize("model", INT8, ids=lambda model: model.stem)
def test_score(model: Model, target: str, shared_models: Path, tmp_path: Path) -> None:
    job = Job(model, "", target, shared_models, tmp_path)
    wanted, found = score(job, onnxruntime_codes(job)), score(job, program_codes(job))
    points, share = BOUNDS[target]
    assert abs(found - wanted) <= (share * wanted if model.metric == "mse" else points)


@pytest.mark.parametrize(
    "target", ["aon-cim", *(pytest.param(one, marks=pytest.mark.nightly) for one in ("ideal", "hermes-64"))]
)
@pytest.mark.parametrize(
    "model",
    [pytest.param(one, id=one.stem, marks=[pytest.mark.nightly] if one.stem.startswith("vww") else []) for one in INT8],
)
def test_proof(model: Model, target: str, shared_models: Path, tmp_path: Path) -> None:
    job = Job(model, "", target, shared_models, tmp_path)
    job.compile()
    output = job.test("verify", job.file, job.program, "--limit", "2", "--reference-samples", "1")
    assert "ok: every tensor equal" in output


@pytest.mark.nightly
@pytest.mark.parametrize("model", INT8, ids=lambda model: model.stem)
def test_no_layer_alone_differs_from_onnxruntime_by_more_than_one_code(model: Model, shared_models: Path) -> None:
    job = Job(model, "", "ideal", shared_models, shared_models)
    command = [sys.executable, str(README.parent / "samples" / "bench" / "quantised_codes.py"), job.file]
    command += [job.data(model.test), *model.feeding, "--limit", "16"]
    output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    alone = re.findall(r"([\d.]+) % by (\d)", output)
    assert len(alone) >= 10
    assert max(int(most) for _, most in alone) <= 1
    assert np.median([float(share) for share, _ in alone]) < 0.1


def table(shared: Path, folder: Path) -> str:
    """Return the rows of the README: onnxruntime beside every target."""
    heads = ["model", "test samples", "onnxruntime", *(f"`{target}`" for target in TARGETS)]
    rows = [heads, ["---"] * len(heads)]
    for model in INT8:
        jobs = [Job(model, "", target, shared, folder) for target in TARGETS]
        codes = [onnxruntime_codes(jobs[0]), *map(program_codes, jobs)]
        values = [score(jobs[0], one) for one in codes]
        unit, form = (", mean squared error", "{:.3f}") if model.metric == "mse" else ("", "{:.2f} %")
        rows.append([f"{model.stem}{unit}", str(len(codes[0])), *map(form.format, values)])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


@pytest.mark.nightly
def test_table_of_the_readme(shared_models: Path, tmp_path: Path, bless: bool) -> None:
    before, mark, after = README.read_text().partition(f"{MARK}\n\n")
    shown, end, rest = after.partition("\n\n")
    found = table(shared_models, tmp_path)
    if bless:
        README.write_text(f"{before}{mark}{found}{end}{rest}")
    else:
        numbers = [[float(one) for one in re.findall(r"\d+\.\d+", text)] for text in (shown, found)]
        np.testing.assert_allclose(numbers[1], numbers[0], atol=0.5)
