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
