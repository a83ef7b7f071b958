"""Weights with an offset, in slices or averaged: the same layer in real arithmetic, other devices in the arrays."""

from typing import Any

import numpy as np
import pytest
from evaluate.graphs import GraphBuilder
from targets.stages import SAME, chip, emitted, layers, lowered, normal, residual, through

from cimc.backends.interpreter import Interpreter
from cimc.backends.machine import ports
from cimc.backends.noise.profiles import load_profile
from cimc.backends.noise.sources import Noise
from cimc.evaluate import Evaluator
from cimc.ir import nn
from cimc.ir.graph import Graph
from cimc.isa.errors import CimcError
from cimc.passes.weight_mapping import WeightMapping

DATA = {"x": normal(3, 6, 6, 3)}
BIG = chip(array__tiles=60, array__rows=30, array__columns=20)


def convolution() -> Graph:
    b = GraphBuilder()
    x = b.input((6, 6, 3))
    facts: dict[str, Any] = {"weight": normal(3, 3, 3, 4), "bias": normal(4, seed=9), "group": 1, **SAME}
    b.output(b.op(nn.ConvOp, [x], (6, 6, 4), label="y", clamp=[0.0, nn.UNBOUNDED], **facts))
    return b.graph()


def real(graph: Graph) -> Any:
    (end,) = (op for op in graph.operations if isinstance(op, nn.OutputOp))
    label = end.x.owner.label.data  # type: ignore[union-attr]
    return Evaluator(graph, [label]).run(DATA)[label].astype(np.float64)


@pytest.mark.parametrize("made", [convolution, residual])
@pytest.mark.parametrize(("options", "slack"), [
    ({"weights": "offset"}, 1e-5), ({"weights": "sliced"}, 0.02), ({"weights": "sliced", "slices": 7}, 0.02),
    ({"weights": "averaged", "columns": 3}, 1e-5),
])  # fmt: skip
def test_a_mapping_is_the_same_layer(made: Any, options: dict[str, Any], slack: float) -> None:
    want, found = real(made()), real(through(made(), WeightMapping(**options)))
    assert want.shape == found.shape
    assert np.abs(found - want).max() <= slack * np.abs(want).max()


@pytest.mark.parametrize("option", ["offset", "sliced", "sliced slices=3", "averaged"])
def test_the_whole_road_computes_what_the_graph_says(option: str) -> None:
    graph = through(residual(), WeightMapping(weights=option.split()[0], slices=3 if "3" in option else 2))
    graph = lowered(graph, DATA, target=BIG)
    program = emitted(graph, BIG).program
    codes = {port.name: ports.quantise(port, DATA[port.name]) for port in program.inputs}
    (found,) = Interpreter(program).run(codes).values()
    assert np.array_equal(found.astype(np.int64), np.rint(real(graph)).astype(np.int64))


def test_with_an_offset_one_device_holds_a_weight() -> None:
    graph = lowered(through(convolution(), WeightMapping(weights="offset")), DATA)
    (layer,) = layers(graph)
    assert layer.conductance is not None
    levels = graph.weights.get(layer.conductance)
    assert levels.shape == (1, 27, 5) and levels.min() >= 0
    assert np.all(levels[0, :, 4] == levels[0, 0, 4]), "the reference column is one conductance"
    (program,) = (one for one in emitted(graph).program.instructions if one.name == "program")
    assert program.choice("zeros") == "skip"


def test_slices_hold_digits() -> None:
    graph = lowered(through(convolution(), WeightMapping(weights="sliced")), DATA, "column-ranges")
    low, high = layers(graph)
    weight = normal(3, 3, 3, 4).reshape(27, 4).astype(np.float64)
    step = np.abs(weight).max(axis=0) / 127
    codes = np.rint(weight / step)
    parts = [graph.weights.get(op.weight)[0] / step for op in (low, high)]  # type: ignore[arg-type]
    assert np.allclose(parts[0], np.sign(codes) * (np.abs(codes) % 16), atol=1e-4)
    assert np.allclose(parts[1], np.sign(codes) * (np.abs(codes) // 16 * 16), atol=1e-4)


def test_averaged_columns_have_the_same_targets_and_devices_of_their_own() -> None:
    graph = lowered(through(convolution(), WeightMapping(weights="averaged", columns=3)), DATA)
    (layer,) = layers(graph)
    assert layer.conductance is not None
    levels = graph.weights.get(layer.conductance)
    assert levels.shape == (1, 27, 12)
    for number in (1, 2):
        assert np.array_equal(levels[..., :4], levels[..., 4 * number : 4 * number + 4])


def test_errors_of_devices_fall_with_the_columns_that_are_averaged() -> None:
    """By the square root of their number: each of sixteen columns has devices of its own."""

    def error(columns: int) -> float:
        graph = lowered(through(convolution(), WeightMapping(weights="averaged", columns=columns)), DATA, target=BIG)
        program = emitted(graph, BIG).program
        codes = {port.name: ports.quantise(port, DATA[port.name]) for port in program.inputs}
        (exact,) = Interpreter(program).run(codes).values()
        noises = [Noise(load_profile("pcm"), seed=seed, time_s=86400) for seed in range(6)]
        runs = [next(iter(Interpreter(program, noise=noise).run(codes).values())) for noise in noises]
        return float(np.sqrt(np.mean([np.square(run.astype(np.float64) - exact) for run in runs])))

    assert error(16) == pytest.approx(error(1) / 4.0, rel=0.35)


def test_layers_of_more_rows_keep_single_columns() -> None:
    graph = through(convolution(), WeightMapping(weights="averaged", rows=26))
    assert [op.weight.dims[-1] for op in graph.operations if isinstance(op, nn.ConvOp)] == [4]
    graph = through(convolution(), WeightMapping(weights="averaged", rows=27))
    assert [op.weight.dims[-1] for op in graph.operations if isinstance(op, nn.ConvOp)] == [8]


@pytest.mark.parametrize(
    "options", [{"weights": "twice"}, {"weights": "sliced", "slices": 0}, {"slices": 8}, {"columns": 65}, {"rows": -1}]
)
def test_what_cannot_be_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(CimcError, match="CIM0305"):
        WeightMapping(**options)(convolution())
