"""Masks over random devices: what the sample reads of a chip is what the chip computes with, and of no other chip."""

import runpy
import sys
from pathlib import Path

import numpy as np
import pytest

import cimc

pytest.importorskip("optax", reason="the extra `train` is not installed")

SAMPLES = Path(__file__).parents[2] / "samples"
DATA = {
    "fashion": np.random.default_rng(1).integers(0, 256, (24, 28, 28, 1)).astype(np.uint8),
    "digits": np.random.default_rng(1).normal(size=(24, 49, 1, 10)).astype(np.float32),
}
"""Samples without sense, by task."""


@pytest.fixture(scope="module")
def sample():
    sys.path.insert(0, str(SAMPLES))
    try:
        return runpy.run_path(str(SAMPLES / "train_masks.py"))
    finally:
        sys.path.remove(str(SAMPLES))


@pytest.fixture(scope="module", params=DATA)
def x(request):
    return DATA[request.param]


@pytest.fixture(scope="module")
def task(sample, x):
    return next(one for one in sample["TASKS"].values() if one.sample == x.shape[1:])


@pytest.fixture(scope="module")
def random(sample, task, x):
    """What the devices of chip 3 conduct."""
    return sample["devices"](task, x, chip(sample, 3))


def chip(sample, seed):
    return cimc.Noise(cimc.load_profile(sample["PROFILE"]), seed, sources=frozenset({"forming"}))


def ran(sample, task, x, weights, noise):
    program = sample["compiled"](task, sample["exported"](task, weights), x)
    return program, cimc.run(program, x, noise=noise)["y"]


def decibels(found, expected):
    """The power of what is expected over that of the difference."""
    return 10 * np.log10(np.square(expected).sum() / np.square(found - expected).sum())


def right(sample, task, weights, x, labels):
    """The share of labels that a network finds."""
    return (np.asarray(sample["logits"](task, weights, x)).argmax(1) == labels).mean()


@pytest.fixture(scope="module")
def half(sample, task, random):
    begin = np.random.default_rng(5)
    scores = {name: begin.random(shape) for name, shape in task.shapes.items()}
    return sample["scaled"](sample["masked"](random, scores))


def test_a_mask_of_all_ones_is_the_random_network(sample, task, x, random):
    scores = {name: np.random.default_rng(5).random(shape) for name, shape in task.shapes.items()}
    ones = sample["scaled"](sample["masked"](random, scores, 1.0))
    (one, first), (other, second) = (
        ran(sample, task, x, weights, chip(sample, 3)) for weights in (sample["scaled"](random), ones)
    )
    assert one == other
    assert np.array_equal(first, second)


def test_the_chip_computes_with_the_devices_that_were_read(sample, task, x, half):
    expected = np.asarray(sample["logits"](task, half, x))
    _, found = ran(sample, task, x, half, chip(sample, 3))
    assert decibels(found, expected) > 20


def test_another_chip_has_other_devices(sample, task, x, half):
    expected = np.asarray(sample["logits"](task, half, x))
    _, found = ran(sample, task, x, half, chip(sample, 4))
    assert decibels(found, expected) < 10


def test_half_of_the_devices_are_kept_and_no_other_is_programmed(sample, task, x, half):
    for name, array in half.items():
        assert np.count_nonzero(array) / array.size == pytest.approx(0.5, abs=0.03), name
    program, _ = ran(sample, task, x, half, None)
    assert all(one.choice("zeros") == "skip" for one in program.instructions if one.name == "program")


def test_scores_that_learn_keep_better_devices(sample, task, x, random):
    """A few samples by heart: what is learnt are masks alone, so all weights that stay are those of the chip."""
    few = np.tile(x[:8], (16, 1, 1, 1))
    labels = np.tile(np.arange(8), 16)
    begin = np.random.default_rng(5)
    scores = {name: begin.random(shape) for name, shape in task.shapes.items()}

    def network(now):
        return sample["scaled"](sample["masked"](random, now))

    found = network(sample["learnt"](task, scores, network, 0.1, 12 * [(few, labels)]))
    before, after = (right(sample, task, weights, few, labels) for weights in (network(scores), found))
    assert after > before + 0.3
    for name, array in found.items():
        stays = np.asarray(array) != 0
        ratios = np.asarray(array)[stays] / np.asarray(random[name])[stays]
        assert ratios.std() < 1e-5 * ratios.mean(), name
