"""Operations that work in any axis order: the same operation with its attributes and constants permuted."""

from collections.abc import Sequence

import numpy as np
from xdsl.ir import Attribute, Operation, SSAValue

from cimc.ir import nn
from cimc.ir.attributes import Ints, int_value, int_values, integer, ints
from cimc.ir.build import again
from cimc.ir.graph import Graph
from cimc.ir.types import WeightRef, shape_of
from cimc.passes.layout.permutation import inverse

ANY_ORDER = (nn.ClampOp, nn.UnaryOp, nn.AddOp, nn.SubOp, nn.MulOp, nn.DivOp, nn.QuantiseOp, nn.RecodeOp)
LAST_AXIS = (nn.SoftmaxOp, nn.ArgMaxOp, nn.DenseOp)


def is_movable(op: Operation, order: Sequence[int]) -> bool:
    """Say whether `permuted` can make the operation for operands whose old axis a is new axis order[a]."""
    if isinstance(op, LAST_AXIS):
        return order[-1] == len(order) - 1
    same_rank = all(len(shape_of(operand)) == len(order) for operand in op.operands)
    return same_rank and isinstance(op, (*ANY_ORDER, nn.AffineOp, nn.ConcatOp, nn.PadOp, nn.SliceOp, nn.PickOp))


def permuted(graph: Graph, op: nn.Computed, order: Sequence[int], operands: Sequence[SSAValue]) -> nn.Computed:
    """Return the operation on `operands`, whose axis order[a] is axis a of op's own operands; its result is alike."""
    shape = [shape_of(op.out)[axis] for axis in inverse(order)]
    return again(op, operands, shape, **_changes(graph, op, order))


def _changes(graph: Graph, op: nn.Computed, order: Sequence[int]) -> dict[str, Attribute | None]:
    if isinstance(op, nn.AffineOp):
        return {"scale": _constant(graph, op.scale, order), "bias": _constant(graph, op.bias, order)}
    if isinstance(op, nn.ConcatOp | nn.PickOp):
        return {"axis": integer(order[int_value(op.axis)])}
    if isinstance(op, nn.PadOp):
        return {"before": _per_axis(op.before, order), "after": _per_axis(op.after, order)}
    if isinstance(op, nn.SliceOp):
        return {"begin": _per_axis(op.begin, order), "step": _per_axis(op.step, order)}
    return {}


def _constant(graph: Graph, ref: WeightRef, order: Sequence[int]) -> WeightRef:
    turned = np.transpose(graph.weights.get(ref), inverse(order))
    return graph.weights.add(ref.key.data, turned)


def _per_axis(values: Ints, order: Sequence[int]) -> Ints:
    old = int_values(values)
    return ints(old[axis] for axis in inverse(order))
