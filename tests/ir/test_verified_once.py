"""The verifier asks an operation again as soon as anything changes that its rules see, and only then."""

import pytest
from xdsl.dialects.builtin import ModuleOp, TensorType, f64

from cimc.ir import build, nn, verify
from cimc.ir.attributes import integer, real
from cimc.ir.graph import Graph
from cimc.ir.location import named
from cimc.ir.types import float_tensor
from cimc.ir.weights import WeightStore


def chain(length: int) -> tuple[Graph, list[nn.Computed]]:
    """Return a sound graph: an input of shape [4], and that many clamps."""
    values: list[nn.Computed] = [build.input_("x", (4,))]
    for number in range(length):
        values.append(build.clamp(values[-1].out, 0.0, 1.0 + number, f"c{number}"))
    end = build.output(values[-1].out, "y")
    for op in (*values, end):
        op.location = named("node")
    return Graph(ModuleOp([*values, end]), WeightStore()), values


CHANGES = {
    "a property": lambda op: op.properties.update(low=integer(0)),
    "a property too many": lambda op: op.properties.update(other=real(0.0)),
    "a property too few": lambda op: op.properties.pop("high"),
    "the type of the result": lambda op: setattr(op.out, "_type", float_tensor((5,))),
    "the type of the operand": lambda op: setattr(op.x, "_type", TensorType(f64, [3])),
}


@pytest.mark.parametrize("change", CHANGES)
def test_what_breaks_a_sound_operation_is_found(change: str) -> None:
    graph, values = chain(2)
    assert verify.verify(graph) == []
    CHANGES[change](values[2])
    assert any("'c1'" in fault for fault in verify.verify(graph))
    assert any("'c1'" in fault for fault in verify.verify(graph)), "a fault stays one"


def test_an_operand_that_is_another_one_is_found() -> None:
    graph, values = chain(2)
    assert verify.verify(graph) == []
    values[2].operands[0] = values[0].out
    assert verify.verify(graph) == []
    values[1].operands[0] = values[2].out
    assert verify.verify(graph) == ["nn.clamp 'c0' (from node): operand 0 is used before it is defined"]


def test_operations_that_nothing_changed_are_not_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    graph, values = chain(8)
    assert verify.verify(graph) == []
    asked = []
    monkeypatch.setattr(nn.ClampOp, "rules", lambda op: asked.append(op.label.data))
    values[3].properties["low"] = real(-1.0)
    assert verify.verify(graph) == [] and asked == ["c2"]
