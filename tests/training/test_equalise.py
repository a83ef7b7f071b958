"""Scales moved between layers: the function stays, noise falls, and where scales do not pass they stay one."""

import numpy as np
import pytest
from evaluate.graphs import GraphBuilder
from targets.stages import SAME, WINDOW, chip, normal, residual
from training.networks import SMALL, facts, samples

from cimc.ir import nn
from cimc.ir.graph import Graph
from cimc.targets import Target

jax = pytest.importorskip("jax", reason="the extra `train` is not installed")

from cimc.training.chip import DeviceTable  # noqa: E402
from cimc.training.equalise import Equaliser, equalised, groups_of  # noqa: E402
from cimc.training.network import Network  # noqa: E402

TABLE = DeviceTable(np.arange(509, dtype=np.float32), 5.0 + 0.05 * np.arange(509, dtype=np.float32))


def separable() -> Graph:
    """Return a stem, a depthwise and a pointwise layer beside a shortcut, their sum, a pool and a dense layer."""
    b, relu, image = GraphBuilder(), {"clamp": [0.0, nn.UNBOUNDED]}, (6, 6, 4)
    pointwise = {**WINDOW, "group": 1}
    uneven = normal(3, 3, 3, 4) * np.array([0.1, 1.0, 5.0, 1.0], np.float32)
    stem = b.op(nn.ConvOp, [b.input((6, 6, 3))], image, label="stem", weight=uneven, bias=normal(4), group=1, **SAME,
                **relu)  # fmt: skip
    depth = b.op(nn.ConvOp, [stem], image, label="depth", weight=normal(3, 3, 1, 4, seed=1), group=4, **SAME, **relu)
    point = b.op(nn.ConvOp, [depth], image, label="point", weight=normal(1, 1, 4, 4, seed=2), **pointwise)
    short = b.op(nn.ConvOp, [stem], image, label="short", weight=normal(1, 1, 4, 4, seed=4), **pointwise)
    added = b.op(nn.AddOp, [point, short], image, label="added", **relu)
    kernel = {"kernel": [6, 6], "counted": [0, 0, 0, 0]}
    pooled = b.op(nn.AvgPoolOp, [added], (1, 1, 4), label="pooled", **WINDOW | kernel)
    flat = b.op(nn.ReshapeOp, [pooled], (4,), label="flat")
    b.output(b.op(nn.DenseOp, [flat], (5,), label="scores", weight=normal(4, 5, seed=3)))
    return b.graph()


def equaliser(graph: Graph, target: Target = SMALL, columns: int = 0) -> tuple[Equaliser, dict[str, np.ndarray]]:
    data, network = samples(32, 6, 6, 3), Network(graph)
    return Equaliser(network, facts(graph, data, target, columns), TABLE), data


def outputs(network: Network, weights: dict[str, np.ndarray], data: dict[str, np.ndarray]) -> np.ndarray:
    return np.asarray(network.values(weights, data)[network.output.x])


def test_the_function_stays_and_noise_falls() -> None:
    made, data = equaliser(separable())
    weights = equalised(made, data, 60)
    network = made.network
    np.testing.assert_allclose(
        outputs(network, weights, data), outputs(network, network.weights, data), rtol=1e-4, atol=1e-4
    )
    keys = {op.label.data: op.weight.key.data for op in network.layers}
    assert all(not np.array_equal(weights[key], network.weights[key]) for key in keys.values())
    moved = Network(network.with_weights(weights))
    before, after = (float(one.noise(one.flows(data), {})) for one in (made, Equaliser(moved, made.facts, TABLE)))
    assert after < 0.95 * before


def test_what_dacs_round_away_follows_from_their_bits() -> None:
    fine, coarse = (equaliser(separable(), chip(array__tiles=30, dac__bits=bits)) for bits in (8, 4))
    before, after = (float(made.noise(made.flows(data), {})) for made, data in (fine, coarse))
    assert after > 1.2 * before


def test_devices_add_a_share_for_each_of_several_columns() -> None:
    """What DACs round is the same in all of them, what devices are off by is not."""
    single, double, fourfold = (
        float(made.noise(made.flows(data), {})) for made, data in (equaliser(residual(), columns=n) for n in (1, 2, 4))
    )
    assert single - double == pytest.approx(2.0 * (double - fourfold), rel=1e-4)
    assert double > fourfold


def test_layers_that_take_no_scales_stay_as_they_are() -> None:
    made, data = equaliser(residual())
    found = equalised(made, data, 3)
    assert all(np.array_equal(found[key], weight) for key, weight in made.network.weights.items())


def test_values_that_are_added_share_their_scales() -> None:
    network = Network(separable())
    groups = groups_of(network)
    made = {op.label.data: op.out for op in network.graph.operations if hasattr(op, "out")}
    assert len({groups.leader(made[name]) for name in ("point", "short", "added", "pooled", "flat")}) == 1
    assert len(groups.free([made[name] for name in ("stem", "depth", "added")])) == 3
    assert not groups.free([made["scores"], network.layers[0].x])


def test_groups_and_joined_channels_keep_their_scales() -> None:
    network = Network(residual())
    groups = groups_of(network)
    made = {op.label.data: op.out for op in network.graph.operations if hasattr(op, "out")}
    assert not groups.free([made[name] for name in ("stem", "both", "depth", "joined", "small", "padded")])
