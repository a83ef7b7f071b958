"""The README's table of accuracies is measured, not remembered; --bless writes it anew."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from models.models import MODELS, Job, Model

from cimc.driving.arrays import load_arrays
from cimc.driving.float_model import run_float
from cimc.frontend import load

README = Path(__file__).resolve().parents[2] / "README.md"
MARK = "<!-- accuracy -->"
TARGETS = ("aon-cim", "hermes-64", "ideal", "aon-cim-6b", "aon-cim-4b")
TOLERANCE = 0.51
"""Points, or percent of an error: what another machine may differ by."""


def score(job: Job) -> float:
    job.compile()
    found = json.loads(job.test("eval", job.program, "--metric", job.model.metric, "--json"))
    return float(found[job.model.metric])


def float_score(job: Job) -> float:
    """Return the score of the untouched model on onnxruntime."""
    inputs = job.inputs()
    real = next(iter(run_float(Path(job.file), load(Path(job.file)), inputs).values()))
    if job.model.metric == "mse":
        return float(np.square(real - next(iter(inputs.values()))).mean(axis=1, dtype=np.float64).mean())
    return float((real.argmax(axis=1) == load_arrays(job.data(job.model.test))["y"]).mean())


def shown(model: Model, value: float) -> str:
    return f"{value:.3f}" if model.metric == "mse" else f"{100 * value:.2f} %"


def table(shared: Path, folder: Path) -> str:
    heads = ["model", "test samples", "float", *(f"`{target}`" for target in TARGETS)]
    rows = [heads, ["---"] * len(heads)]
    for model in MODELS:
        jobs = [Job(model, "", target, shared, folder) for target in TARGETS]
        unit = ", mean squared error" if model.metric == "mse" else ""
        count = str(len(load_arrays(jobs[0].data(model.test))["x"]))
        values = [float_score(jobs[0]), *(score(job) for job in jobs)]
        rows.append([f"{model.stem}{unit}", count, *(shown(model, value) for value in values)])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def numbers(text: str) -> list[float]:
    """Return every number with a fraction."""
    return [float(found) for found in re.findall(r"\d+\.\d+", text)]


@pytest.mark.nightly
def test_accuracy_table(shared_models: Path, tmp_path: Path, bless: bool) -> None:
    before, mark, after = README.read_text().partition(f"{MARK}\n\n")
    assert mark
    old = after.partition("\n\n")[0]
    new = table(shared_models, tmp_path)
    if bless:
        README.write_text(before + mark + after.replace(old, new, 1))
    else:
        np.testing.assert_allclose(numbers(old), numbers(new), atol=TOLERANCE)
