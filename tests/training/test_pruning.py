"""Pruning: what goes is what costs least, and what stays makes up for it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from targets.stages import perceptron
from training.networks import facts, samples

from cimc.training.batches import Data
from cimc.training.settings import Settings
from cimc.training.surgeon import Left, cell_costs, group_costs, made_up

jax = pytest.importorskip("jax", reason="the extra `train` is not installed")

from cimc.training import curvature as curves  # noqa: E402
from cimc.training.curvature import curvature  # noqa: E402
from cimc.training.network import Network  # noqa: E402
from cimc.training.pruning import pruned  # noqa: E402


def loss(change: np.ndarray, curve: np.ndarray) -> float:
    return float(change @ curve @ change)


def drawn(seed: int, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return weights, and a curvature that is that of more samples than weights."""
    stream = np.random.default_rng(seed)
    slopes = stream.normal(size=(3 * size, size)) @ stream.normal(size=(size, size))
    return stream.normal(size=size), slopes.T @ slopes


@given(st.integers(0, 10**6), st.integers(2, 6))
def test_the_first_to_go_is_the_one_that_costs_least(seed: int, size: int) -> None:
    weights, curve = drawn(seed, size)
    costs = cell_costs(weights, curve)
    each = [loss(made_up(weights, curve, np.arange(size) != gone) - weights, curve) for gone in range(size)]
    assert costs.argmin() == np.argmin(each)
    assert costs.min() == pytest.approx(min(each), rel=1e-6)


@given(st.integers(0, 10**6), st.integers(2, 6))
def test_costs_are_what_is_lost_and_no_change_of_the_rest_loses_less(seed: int, size: int) -> None:
    weights, curve = drawn(seed, size)
    costs = cell_costs(weights, curve)
    for gone in range(1, size + 1):
        stays = costs > np.sort(costs)[gone - 1]
        left = made_up(weights, curve, stays)
        assert stays.sum() == size - gone
        assert not left[~stays].any()
        lost = loss(left - weights, curve)
        assert costs[~stays].max() * (1.0 - 1e-6) <= lost <= costs[~stays].sum() * (1.0 + 1e-6)
        slope = 2.0 * curve @ (left - weights)
        assert np.abs(slope[stays]).max(initial=0.0) <= 1e-7 * np.abs(curve).max()


@given(st.integers(0, 10**6), st.integers(2, 3))
def test_groups_go_one_after_the_other_each_for_what_it_costs_then(seed: int, count: int) -> None:
    """Two parts, of which each has its own weights in every group."""
    pairs, groups = [drawn(seed + part, 6) for part in (0, 1)], np.arange(6) % count

    def lost(gone: list[int]) -> float:
        stays = ~np.isin(groups, gone)
        return sum(loss(made_up(weights, curve, stays) - weights, curve) for weights, curve in pairs)

    costs = group_costs([Left.of(*pair) for pair in pairs], [groups, groups], count)
    order = list(np.argsort(costs))
    assert np.isinf(costs[order[-1]])
    first = [lost([group]) for group in range(count)]
    assert order[0] == np.argmin(first)
    assert costs[order[0]] == pytest.approx(min(first), rel=1e-6)
    if count > 2:
        second = lost(order[:2]) - lost(order[:1])
        assert costs[order[1]] == pytest.approx(max(second, costs[order[0]]), rel=1e-6)


def test_weights_that_stand_for_each_other_do_not_go_together() -> None:
    """Two inputs that are nearly alike: one of their weights is cheap, and the other then carries both."""
    slopes = np.array([[1.0, 1.0, 0.0], [0.0, 0.01, 0.0], [0.0, 0.0, 0.4]])
    weights, curve = np.array([1.0, 1.0, 1.0]), slopes.T @ slopes
    costs = cell_costs(weights, curve)
    first, second, third = np.argsort(costs)
    assert {first, third} == {0, 1}
    assert second == 2
    left = made_up(weights, curve, np.arange(3) != first)
    np.testing.assert_allclose(left[third], 2.0, rtol=1e-3)


@given(st.integers(0, 10**6))
def test_the_second_to_go_is_the_one_that_costs_least_beside_the_first(seed: int) -> None:
    weights, curve = drawn(seed, 5)
    first, second, *_ = np.argsort(cell_costs(weights, curve))
    both = {
        other: loss(made_up(weights, curve, ~np.isin(np.arange(5), (first, other))) - weights, curve)
        for other in range(5)
        if other != first
    }
    assert both[second] <= min(both.values()) * (1.0 + 1e-9)


@pytest.mark.parametrize("share", [0.9, 0.99])
def test_short_columns_lose_the_share_that_was_asked_for(share: float) -> None:
    network, data = Network(perceptron(3, 5)), samples(60, 3)
    _, masks = pruned(network, facts(perceptron(3, 5), data), Settings(prune=share), Data(data), 5)
    assert sum((~mask).sum() for mask in masks.values()) == int(share * sum(mask.size for mask in masks.values()))


@pytest.mark.parametrize("objective", ["classes", "values"])
def test_what_no_answer_needs_is_pruned_however_large_it_is(objective: str) -> None:
    network = Network(perceptron(12, 4))
    (key,) = [op.weight.key.data for op in network.layers]
    network.weights[key] = np.where(np.arange(12)[:, None] == 3, np.float32(100.0), network.weights[key])
    data = {name: array * (np.arange(12) != 3) for name, array in samples(60, 12).items()}
    settings = Settings(prune=1 / 12, objective=objective)
    left, masks = pruned(network, facts(perceptron(12, 4), data), settings, Data(data), 5)
    assert (masks[key].all(axis=-1) == (np.arange(12) != 3)).all()
    assert not masks[key][3].any()
    np.testing.assert_allclose(left[key], np.where(masks[key], network.weights[key], 0.0), rtol=1e-6)


def test_of_pruned_columns_nothing_is_left() -> None:
    network, data = Network(perceptron(12, 6, 4)), samples(60, 12)
    found = facts(perceptron(12, 6, 4), data)
    _, masks = pruned(network, found, Settings(prune_columns=0.5), Data(data), 5)
    assert sorted(masks) == ["bias", "weight", "weight.1"]
    assert masks["bias"].sum() == 3
    assert (masks["weight"] == masks["bias"]).all()
    assert (masks["weight.1"] == masks["bias"][:, None]).all()


def test_columns_go_that_others_can_stand_in_for() -> None:
    """Of three columns that say the same two go, and what read them reads the third; and one that says little goes."""
    network, data = Network(perceptron(12, 6, 4)), Data(samples(60, 12))
    for key in ("weight", "bias"):
        network.weights[key] = network.weights[key].copy()
        network.weights[key][..., [1, 4]] = np.array([3.0, 5.0]) * network.weights[key][..., [2]]
    left, masks = pruned(network, facts(perceptron(12, 6, 4), data.inputs), Settings(prune_columns=0.5), data, 5)
    factors, rows = np.array([0.0, 3.0, 1.0, 0.0, 5.0, 0.0]), network.weights["weight.1"]
    (stays,) = np.flatnonzero((factors > 0.0) & masks["bias"])
    assert masks["bias"].sum() == 3
    np.testing.assert_allclose(left["weight.1"][stays], factors @ rows / factors[stays], atol=0.02)


def test_what_stays_makes_up_for_what_went() -> None:
    """Inputs stand twice and half of the weights go: the others add up to what pairs of them were."""
    network = Network(perceptron(12, 4))
    (key,) = [op.weight.key.data for op in network.layers]
    data = {name: array[:, np.arange(12) // 2] for name, array in samples(60, 12).items()}
    left, masks = pruned(network, facts(perceptron(12, 4), data), Settings(prune=0.5), Data(data), 5)
    pairs = network.weights[key].reshape(6, 2, 4).sum(axis=1)
    assert masks[key].sum() == 24
    np.testing.assert_allclose(left[key].reshape(6, 2, 4).sum(axis=1), pairs, atol=0.1)


def test_curvature_of_columns_cut_in_blocks_is_that_of_whole_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    network, data = Network(perceptron(12, 4)), Data(samples(60, 12))
    (key,) = [op.weight.key.data for op in network.layers]
    (whole,) = curvature(network, [key], Settings(), data, 5)[key]
    monkeypatch.setattr(curves, "BLOCK", 7)
    first, second = curvature(network, [key], Settings(), data, 5)[key]
    assert whole.shape == (4, 12, 12)
    np.testing.assert_allclose(whole[:, :6, :6], first, rtol=1e-5)
    np.testing.assert_allclose(whole[:, 6:, 6:], second, rtol=1e-5)
