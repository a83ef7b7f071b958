"""Inputs in shells: the function stays, and converters of few bits tell more of it apart."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from evaluate.graphs import GraphBuilder
from targets.stages import chip, lowered, perceptron, residual
from training.networks import request, samples

from cimc.driving.driver import compile_to_stage
from cimc.evaluate import Evaluator, to_onnx
from cimc.ir import nn
from cimc.ir.graph import Graph
from cimc.ir.verify import require_sound
from cimc.isa.errors import CimcError

pytest.importorskip("jax", reason="the extra `train` is not installed")

from cimc.training.shells import in_shells

CASES = pytest.mark.parametrize(
    ("graph", "shape"), [(perceptron(12, 6, 4), (12,)), (residual(), (6, 6, 3))], ids=["perceptron", "residual"]
)


def outputs(graph: Graph, data: dict[str, Any]) -> Any:
    (found,) = Evaluator(graph).run(data).values()
    return found


@CASES
@pytest.mark.parametrize("count", [2, 5])
def test_shells_add_up_to_what_they_are_of(graph: Graph, shape: tuple[int, ...], count: int) -> None:
    data = samples(20, *shape)
    shelled = in_shells(graph, count, data)
    require_sound(shelled, "in_shells")
    first = next(op for op in shelled.operations if isinstance(op, nn.Layer))
    before = next(op for op in graph.operations if isinstance(op, nn.Layer))
    assert first.weight.dims[-2] == count * before.weight.dims[-2]
    np.testing.assert_allclose(outputs(shelled, data), outputs(graph, data), rtol=1e-4, atol=1e-4)


def test_four_bits_lose_less_of_an_input_in_shells() -> None:
    """Steps are a quarter, so their noise is a sixteenth, and a value is rounded in one of its shells."""
    graph, data, four = perceptron(12, 4), samples(60, 12), chip(dac__bits=4)
    wanted = outputs(graph, data)

    def noise(of: Graph) -> float:
        return float(np.square(outputs(lowered(of, data, "quantise", four), data) - wanted).mean())

    assert noise(in_shells(graph, 4, data)) < 0.15 * noise(graph.copy())


@CASES
def test_what_is_written_has_the_same_layers(graph: Graph, shape: tuple[int, ...], tmp_path: Path) -> None:
    data, path = samples(20, *shape), tmp_path / "shells.onnx"
    shelled = in_shells(graph, 3, data)
    path.write_bytes(to_onnx(shelled).SerializeToString())
    back = compile_to_stage(path, request(data), "graph")
    shapes = [[op.weight.dims for op in one.operations if isinstance(op, nn.Layer)] for one in (shelled, back)]
    assert shapes[0] == shapes[1]


def test_a_model_whose_inputs_no_layer_reads_is_refused() -> None:
    b = GraphBuilder()
    b.output(b.op(nn.ClampOp, [b.input((4,))], (4,), label="y", low=0.0, high=1.0))
    with pytest.raises(CimcError, match="can be read in shells"):
        in_shells(b.graph(), 4, samples(5, 4))
