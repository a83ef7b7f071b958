"""An operation that nobody knew before goes the whole road by what it says and by one row in each of four tables."""

from typing import ClassVar

import numpy as np
import pytest
from evaluate.graphs import GraphBuilder
from targets.stages import emitted, lowered, normal, through
from xdsl.dialects.builtin import TensorType
from xdsl.irdl import Operand, irdl_op_definition, operand_def

from cimc.backends.emission import emit
from cimc.backends.emission.builder import IN, OUT, Builder
from cimc.backends.interpreter import Interpreter
from cimc.backends.machine import ports
from cimc.evaluate import evaluate, lower
from cimc.ir import nn
from cimc.ir.nature import AxisOrder, Nature, Passes, Reads
from cimc.ir.nn import Canonical, Computed
from cimc.isa.streams import dense
from cimc.passes.digital import digital
from cimc.passes.layout.layout import Layout


@irdl_op_definition
class EchoOp(Canonical):
    """x, computed anew."""

    name = "nn.echo"
    NATURE: ClassVar[Nature] = Nature(
        reads=Reads.PASSED, writes_any_codes=False, passes=Passes.CODES_AND_FIXED, order=AxisOrder.ANY, tied=False
    )
    x: Operand = operand_def(TensorType)


@irdl_op_definition
class TileEchoOp(Computed):
    """x, copied."""

    name = "xbar.echo"
    x: Operand = operand_def(TensorType)


def emit_echo(builder: Builder, op: TileEchoOp) -> None:
    shape = op.out.type.get_shape()  # type: ignore[attr-defined]
    builder.stream(IN, op.x, shape, dense(shape), 0)
    builder.result(op, shape, dense(shape))
    builder.put("move", in_=IN, out=OUT)


def test_a_new_operation_needs_its_classes_and_four_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(lower.STORED, EchoOp, lambda b, op: b.node("Identity", b.names[op.x]))
    monkeypatch.setitem(lower.STORED, TileEchoOp, lambda b, op: b.node("Identity", b.names[op.x]))
    monkeypatch.setitem(digital.LOWERINGS, EchoOp, lambda graph, op: digital._made(TileEchoOp, op))
    monkeypatch.setitem(emit.EMITTERS, TileEchoOp, emit_echo)
    b = GraphBuilder()
    turned = b.op(nn.TransposeOp, [b.input((3, 4))], (4, 3), label="turned", order=[1, 0])
    echo = b.op(EchoOp, [turned], (4, 3), label="echo")
    back = b.op(nn.TransposeOp, [echo], (3, 4), label="back", order=[1, 0])
    b.output(b.op(nn.DenseOp, [back], (3, 5), label="scores", weight=normal(4, 5)))
    graph, data = through(b.graph(), Layout()), {"x": normal(6, 3, 4)}
    assert [op.name for op in graph.operations] == ["nn.input", "nn.echo", "nn.dense", "nn.output"]
    graph = lowered(graph, data)
    program = emitted(graph).program
    found = Interpreter(program).run({"x": ports.quantise(program.inputs[0], data["x"])})["out"]
    np.testing.assert_array_equal(found, evaluate(graph, data, ["scores"])["scores"])
