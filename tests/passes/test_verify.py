"""The verifier finds every fault, names the operation, and says where it comes from."""

from collections.abc import Callable
from pathlib import Path

import pytest
from frontend.onnx_models import model, node, weights, written
from xdsl.dialects.builtin import UnknownLoc
from xdsl.ir import Operation

from cimc.frontend import load
from cimc.ir.attributes import ints, text
from cimc.ir.graph import Graph
from cimc.ir.types import float_tensor
from cimc.ir.verify import BrokenGraph, require_sound, verify


@pytest.fixture
def graph(tmp_path: Path) -> Graph:
    nodes = [node("Flatten", "x", "f"), node("Gemm", "f w", "g"), node("Relu", "g", "y")]
    return load(written(model(nodes, {"x": ("N", 2, 3)}, {"w": weights(6, 4)}), tmp_path))


def at(graph: Graph, name: str) -> Operation:
    return next(op for op in graph.module.ops if op.name == f"nn.{name}")


def _wrong_shape(graph: Graph) -> None:
    op = at(graph, "reshape")
    op.results[0]._type = float_tensor((7,))


def _late(graph: Graph) -> None:
    block, op = graph.module.body.block, at(graph, "reshape")
    op.detach()
    block.insert_op_before(op, at(graph, "output"))


FAULTS: dict[str, tuple[Callable[[Graph], object], str]] = {
    "location": (lambda g: setattr(at(g, "clamp"), "location", UnknownLoc()), "its location is unknown"),
    "label": (lambda g: at(g, "clamp").properties.update(label=text("f")), "another operation has this label"),
    "weight": (lambda g: g.weights.keep(set()), "is not in the weight store"),
    "order": (lambda g: at(g, "input").properties.update(order=ints((1, 0))), "does not take the model's shape"),
    "dominance": (_late, "used before it is defined"),
    "shape": (_wrong_shape, "have different sizes"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_fault_is_found(fault: str, graph: Graph) -> None:
    change, sentence = FAULTS[fault]
    assert verify(graph) == []
    change(graph)
    assert any(sentence in found for found in verify(graph)), verify(graph)


@pytest.mark.parametrize("fault", FAULTS)
def test_contents_show_what_the_verifier_has_to_look_at(fault: str, graph: Graph) -> None:
    before = graph.contents(), graph.weights.names()
    assert (graph.contents(), graph.weights.names()) == before
    FAULTS[fault][0](graph)
    assert (graph.contents(), graph.weights.names()) != before


def test_all_faults_at_once_with_places(graph: Graph) -> None:
    FAULTS["location"][0](graph)
    FAULTS["weight"][0](graph)
    with pytest.raises(BrokenGraph, match="after testing the graph has 2 faults") as caught:
        require_sound(graph, "testing")
    assert "nn.dense 'g' (from the_g): weight" in str(caught.value)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_broken_graph_goes_into_the_report(fault: str, graph: Graph) -> None:
    FAULTS[fault][0](graph)
    with pytest.raises(BrokenGraph) as caught:
        require_sound(graph, "testing")
    assert "g: 4 f32 = nn.dense(f) weight f4[6x4]" in caught.value.__notes__[0]


def test_a_graph_beyond_printing_is_still_called_broken(graph: Graph) -> None:
    at(graph, "clamp").results[0]._type = ints((1,))
    with pytest.raises(BrokenGraph, match="after testing"):
        require_sound(graph, "testing")
