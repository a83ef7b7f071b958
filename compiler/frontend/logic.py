"""Comparisons, logic and casts: truth values are 1 and 0, as codes of scale 1."""

from collections.abc import Callable, Mapping

import numpy as np
from onnx import TensorProto
from xdsl.ir import SSAValue

from cimc.diagnostics import DiagnosticError
from cimc.frontend.arithmetic import affine, require_aligned
from cimc.frontend.elementary import above_zero, scaled, table
from cimc.frontend.lowering import Lowering
from cimc.frontend.movement import whole_input
from cimc.frontend.preparation import REALS
from cimc.ir import build
from cimc.ir.nn import UNBOUNDED
from cimc.ir.types import shape_of

SWAPPED: Mapping[str, str] = {
    "greater": "less",
    "less": "greater",
    "at_least": "at_most",
    "at_most": "at_least",
    "equals": "equals",
}
"""Comparison -> what it is with its operands exchanged."""


WIDE = (TensorProto.INT32, TensorProto.INT64)
"""Integers that hold all that codes can be."""


def comparison(function: str) -> Callable[[Lowering], SSAValue]:
    """Return the translation of a comparison: one table of an operand's codes, or of a difference."""

    def translate(at: Lowering) -> SSAValue:
        """One number is compared on the operand's own codes, anything else as a difference with zero."""
        if not (at.is_constant(0) or at.is_constant(1)):
            require_aligned(at, 0, 1)
            apart = build.sub(at.activation(0), at.activation(1), at.helper("difference"))
            return table(at, function, at.add(apart), 0.0)
        constant = 0 if at.is_constant(0) else 1
        x, values, meant = at.activation(1 - constant), at.reals(constant), (SWAPPED[function], function)[constant]
        if values.size == 1 and shape_of(x) == at.result_shape():
            return table(at, meant, x, float(values.reshape(-1)[0]))
        difference = affine(at, x, np.ones(()), -values, at.node.inputs[constant], "difference")
        return table(at, meant, difference, 0.0)

    return translate


def negation(at: Lowering) -> SSAValue:
    """1 - a on truth values."""
    return scaled(at, at.activation(0), -1.0, 1.0)


def conjunction(at: Lowering) -> SSAValue:
    """Two computed truth values."""
    a, b = _operands(at)
    return at.add(build.mul(a, b, at.label))


def disjunction(at: Lowering) -> SSAValue:
    """Two computed truth values."""
    a, b = _operands(at)
    return at.add(build.clamp(at.add(build.add(a, b, at.helper("count"))), 0.0, 1.0, at.label))


def exclusion(at: Lowering) -> SSAValue:
    """Two computed truth values."""
    a, b = _operands(at)
    return table(at, "abs", at.add(build.sub(a, b, at.helper("difference"))))


def _operands(at: Lowering) -> tuple[SSAValue, SSAValue]:
    require_aligned(at, 0, 1)
    return at.activation(0), at.activation(1)


def cast(at: Lowering) -> SSAValue:
    """To real numbers and between integers nothing changes; reals to INT32 and INT64 are cut off towards zero; to BOOL
    anything but 0 is 1.

    Real inputs that are rows of a table are whole: their casts change nothing.
    """
    x, wanted = at.activation(0), at.node.integer("to", TensorProto.FLOAT)
    given = at.element_type(at.node.inputs[0])
    if wanted == TensorProto.BOOL and given != TensorProto.BOOL:
        return scaled(at, table(at, "equals", x, 0.0, suffix="zero"), -1.0, 1.0)
    if wanted in REALS or wanted == given or (wanted in WIDE and given not in REALS):
        return x
    if wanted not in WIDE:
        raise _cast_refused(at, wanted)
    return x if whole_input(x) is not None else _cut_off(at, x)


def _cut_off(at: Lowering, x: SSAValue) -> SSAValue:
    """Return the whole numbers next to real ones towards zero: the floor above it, the ceiling below."""
    below = table(at, "ceil", at.add(build.clamp(x, -UNBOUNDED, 0.0, at.helper("negative"))), suffix="ceil")
    above = table(at, "floor", above_zero(at, x, "positive"), suffix="floor")
    return at.add(build.add(above, below, at.label))


def _cast_refused(at: Lowering, wanted: int) -> DiagnosticError:
    name = TensorProto.DataType.Name(wanted)
    return at.refuse("CIM0104", f"a cast to {name}", hint="quantise with QuantizeLinear, or cast to FLOAT or INT32")
