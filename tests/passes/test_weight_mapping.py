"""Weights with an offset or in slices: the same layer in real arithmetic, other devices in the arrays."""

from typing import Any

import numpy as np
import pytest
from evaluate.graphs import GraphBuilder
from targets.stages import SAME, chip, emitted, layers, lowered, normal, residual, through

from cimc.backends.interpreter import Interpreter
from cimc.backends.machine import ports
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
    ({"weights": "offset"}, 1e-5), ({"weights": "sliced"}, 0.02), ({"weights": "sliced", "slices": 7}, 0.02)
])  # fmt: skip
def test_a_mapping_is_the_same_layer(made: Any, options: dict[str, Any], slack: float) -> None:
    want, found = real(made()), real(through(made(), WeightMapping(**options)))
    assert want.shape == found.shape
    assert np.abs(found - want).max() <= slack * np.abs(want).max()


@pytest.mark.parametrize("option", ["offset", "sliced", "sliced slices=3"])
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


@pytest.mark.parametrize("options", [{"weights": "twice"}, {"weights": "sliced", "slices": 0}, {"slices": 8}])
def test_what_cannot_be_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(CimcError, match="CIM0305"):
        WeightMapping(**options)(convolution())
