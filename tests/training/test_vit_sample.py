"""The vision transformer of samples/: what is trained is what is exported, and no image is in two parts."""

import runpy
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest

pytest.importorskip("optax", reason="the extra `train` is not installed")

SAMPLES = Path(__file__).parents[2] / "samples"
RANDOM = np.random.default_rng(1)
IMAGES, LABELS = RANDOM.integers(0, 256, (256, 1, 28, 28), np.uint8), RANDOM.integers(0, 10, 256)


@pytest.fixture
def sample(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.syspath_prepend(str(SAMPLES))
    return runpy.run_path(str(SAMPLES / "train_vit.py"))


def test_the_exported_network_computes_what_the_trained_one_does(sample: dict[str, Any]) -> None:
    model, names, begun = sample["beginning"]()
    weights = [weight + 0.05 * RANDOM.standard_normal(weight.shape, np.float32) for weight in begun]
    session = onnxruntime.InferenceSession(sample["stored"](model, names, weights).SerializeToString())
    (given,) = session.run(None, {"image": IMAGES[:4].astype(np.float32) / 255})
    np.testing.assert_allclose(given, sample["logits"](weights, IMAGES[:4]), atol=1e-3)
    assert sum(weight.size for weight in weights) == pytest.approx(0.34e6, rel=0.02)


@pytest.mark.nightly
def test_training_gives_the_same_weights_again(sample: dict[str, Any]) -> None:
    _, _, begun = sample["beginning"]()
    first, second = (sample["trained"](begun, IMAGES, LABELS, 1) for _ in range(2))
    for start, one, other in zip(begun, first, second, strict=True):
        np.testing.assert_array_equal(one, other)
        assert np.abs(one - start).max() > 0.0


def test_no_image_is_kept_back_and_learnt_from(sample: dict[str, Any]) -> None:
    rows = sample["split"](60000)
    for one, other in combinations(("kept", "calib", "train"), 2):
        assert not set(rows[one]) & set(rows[other])
    assert set(rows["kept"]) | set(rows["rest"]) == set(range(60000))
    assert not set(rows["kept"]) & set(rows["rest"])
