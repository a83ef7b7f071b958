"""Codes that the model fixes itself, as a quantised one does."""

from collections.abc import Container

from xdsl.ir import Operation

from cimc.ir.graph import Graph, producer, users
from cimc.ir.nature import Passes, described
from cimc.ir.nn import Canonical
from cimc.ir.types import CodeType


def fixed_code(op: Canonical) -> CodeType | None:
    """Return the codes of an operation's result where the model says them, here or in the only reader."""
    own = op.own_code
    if own is not None or op.NATURE.keeps_codes:
        return own
    wanted = {described(user).asked_code for user in users(op.out)}
    code = next(iter(wanted), None)
    return code if len(wanted) == 1 and code is not None and op.can_write(code) else None


def passes_fixed(op: Canonical, fixed: Container[Operation]) -> bool:
    """Return whether an operation hands on, unchanged, codes of an operation in `fixed`."""
    return op.NATURE.passes is Passes.CODES_AND_FIXED and producer(op.operands[0]) in fixed


def fixed_operations(graph: Graph) -> set[Operation]:
    """Return every operation whose result has codes that the model fixes."""
    found: set[Operation] = set()
    for op in graph.operations:
        if isinstance(op, Canonical) and (fixed_code(op) is not None or passes_fixed(op, found)):
            found.add(op)
    return found
