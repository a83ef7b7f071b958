"""Codes that a quantised model gives itself."""

from collections.abc import Callable, Container, Mapping

from xdsl.ir import Operation

from cimc.ir.attributes import int_values
from cimc.ir.graph import Graph, producer, users
from cimc.ir.loops import ResultOp, TakeOp
from cimc.ir.nn import Computed, ConcatOp, InputOp, MaxPoolOp, Movement, QuantiseOp, RecodeOp, SoftmaxOp
from cimc.ir.types import CodeType

WHOLE = 1e-6
"""How near 1 / scale must be to a whole number for softmax to give codes of that scale (passes/digital/digital.py)."""


def integer_type(low: int, high: int) -> CodeType:
    """Return codes that are the whole numbers low..high themselves, in as many bits as they need."""
    bits = max(max(high, -1 - low).bit_length() + (low < 0), 2)
    return CodeType.of(bits, low, high, min(max(0, low), high), 1.0)


OWN: Mapping[type[Operation], Callable[..., CodeType | None]] = {
    InputOp: lambda op: op.code or (integer_type(*int_values(op.integers)) if int_values(op.integers) else None),
    QuantiseOp: lambda op: op.code,
    RecodeOp: lambda op: op.target,
}


def given_code(op: Computed) -> CodeType | None:
    """Return the codes of an operation's result where the model says them, here or in the only reader."""
    own = OWN.get(type(op))
    if own is not None and (code := own(op)) is not None:
        return code
    if isinstance(op, Movement | MaxPoolOp) and not isinstance(op, ConcatOp):
        return None
    wanted = {_asked_for(user) for user in users(op.out)}
    code = next(iter(wanted), None)
    if len(wanted) != 1 or code is None or (isinstance(op, SoftmaxOp) and not _is_whole(1.0 / code.scale.data)):
        return None
    return code


def _asked_for(user: Operation) -> CodeType | None:
    """Return the codes that a reader says its operand has."""
    return user.code if isinstance(user, QuantiseOp) else user.source if isinstance(user, RecodeOp) else None


def passes_given(op: Computed, given: Container[Operation]) -> bool:
    """Return whether an operation hands on, unchanged, codes of an operation in `given`."""
    passes = isinstance(op, Movement | MaxPoolOp) and not isinstance(op, ConcatOp | TakeOp | ResultOp)
    return passes and producer(op.operands[0]) in given


def given_operations(graph: Graph) -> set[Operation]:
    """Return every operation whose result has codes that the model gives."""
    found: set[Operation] = set()
    for op in graph.operations:
        if isinstance(op, Computed) and (given_code(op) is not None or passes_given(op, found)):
            found.add(op)
    return found


def _is_whole(number: float) -> bool:
    return abs(number - round(number)) <= WHOLE * number
