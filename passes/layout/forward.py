"""Transposes and reshapes move forward, until they meet their inverse or are absorbed: transpose sinking."""

from collections.abc import Sequence

import numpy as np
from xdsl.ir import Attribute, Operation, SSAValue

from cimc.ir import build, nn
from cimc.ir.attributes import int_values, ints
from cimc.ir.build import again
from cimc.ir.graph import Graph, Labels, label_of, producer, users
from cimc.ir.location import replace
from cimc.ir.nature import AxisOrder
from cimc.ir.types import WeightRef, shape_of
from cimc.ir.weights import Array, in_order
from cimc.passes.layout.movable import is_movable, order_of, permuted
from cimc.passes.layout.permutation import (
    Order,
    composed,
    groups,
    inverse,
    is_identity,
    keeps_elements,
    reshape_first,
)


def move_forward(graph: Graph, labels: Labels) -> None:
    """Move every transpose down as far as it goes."""
    changed = True
    while changed:
        steps = [_step(graph, labels, op) for op in graph.operations]
        changed = any(steps)


def _step(graph: Graph, labels: Labels, op: Operation) -> bool:
    if isinstance(op, nn.OutputOp):
        return _into_output(op)
    if isinstance(op, nn.TransposeOp):
        return _merge(op)
    if isinstance(op, nn.ReshapeOp):
        return _below_reshape(labels, op)
    if isinstance(op, nn.DenseOp) and _into_rows(graph, labels, op):
        return True
    if not isinstance(op, nn.Canonical):
        return False
    return _below(graph, labels, op) or _reshape_below(graph, labels, op)


def _source(value: SSAValue) -> SSAValue:
    return producer(value).operands[0]


def _into_output(op: nn.OutputOp) -> bool:
    """The program's outputs may have any axis order: the file format says which."""
    order = order_of(op.x)
    if order is None:
        return False
    model = int_values(op.order)
    op.properties["order"] = ints(model[axis] for axis in inverse(order))
    op.operands[0] = _source(op.x)
    return True


def _merge(op: nn.TransposeOp) -> bool:
    first = order_of(op.x)
    order = int_values(op.order)
    if first is None:
        if is_identity(order):
            replace(op, [], [op.x])
            return True
        return False
    before = producer(op.x)
    both = composed(first, order)
    if is_identity(both):
        replace(op, [], [_source(op.x)])
    else:
        replace(op, [build.transpose(_source(op.x), both, op.label.data)], also=[before])
    return True


def _below_reshape(labels: Labels, op: nn.ReshapeOp) -> bool:
    order = order_of(op.x)
    if order is None:
        return False
    source, before = _source(op.x), producer(op.x)
    swapped = reshape_first(order, shape_of(source), shape_of(op.out))
    if swapped is None:
        return False
    shape, after = swapped
    if is_identity(after):
        replace(op, [build.reshape(source, shape, op.label.data)], also=[before])
    else:
        first = build.reshape(source, shape, labels.fresh(op.label.data, "grouped"))
        replace(op, [first, build.transpose(first.out, after, op.label.data)], also=[before])
    return True


def _below(graph: Graph, labels: Labels, op: nn.Canonical) -> bool:
    """f(transpose(x)) -> transpose(f(x)), where every operand is transposed alike or costs nothing to turn."""
    orders = [order for order in map(order_of, op.operands) if order is not None]
    if not orders or not is_movable(op, orders[0]):
        return False
    order = orders[0]
    if not all(order_of(x) == order or _is_free(x, inverse(order), op.operands) for x in op.operands):
        return False
    turned: list[nn.Computed] = []
    operands = [_turned(labels, x, order, turned) for x in op.operands]
    moved = permuted(graph, op, order, operands)
    back = build.transpose(moved.out, order, labels.fresh(op.label.data, "order"))
    replace(op, [*turned, moved, back], also=[producer(x) for x in op.operands if order_of(x)])
    return True


def _is_free(x: SSAValue, order: Order, others: Sequence[SSAValue]) -> bool:
    """Say whether turning an operand is a view, or can be absorbed by an input without turning another input back."""
    if len(order) != len(shape_of(x)):
        return False
    if keeps_elements(order, shape_of(x)):
        return True
    from_inputs = any(order_of(y) is not None and isinstance(_source(y).owner, nn.InputOp) for y in others)
    return isinstance(x.owner, nn.InputOp) and not from_inputs and all(_reads(op, order) for op in users(x))


def _reads(op: Operation, order: Order) -> bool:
    """Say whether an operation transposes its operand by `order`, or has another operand that is transposed back."""
    if isinstance(op, nn.TransposeOp):
        return int_values(op.order) == order
    return any(order_of(x) == inverse(order) for x in op.operands)


def _turned(labels: Labels, x: SSAValue, order: Order, new: list[nn.Computed]) -> SSAValue:
    """Return the operand in the order before the transpose; operations needed for it are appended to `new`."""
    if order_of(x) == order:
        return _source(x)
    stem = label_of(x)
    shape = [shape_of(x)[axis] for axis in inverse(order)]
    if keeps_elements(inverse(order), shape_of(x)):
        new.append(build.reshape(x, shape, labels.fresh(stem, "view")))
    else:
        new.append(build.transpose(x, inverse(order), labels.fresh(stem, "order")))
    return new[-1].out


def _into_rows(graph: Graph, labels: Labels, op: nn.DenseOp) -> bool:
    """dense(flatten(transpose(x))) -> dense(flatten(x)) with the weight's rows in the order of x."""
    flat = op.x.owner
    if not isinstance(flat, nn.ReshapeOp) or shape_of(flat.out)[-1] != int(np.prod(shape_of(flat.out))):
        return False
    order = order_of(flat.x)
    if order is None:
        return False
    source, turn = _source(flat.x), producer(flat.x)
    weight = _with_rows_in_order(graph, op.weight, order, shape_of(source))
    straight = build.reshape(source, shape_of(flat.out), labels.fresh(flat.label.data, "rows"))
    replace(op, [straight, again(op, [straight.out], shape_of(op.out), weight=weight)], also=[flat, turn])
    return True


def _with_rows_in_order(graph: Graph, ref: WeightRef, order: Order, shape: tuple[int, ...]) -> WeightRef:
    """Return a weight for flattened data of `shape` from one for the same data transposed by `order`."""
    weight = graph.weights.view(ref)
    turned = weight.reshape(*(shape[axis] for axis in order), -1)
    rows = turned.transpose(*inverse(order), len(order))
    return graph.weights.add(ref.key.data, in_order(rows).reshape(weight.shape))


def _reshape_below(graph: Graph, labels: Labels, op: nn.Canonical) -> bool:
    """f(reshape(x)) -> reshape(f(x)) for elementwise f, so that transposes above the reshape can go on."""
    elementwise = op.NATURE.order is AxisOrder.ANY or isinstance(op, nn.AffineOp)
    if not elementwise or not all(isinstance(x.owner, nn.ReshapeOp) for x in op.operands):
        return False
    sources = [_source(x) for x in op.operands]
    if len({shape_of(x) for x in sources}) > 1 or any(shape_of(x) != shape_of(op.out) for x in op.operands):
        return False
    shape = shape_of(sources[0])
    changes: dict[str, Attribute | None] = {}
    if isinstance(op, nn.AffineOp):
        changes["scale"] = _regrouped(graph, op.scale, shape, shape_of(op.out))
        changes["bias"] = _regrouped(graph, op.bias, shape, shape_of(op.out))
    moved = again(op, sources, shape, **changes)
    back = build.reshape(moved.out, shape_of(op.out), labels.fresh(op.label.data, "view"))
    replace(op, [moved, back], also=[producer(x) for x in op.operands])
    return True


def _regrouped(graph: Graph, ref: WeightRef, before: Sequence[int], after: Sequence[int]) -> WeightRef:
    """Return a constant that broadcasts to shape `after` as one that broadcasts to shape `before`."""
    return graph.weights.add(ref.key.data, _regrouped_array(graph.weights.get(ref), before, after))


def _regrouped_array(array: Array, before: Sequence[int], after: Sequence[int]) -> Array:
    full, short = list(after), [1] * len(before)
    for group in groups(before, after):
        if all(array.shape[axis] == 1 for axis in group.after):
            for axis in group.after:
                full[axis] = 1
        else:
            for axis in group.before:
                short[axis] = before[axis]
    return np.array(np.broadcast_to(array, full)).reshape(short)
