"""Transposes that are left move backward, where that makes them disappear."""

from xdsl.ir import SSAValue

from cimc.ir import build, nn
from cimc.ir.attributes import int_values, ints
from cimc.ir.build import again
from cimc.ir.graph import Graph, only_user, producer, users
from cimc.ir.location import fused, replace
from cimc.ir.types import shape_of
from cimc.passes.layout.movable import is_movable, order_of, permuted
from cimc.passes.layout.permutation import Order, composed, inverse, is_identity, keeps_elements, reshape_first


def move_backward(graph: Graph) -> bool:
    """Absorb into inputs and operands what can be; say whether anything changed."""
    changed = False
    for op in graph.operations:
        if isinstance(op, nn.InputOp):
            changed |= _absorb(op)
    for op in graph.operations:
        if isinstance(op, nn.TransposeOp) and op.parent is not None and _is_worth_turning(op):
            replace(op, [], [_turn(graph, op.x, int_values(op.order))])
            changed = True
    return changed


def _absorb(op: nn.InputOp) -> bool:
    """An input that is only used transposed is stored transposed."""
    orders = {order_of(result) for user in users(op.out) for result in user.results} if users(op.out) else set()
    order = next(iter(orders), None)
    if len(orders) != 1 or order is None or not all(isinstance(user, nn.TransposeOp) for user in users(op.out)):
        return False
    shape = [shape_of(op.out)[axis] for axis in order]
    turned = again(op, [], shape, order=ints(composed(int_values(op.order), order)))
    transposes = users(op.out)
    turned.location = fused([op.location, *(user.location for user in transposes)])
    replace_input(op, turned)
    for user in transposes:
        replace(user, [], [turned.out])
    return True


def replace_input(old: nn.InputOp, new: nn.Computed) -> None:
    """Put a turned input in place of the old one; users of the old value must be replaced by the caller."""
    block = old.parent_block()
    if block is None:
        raise ValueError("the input is in no block")
    block.insert_op_before(new, old)
    old.out.replace_all_uses_with(new.out)
    block.erase_op(old)


def _is_worth_turning(op: nn.TransposeOp) -> bool:
    order = int_values(op.order)
    return not keeps_elements(order, shape_of(op.x)) and _can_turn(op.x, order)


def _can_turn(x: SSAValue, order: Order) -> bool:
    """Say whether a value with one use can be computed in axis `order` without a transpose that was not there."""
    op = x.owner
    if only_user(x) is None or not isinstance(op, nn.Canonical):
        return False
    if isinstance(op, nn.InputOp | nn.TransposeOp):
        return True
    if isinstance(op, nn.ReshapeOp):
        inner = _through_reshape(op, order)
        return inner is not None and _can_turn(op.x, inner)
    if not is_movable(op, inverse(order)) or len(set(op.operands)) != len(op.operands):
        return False
    return all(_can_turn(operand, order) for operand in op.operands)


def _through_reshape(op: nn.ReshapeOp, order: Order) -> Order | None:
    """Return the order for the operand such that its reshape has the result's elements in `order`."""
    turned = [shape_of(op.out)[axis] for axis in order]
    swapped = reshape_first(inverse(order), turned, shape_of(op.x))
    return None if swapped is None else inverse(swapped[1])


def _turn(graph: Graph, x: SSAValue, order: Order) -> SSAValue:
    """Compute a value in axis `order`; its own operation is replaced."""
    op = producer(x)
    if isinstance(op, nn.TransposeOp):
        return _turn_transpose(op, order)
    if isinstance(op, nn.InputOp):
        shape = [shape_of(x)[axis] for axis in order]
        turned = again(op, [], shape, order=ints(composed(int_values(op.order), order)))
        turned.location = op.location
        replace_input(op, turned)
        return turned.out
    if isinstance(op, nn.ReshapeOp):
        inner = _through_reshape(op, order)
        if inner is None:
            raise ValueError("the reshape cannot be turned")
        made = again(op, [_turn(graph, op.x, inner)], [shape_of(x)[axis] for axis in order])
    elif isinstance(op, nn.Canonical):
        made = permuted(graph, op, inverse(order), [_turn(graph, operand, order) for operand in op.operands])
    else:
        raise TypeError(f"{op.name} computes nothing")
    replace(op, [made])
    return made.out


def _turn_transpose(op: nn.TransposeOp, order: Order) -> SSAValue:
    both = composed(int_values(op.order), order)
    if is_identity(both):
        source = op.x
        replace(op, [], [source])
        return source
    made = build.transpose(op.x, both, op.label.data)
    replace(op, [made])
    return made.out
