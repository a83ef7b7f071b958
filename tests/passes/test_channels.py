"""Channels that are always zero leave a network, and what it computes stays."""

import numpy as np
import pytest
from evaluate.graphs import GraphBuilder
from targets.stages import SAME, WINDOW, normal, residual

from cimc.evaluate import evaluate
from cimc.ir import nn
from cimc.ir.graph import Graph
from cimc.ir.types import shape_of
from cimc.ir.verify import require_sound
from cimc.isa.errors import CimcError
from cimc.passes.channels import courses
from cimc.passes.dead_code import DeadCode

RELU = {"clamp": [0.0, nn.UNBOUNDED]}
KEPT = np.array([True, False, True, True, False, True])


def zeroed(*shape: int, seed: int, axis: int = -1) -> np.ndarray:
    """Return weights of six channels of which two are zero."""
    mask = KEPT.reshape(tuple(6 if one == axis % len(shape) else 1 for one in range(len(shape))))
    return np.where(mask, normal(*shape, seed=seed), np.float32(0.0))


def chain(bias: bool = True) -> Graph:
    """Return a stem of six channels, a depthwise layer, a pool, and a dense layer that reads them flattened."""
    b = GraphBuilder()
    own = zeroed(6, seed=1) if bias else normal(6, seed=1)
    stem = b.op(nn.ConvOp, [b.input((6, 6, 3))], (6, 6, 6), label="stem", weight=zeroed(3, 3, 3, 6, seed=2), bias=own,
                group=1, **SAME, **RELU)  # fmt: skip
    depth = b.op(nn.ConvOp, [stem], (6, 6, 6), label="depth", weight=normal(3, 3, 1, 6, seed=3),
                 bias=zeroed(6, seed=4), group=6, **SAME, **RELU)  # fmt: skip
    halves = {"kernel": [2, 2], "stride": [2, 2], "dilation": [1, 1], "pads": [0, 0, 0, 0]}
    pooled = b.op(nn.MaxPoolOp, [depth], (3, 3, 6), label="pooled", **halves)
    flat = b.op(nn.ReshapeOp, [pooled], (54,), label="flat")
    b.output(b.op(nn.DenseOp, [flat], (5,), label="scores", weight=normal(54, 5, seed=5)))
    return b.graph()


def shapes(graph: Graph) -> dict[str, tuple[int, ...]]:
    return {op.label.data: shape_of(op.out) for op in graph.operations if isinstance(op, nn.Computed)}


def dropped(graph: Graph) -> Graph:
    found = DeadCode(channels="drop")(graph.copy())
    require_sound(found, "dead-code")
    return found


def test_zero_channels_leave_with_all_that_carries_and_reads_them() -> None:
    graph, x = chain(), {"x": normal(4, 6, 6, 3, seed=6)}
    found = dropped(graph)
    assert shapes(found) == {"x": (6, 6, 3), "stem": (6, 6, 4), "depth": (6, 6, 4), "pooled": (3, 3, 4), "flat": (36,),
                             "scores": (5,)}  # fmt: skip
    for name, wanted in evaluate(graph, x).items():
        np.testing.assert_allclose(evaluate(found, x)[name], wanted, rtol=1e-5, atol=1e-5)


def test_a_bias_makes_a_channel_more_than_zero() -> None:
    assert shapes(dropped(chain(bias=False))) == shapes(chain())


def test_channels_stay_unless_they_are_to_be_dropped() -> None:
    assert shapes(DeadCode()(chain())) == shapes(chain())
    with pytest.raises(CimcError, match=r"CIM0305.*dead-code\{channels\} is 'all'"):
        DeadCode(channels="all")(chain())


def test_channels_that_are_added_or_joined_are_not_followed() -> None:
    found = {course.layer.label.data for course in courses(residual())}
    assert not found & {"stem", "both", "small"}


def test_what_an_output_shows_stays() -> None:
    b = GraphBuilder()
    b.output(b.op(nn.ConvOp, [b.input((4, 4, 2))], (4, 4, 6), weight=zeroed(1, 1, 2, 6, seed=1), group=1, **WINDOW))
    graph = b.graph()
    assert shapes(dropped(graph)) == shapes(graph)


def neighbours() -> Graph:
    """Return three dense layers, of which the first two have six channels each and two zero ones among them."""
    b = GraphBuilder()
    x = b.input((12,))
    for number, rows in enumerate((12, 6)):
        constants = {"weight": zeroed(rows, 6, seed=number), "bias": zeroed(6, seed=number + 4)}
        x = b.op(nn.DenseOp, [x], (6,), label=f"d{number}", **constants, **RELU)
    b.output(b.op(nn.DenseOp, [x], (5,), label="scores", weight=normal(6, 5, seed=2)))
    return b.graph()


def test_zero_channels_of_neighbouring_layers_all_leave() -> None:
    graph, x = neighbours(), {"x": normal(4, 12, seed=6)}
    found = dropped(graph)
    assert shapes(found) == {"x": (12,), "d0": (4,), "d1": (4,), "scores": (5,)}
    for name, wanted in evaluate(graph, x).items():
        np.testing.assert_allclose(evaluate(found, x)[name], wanted, rtol=1e-5, atol=1e-5)


def sharing(apart: bool, depthwise: bool = False) -> Graph:
    """Return two stems, each read by a dense layer; the readers, or depthwise layers between, share their weights.

    With `apart` the two have stems of their own, else both read the first.
    """
    b = GraphBuilder()
    stems = [
        b.op(nn.ConvOp, [b.input((4, 4, 3), label=f"x{number}")], (4, 4, 6), label=f"stem{number}",
             weight=normal(3, 3, 3, 6, seed=number), group=1, **SAME, **RELU)
        for number in range(2 if apart else 1)
    ]  # fmt: skip
    for number in range(2):
        value = stems[number if apart else 0]
        if depthwise:
            value = b.op(nn.ConvOp, [value], (4, 4, 6), label=f"depth{number}", weight=normal(3, 3, 1, 6, seed=3),
                         group=6, **SAME)  # fmt: skip
        kernel = normal(1, 1, 6, 5, seed=4 + depthwise * number)
        b.output(
            b.op(nn.ConvOp, [value], (4, 4, 5), label=f"y{number}", weight=kernel, group=1, **WINDOW), f"o{number}"
        )
    return b.graph()


@pytest.mark.parametrize(
    ("graph", "wanted"),
    [
        (sharing(apart=True), set()),
        (sharing(apart=False), {"stem0"}),
        (sharing(apart=True, depthwise=True), set()),
        (sharing(apart=False, depthwise=True), set()),
    ],
    ids=["readers", "readers of one", "carriers", "carriers of one"],
)
def test_weights_that_others_have_too_are_not_followed(graph: Graph, wanted: set[str]) -> None:
    """Columns are pruned by the names of weights: what one course loses, all that share them lose."""
    assert {course.layer.label.data for course in courses(graph)} == wanted
