"""Networks of our own that samples train: what they cost beside what AnalogNets say of theirs, and that they fit."""

import runpy
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from cimc.backends.cost.estimate import estimate
from cimc.backends.cost.waterfall import efficiency
from cimc.driving.driver import Request, compile_model
from cimc.driving.summary import summarise
from cimc.targets import load_target

pytest.importorskip("optax", reason="the extra `train` is not installed")

SAMPLES = Path(__file__).parents[2] / "samples"


@pytest.fixture
def sample(monkeypatch):
    """Return what a sample defines, by its name."""
    monkeypatch.syspath_prepend(SAMPLES)
    return lambda name: runpy.run_path(str(SAMPLES / f"{name}.py"))


def test_the_wide_network_of_digits_costs_what_published_ones_do(sample, tmp_path):
    kws, path = sample("train_kws"), tmp_path / "kws.onnx"
    layers = kws["LAYERS"]["wide"]
    path.write_bytes(kws["exported"](layers, kws["beginning"](layers)).SerializeToString())
    data = {"x": np.random.default_rng(0).normal(0, 3, (16, 49, 10, 1)).astype(np.float32)}
    full, short = (tops_per_w(path, data, name) for name in ("aon-cim", "aon-cim-4b"))
    assert 8.58 / 1.5 <= full <= 8.58 * 1.5
    assert short / full == pytest.approx(57.39 / 8.58, rel=0.1)


def test_the_network_of_animals_is_exported_as_it_is_trained_and_fills_half_of_an_array(sample, tmp_path):
    animals, path = sample("train_animals"), tmp_path / "animals.onnx"
    weights = animals["beginning"]()
    path.write_bytes(animals["exported"](weights).SerializeToString())
    images = np.random.default_rng(0).integers(0, 256, (4, 64, 64, 3), np.uint8)
    fed = {"x": (images / 255.0).astype(np.float32)}
    (outputs,) = onnxruntime.InferenceSession(path).run(None, fed)
    np.testing.assert_allclose(outputs, animals["logits"](weights, images), rtol=1e-3, atol=1e-4)
    target = load_target("aon-cim")
    facts = summarise(compile_model(path, Request(target, data=lambda _: fed)), target)
    assert facts["tiles"] == 1
    assert facts["utilisation"] >= 0.5


def tops_per_w(path, data, target):
    program = compile_model(path, Request(load_target(target), data=lambda _: data)).emission.program
    return float(efficiency(estimate(program)).value)
