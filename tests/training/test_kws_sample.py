"""The wide network of spoken digits beside what AnalogNets say of theirs: costs are of shapes alone."""

import runpy
from pathlib import Path

import numpy as np
import pytest

from cimc.backends.cost.estimate import estimate
from cimc.backends.cost.waterfall import efficiency
from cimc.driving.driver import Request, compile_model
from cimc.targets import load_target

pytest.importorskip("optax", reason="the extra `train` is not installed")

SAMPLE = Path(__file__).parents[2] / "samples" / "train_kws.py"


def test_the_wide_network_costs_what_published_ones_do(tmp_path):
    sample, path = runpy.run_path(str(SAMPLE)), tmp_path / "kws.onnx"
    layers = sample["LAYERS"]["wide"]
    path.write_bytes(sample["exported"](layers, sample["beginning"](layers)).SerializeToString())
    data = {"x": np.random.default_rng(0).normal(0, 3, (16, 49, 10, 1)).astype(np.float32)}
    full, short = (tops_per_w(path, data, name) for name in ("aon-cim", "aon-cim-4b"))
    assert 8.58 / 1.5 <= full <= 8.58 * 1.5
    assert short / full == pytest.approx(57.39 / 8.58, rel=0.1)


def tops_per_w(path, data, target):
    program = compile_model(path, Request(load_target(target), data=lambda _: data)).emission.program
    return float(efficiency(estimate(program)).value)
