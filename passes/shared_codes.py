"""Values that share their codes: one is computed, the others are movements and maxima of it."""

from xdsl.ir import Operation, SSAValue

from cimc.ir.graph import producer
from cimc.ir.loop import readers
from cimc.ir.nature import described
from cimc.ir.nn import Canonical, Layer


def same_codes(layer: Layer) -> list[Canonical]:
    """Return the value that a layer's input stems from and all that share its codes; none where that is not simple.

    Not simple are parts of a concatenation, padding with another value than zero, what a loop carries or gives, and
    integers that the model takes or gives.
    """
    root = root_of(layer.x)
    if not isinstance(root, Canonical):
        return []
    found = followers(root)
    return [] if any(map(_is_tied, found)) else found


def root_of(value: SSAValue) -> Operation:
    """Return the operation that made a value's codes, behind movements and maxima of one operand."""
    root = producer(value)
    while described(root).NATURE.keeps_codes:
        root = producer(root.operands[0])
    return root


def followers(root: Canonical) -> list[Canonical]:
    """Return a value and, in order, what movements and maxima make of it."""
    found = [root]
    for op in found:
        users = (user for user in readers(op.out) if isinstance(user, Canonical) and user.NATURE.hands_codes_on)
        found += [user for user in users if user not in found]
    return found


def _is_tied(op: Canonical) -> bool:
    return op.is_tied or any(described(user).is_tied for user in readers(op.out))
