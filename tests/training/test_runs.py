"""Whole runs on a small perceptron: they learn, they repeat themselves, and they go on where they stopped."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from targets.stages import perceptron
from training.networks import SMALL, facts, request, samples

from cimc.backends.noise.profiles import load_profile
from cimc.backends.noise.sources import Noise
from cimc.evaluate import to_onnx
from cimc.isa.errors import CimcError
from cimc.passes.calibrate import ranges_read
from cimc.training.batches import Data
from cimc.training.judging import Verdict, chosen
from cimc.training.settings import Settings

jax = pytest.importorskip("jax", reason="the extra `train` is not installed")

from cimc.training import checkpoint  # noqa: E402
from cimc.training.chip import DeviceTable  # noqa: E402
from cimc.training.fit import Plan, train  # noqa: E402
from cimc.training.learnt import Learning, real  # noqa: E402
from cimc.training.network import Network  # noqa: E402
from cimc.training.optimise import Run  # noqa: E402
from cimc.training.pruning import pruned  # noqa: E402

SETTINGS = Settings(steps=6, batch=8, rate=0.02, modes="column", measure=2, chips=1, feature=0.5)


def plan(folder: Path, **changes: Any) -> Plan:
    data = samples(60, 12)
    noises = [Noise(load_profile("pcm"), time_s=86400)]
    made = Plan(perceptron(12, 4), request(data, SMALL), Data(data), SETTINGS, noises, 5, 0.5, folder / "kept.npz")
    return replace(made, **changes)


def small_run(settings: Settings, columns: int = 0) -> tuple[Run, Any]:
    """Return a run on chips that lose three tenths and are noisy, and the units of its weights."""
    data, network = samples(60, 12), Network(perceptron(12, 4))
    found = facts(perceptron(12, 4), data, columns=columns)
    targets = np.arange(509, dtype=np.float32)
    table = DeviceTable(0.7 * targets, 5.0 + 0.05 * targets)
    left = pruned(network, found, settings, Data(data), 5)
    learning = Learning(network, settings, left.weights, found, ranges_read(network.graph, SMALL))
    return Run(learning, Data(data), 5, [table], lambda weights, ranges: found, left.kept), learning.units


class Stopped(Exception):
    """The run was interrupted."""


def stop(done: int, loss: float) -> None:
    if done == 5:
        raise Stopped


@pytest.mark.parametrize(("columns", "learn"), [(0, "all"), (2, "all"), (2, "all,ranges"), (0, "ranges")])
def test_a_run_repeats_itself_and_goes_on_where_it_stopped(tmp_path: Path, columns: int, learn: str) -> None:
    run, units = small_run(replace(SETTINGS, learn=learn), columns)
    states = [state for state, _ in run.steps(run.begin(units), units)]
    checkpoint.save(tmp_path / "kept.npz", states[3], "this run")
    restored = checkpoint.restored(tmp_path / "kept.npz", run.begin(units), "this run")
    *_, last = [state for state, _ in run.steps(restored, units)]
    for mine, whole in zip(jax.tree.leaves(last), jax.tree.leaves(states[-1]), strict=True):
        assert np.asarray(mine).tobytes() == np.asarray(whole).tobytes()
    with pytest.raises(CimcError, match="checkpoint of another run"):
        checkpoint.restored(tmp_path / "kept.npz", last, "another run")


def test_a_run_begins_at_the_mean_of_the_start_and_the_runs_before() -> None:
    run, units = small_run(replace(SETTINGS, runs=2, steps=2, average=0.5))
    begun = run.begin(units)
    first, between, third, last = [state for state, _ in run.steps(begun, units)]
    for key, start in begun.learnt.weights.items():
        assert np.array_equal(first.done.weights[key], 0.0 * start)
        average = np.asarray(between.done.weights[key])
        assert not np.array_equal(average, start)
        np.testing.assert_allclose(between.learnt.weights[key], (start + average) / 2.0, rtol=1e-6)
        assert np.array_equal(third.done.weights[key], average)
        assert not np.array_equal(last.done.weights[key], average)


def test_what_is_pruned_stays_zero_and_the_rest_learns() -> None:
    run, units = small_run(replace(SETTINGS, prune=0.5, steps=3))
    *_, last = [state for state, _ in run.steps(run.begin(units), units)]
    zeros = 0
    for op in run.network.layers:
        key = op.weight.key.data
        begun, learnt = np.asarray(run.learning.begun[key]), np.asarray(last.average.weights[key])
        zeros += (begun == 0.0).sum()
        assert ((learnt == 0.0) == (begun == 0.0)).all()
        assert not np.array_equal(learnt, begun / units.weights[key])
    assert zeros == sum(run.network.weights[op.weight.key.data].size for op in run.network.layers) // 2


def test_columns_alone_learn_a_factor_and_a_bias() -> None:
    run, units = small_run(replace(SETTINGS, learn="columns", steps=3))
    *_, last = [state for state, _ in run.steps(run.begin(units), units)]
    weights = real(last.learnt, units).weights
    for op in run.network.layers:
        key = op.weight.key.data
        factors = np.asarray(weights[key]) / run.network.weights[key]
        np.testing.assert_allclose(factors, np.broadcast_to(factors[:1], factors.shape), rtol=1e-5)
        assert (np.abs(factors - 1.0) > 1e-6).all()


@pytest.mark.nightly
def test_a_stopped_run_goes_on_to_the_same_verdicts(tmp_path: Path) -> None:
    whole = train(plan(tmp_path), lambda done, loss: None)
    with pytest.raises(Stopped):
        train(plan(tmp_path), stop)
    assert train(plan(tmp_path, resume=True), lambda done, loss: None).verdicts == whole.verdicts
    assert train(plan(tmp_path, resume=True), stop).verdicts == whole.verdicts, "judged again, not trained again"


@pytest.mark.nightly
def test_a_checkpoint_of_another_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Stopped):
        train(plan(tmp_path), stop)
    with pytest.raises(CimcError, match="checkpoint of another run"):
        train(plan(tmp_path, resume=True, seed=6), stop)


def test_runs_with_other_labels_are_other_runs() -> None:
    x, y = samples(8, 3), np.eye(4, dtype=np.float32)[[0, 1, 2, 3] * 2]
    marks = {checkpoint.identity({}, data.arrays) for data in (Data(x), Data(x, y), Data(x, y[::-1]))}
    assert len(marks) == 3


@pytest.mark.nightly
def test_training_brings_noisy_chips_nearer_to_the_teacher(tmp_path: Path) -> None:
    settings = replace(SETTINGS, steps=120, batch=16, rate=0.01, measure=60, chips=4)
    found = train(plan(tmp_path, settings=settings), lambda done, loss: None)
    start, trained = found.verdicts[:2]
    assert trained.noisy < start.noisy
    assert found.graph is not None
    assert to_onnx(found.graph).graph.output[0].name == "out"


def verdict(name: str, noisy: float, agreement: float) -> Verdict:
    return Verdict(name, 0.0, noisy, agreement, {})


@pytest.mark.parametrize(
    ("verdicts", "expected"),
    [
        ([verdict("start", 1.0, 0.99), verdict("a", 0.5, 0.98), verdict("b", 0.6, 0.99)], "a"),
        ([verdict("start", 1.0, 0.99), verdict("a", 0.5, 0.90), verdict("b", 0.6, 0.99)], "b"),
        ([verdict("start", 1.0, 0.99), verdict("a", 1.5, 0.99)], None),
        ([verdict("start", 1.0, 0.99), verdict("a", 0.5, 0.90)], None),
    ],
)
def test_the_nearest_candidate_wins_unless_it_costs_too_much_without_noise(
    verdicts: list[Verdict], expected: str | None
) -> None:
    found = chosen(verdicts, 0.02, 1000)
    assert (found.name if found else None) == expected


def test_what_is_pruned_may_be_farther_than_the_start() -> None:
    verdicts = [verdict("start", 1.0, 0.99), verdict("pruned", 3.0, 0.98), verdict("trained", 2.0, 0.98)]
    found = chosen(verdicts, 0.02, 1000, must_gain=False)
    assert chosen(verdicts, 0.02, 1000) is None
    assert found is not None
    assert found.name == "trained"


def test_one_sample_may_always_be_lost() -> None:
    found = chosen([verdict("start", 1.0, 1.0), verdict("a", 0.5, 0.9)], 0.02, 10)
    assert found is not None
