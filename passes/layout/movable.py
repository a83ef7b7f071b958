"""Operations that work in any axis order: the same operation with its attributes and constants permuted."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from xdsl.ir import Attribute, Operation, SSAValue

from cimc.ir import nn
from cimc.ir.attributes import Ints, int_value, int_values, integer, ints
from cimc.ir.build import again
from cimc.ir.graph import Graph
from cimc.ir.nature import AxisOrder
from cimc.ir.types import WeightRef, shape_of
from cimc.passes.layout.permutation import Order, inverse


def order_of(value: SSAValue) -> Order | None:
    """Return the order of the transpose that computes a value; None where something else does."""
    op = value.owner
    return int_values(op.order) if isinstance(op, nn.TransposeOp) else None


def is_movable(op: nn.Canonical, order: Sequence[int]) -> bool:
    """Say whether `permuted` can make the operation for operands whose old axis a is new axis order[a]."""
    if op.NATURE.order is AxisOrder.LAST_STAYS:
        return order[-1] == len(order) - 1
    same_rank = all(len(shape_of(operand)) == len(order) for operand in op.operands)
    return same_rank and op.NATURE.order in (AxisOrder.ANY, AxisOrder.TURNED)


def permuted(graph: Graph, op: nn.Canonical, order: Sequence[int], operands: Sequence[SSAValue]) -> nn.Computed:
    """Return the operation on `operands`, whose axis order[a] is axis a of op's own operands; its result is alike."""
    shape = [shape_of(op.out)[axis] for axis in inverse(order)]
    changes = TURNS[type(op)](graph, op, order) if op.NATURE.order is AxisOrder.TURNED else {}
    return again(op, operands, shape, **changes)


Changes = dict[str, Attribute | None]


def _turned_constants(graph: Graph, op: nn.AffineOp, order: Sequence[int]) -> Changes:
    return {"scale": _constant(graph, op.scale, order), "bias": _constant(graph, op.bias, order)}


def _turned_axis(graph: Graph, op: nn.ConcatOp | nn.PickOp, order: Sequence[int]) -> Changes:
    return {"axis": integer(order[int_value(op.axis)])}


def _turned_pads(graph: Graph, op: nn.PadOp, order: Sequence[int]) -> Changes:
    return {"before": _per_axis(op.before, order), "after": _per_axis(op.after, order)}


def _turned_slices(graph: Graph, op: nn.SliceOp, order: Sequence[int]) -> Changes:
    return {"begin": _per_axis(op.begin, order), "step": _per_axis(op.step, order)}


TURNS: Mapping[type[Operation], Callable[[Graph, Any, Sequence[int]], Changes]] = {
    nn.AffineOp: _turned_constants,
    nn.ConcatOp: _turned_axis,
    nn.PadOp: _turned_pads,
    nn.PickOp: _turned_axis,
    nn.SliceOp: _turned_slices,
}
"""What changes in an operation of AxisOrder.TURNED."""


def _constant(graph: Graph, ref: WeightRef, order: Sequence[int]) -> WeightRef:
    turned = np.transpose(graph.weights.get(ref), inverse(order))
    return graph.weights.add(ref.key.data, turned)


def _per_axis(values: Ints, order: Sequence[int]) -> Ints:
    old = int_values(values)
    return ints(old[axis] for axis in inverse(order))
