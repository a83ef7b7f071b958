"""Merge reshapes of reshapes; drop movements that move nothing."""

from dataclasses import dataclass
from typing import ClassVar

from xdsl.ir import Operation

from cimc.ir import build, nn
from cimc.ir.attributes import int_values
from cimc.ir.dead_code import drop_unused
from cimc.ir.graph import Graph
from cimc.ir.location import replace
from cimc.ir.types import shape_of
from cimc.passes.layout.permutation import keeps_elements


@dataclass(frozen=True)
class FoldReshapes:
    """Transposes that only move axes of length one become reshapes, which cost nothing."""

    name: ClassVar[str] = "fold-reshapes"

    def __call__(self, graph: Graph) -> Graph:
        for op in graph.operations:
            if isinstance(op, nn.TransposeOp) and keeps_elements(int_values(op.order), shape_of(op.x)):
                view = build.reshape(op.x, shape_of(op.out), op.label.data)
                replace(op, [view])
                _fold(view)
            else:
                _fold(op)
        drop_unused(graph)
        return graph


def _fold(op: Operation) -> None:
    if isinstance(op, nn.ReshapeOp) and isinstance(op.x.owner, nn.ReshapeOp):
        inner = op.x.owner
        merged = build.reshape(inner.x, shape_of(op.out), op.label.data)
        replace(op, [merged], also=[inner])
        op = merged
    if _moves_nothing(op):
        replace(op, [], [op.operands[0]])


def _moves_nothing(op: Operation) -> bool:
    """Say whether the result is the first operand: same shape, and elements where they were."""
    if isinstance(op, nn.TransposeOp):
        return keeps_elements(int_values(op.order), shape_of(op.x)) and shape_of(op.x) == shape_of(op.out)
    if isinstance(op, nn.SliceOp):
        return shape_of(op.x) == shape_of(op.out) and set(int_values(op.step)) <= {1}
    if isinstance(op, nn.ConcatOp):
        return len(op.operands) == 1
    return isinstance(op, nn.ReshapeOp | nn.PadOp) and shape_of(op.x) == shape_of(op.out)
