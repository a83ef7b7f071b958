"""The number rules that make float32 and double products of integers exact, checked while lowering."""

from collections.abc import Iterable

import numpy as np
from xdsl.ir import SSAValue

from cimc.diagnostics import DiagnosticError, fail
from cimc.evaluate.builder import Array
from cimc.ir.location import names_of
from cimc.ir.nn import Computed
from cimc.ir.types import code_of

SINGLE = 1 << 24
"""Below it, sums of integers are exact in float32 in any order."""


def magnitude(value: SSAValue) -> int:
    """Return the largest absolute value of a tensor's codes."""
    code = code_of(value)
    return max(abs(code.low.data), abs(code.high.data))


def weighted(magnitudes: Iterable[Array | int], scales: Iterable[Array | int], offset: Array | int) -> int:
    """Return the largest possible sum of |magnitude * scale| plus |offset|, over all columns."""
    terms = (_exact(size) * abs(_exact(scale)) for size, scale in zip(magnitudes, scales, strict=True))
    return largest(sum(terms, start=abs(_exact(offset))))


def largest(array: Array) -> int:
    return int(np.max(array))


def require(op: Computed, what: str, reach: int, limit: int) -> None:
    """Raise CIM0304 unless the largest magnitude `reach` stays below `limit`, a power of two."""
    if reach >= limit:
        rule = f"the {what} can reach {reach}, the rule is below 2^{limit.bit_length() - 1}"
        raise broken(op, rule, "use fewer bits or split the rows")


def broken(op: Computed, rule: str, hint: str = "") -> DiagnosticError:
    """Return the error of an operation that breaks a number rule, to be raised by the caller."""
    node = ", ".join(names_of(op.location))
    return fail("CIM0304", f"in '{op.label.data}', {rule}", node=node, operator=op.name, hint=hint)


def _exact(values: Array | int) -> Array:
    """Return Python integers, which cannot overflow."""
    return np.asarray(values).astype(object)
