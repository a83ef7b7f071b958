"""Values that share their codes: one is computed, the others are movements and maxima of it."""

from xdsl.ir import Operation, SSAValue

from cimc.ir.attributes import float_value
from cimc.ir.graph import producer
from cimc.ir.loops import ResultOp, StateOp, readers
from cimc.ir.nn import Computed, ConcatOp, ConvOp, DenseOp, MaxPoolOp, Movement, PadOp, RecodeOp


def same_codes(layer: ConvOp | DenseOp) -> list[Computed]:
    """Return the value that a layer's input stems from and all that share its codes; none where that is not simple.

    Not simple are parts of a concatenation, padding with another value than zero, what a loop carries or gives, and
    integers that the model takes or gives.
    """
    root = root_of(layer.x)
    if not isinstance(root, Computed):
        return []
    found = followers(root)
    return [] if any(map(_is_tied, found)) else found


def root_of(value: SSAValue) -> Operation:
    """Return the operation that made a value's codes, behind movements and maxima of one operand."""
    root = producer(value)
    while isinstance(root, Movement | MaxPoolOp) and not isinstance(root, ConcatOp):
        root = producer(root.operands[0])
    return root


def followers(root: Computed) -> list[Computed]:
    """Return a value and, in order, what movements and maxima make of it."""
    found = [root]
    for op in found:
        found += [user for user in readers(op.out) if isinstance(user, Movement | MaxPoolOp) and user not in found]
    return found


def _is_tied(op: Computed) -> bool:
    if isinstance(op, PadOp):
        return float_value(op.value) != 0.0
    tied = isinstance(op, ConcatOp | ResultOp | StateOp | RecodeOp)
    return tied or any(isinstance(user, StateOp | RecodeOp) for user in readers(op.out))
