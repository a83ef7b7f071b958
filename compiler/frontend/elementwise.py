"""Activation functions and softmax."""

from collections.abc import Callable

import numpy as np
from xdsl.ir import SSAValue

from cimc.frontend.arithmetic import affine, expanded, larger
from cimc.frontend.elementary import table
from cimc.frontend.lowering import Lowering
from cimc.frontend.reduction import maximum, total
from cimc.ir import build
from cimc.ir.functions import FUNCTIONS
from cimc.ir.nn import UNBOUNDED
from cimc.ir.types import shape_of


def relu(at: Lowering) -> SSAValue:
    """Any shape; fused into the operation before it."""
    return at.add(build.clamp(at.activation(0), 0.0, UNBOUNDED, at.label))


def clip(at: Lowering) -> SSAValue:
    """Bounds may be constants or computed."""
    x, bounds = at.activation(0), [(1, -UNBOUNDED), (2, UNBOUNDED)]
    low, high = (default if _is_computed(at, index) else _bound(at, index, default) for index, default in bounds)
    low = min(low, high)  # where they cross, ONNX gives the upper bound
    computed = [index for index, _ in bounds if _is_computed(at, index)]
    if (low, high) != (-UNBOUNDED, UNBOUNDED) or not computed:
        x = at.add(build.clamp(x, low, high, at.helper("clamped") if computed else at.label))
    for index in computed:
        x = larger(at, x, at.activation(index), index == 1, "" if index == computed[-1] else "raised")
    return x


def _is_computed(at: Lowering, index: int) -> bool:
    return at.node.has(index) and not at.is_constant(index)


def _bound(at: Lowering, index: int, default: float) -> float:
    if not at.node.has(index):
        return default
    value = float(at.constant(index).reshape(-1)[0])
    if np.isnan(value):
        raise at.refuse("CIM0106", f"bound '{at.node.inputs[index]}' is NaN")
    return value


def unary(function: str) -> Callable[[Lowering], SSAValue]:
    """Return the translation to a table; its parameters are the node's attributes."""

    def translate(at: Lowering) -> SSAValue:
        """Any shape."""
        defaults = FUNCTIONS[function].attributes
        return table(at, function, at.activation(0), *(at.node.real(name, value) for name, value in defaults.items()))

    return translate


def gelu(at: Lowering) -> SSAValue:
    """Both forms of approximate."""
    return table(at, "gelu_tanh" if at.node.text("approximate", "none") == "tanh" else "gelu", at.activation(0))


def prelu(at: Lowering) -> SSAValue:
    """max(x, 0) + slope * min(x, 0); one slope for all elements is one table."""
    x = at.activation(0)
    if at.is_constant(1) and at.constant(1).size == 1:
        return table(at, "leaky_relu", x, float(at.reals(1).reshape(-1)[0]))
    if not _broadcasts(at, 1):
        raise at.refuse("CIM0104", "the slopes do not broadcast to the data", hint="export with opset 7 or newer")
    above = at.add(build.clamp(x, 0.0, UNBOUNDED, at.helper("above")))
    below = at.add(build.clamp(x, -UNBOUNDED, 0.0, at.helper("below")))
    if at.is_constant(1):
        below = affine(at, below, at.reals(1), np.zeros(()), at.node.inputs[1], "sloped")
    else:
        below = at.add(build.mul(below, at.activation(1), at.helper("sloped")))
    return at.add(build.add(above, below, at.label))


def _broadcasts(at: Lowering, index: int) -> bool:
    """Return whether an input broadcasts to the first one, which opsets before 7 do not ask for."""
    shape, other = (at.full_shape(at.node.inputs[i]) for i in (0, index))
    return all(b in (1, a) for a, b in zip(shape[::-1], other[::-1], strict=False)) and len(other) <= len(shape)


def power(at: Lowering) -> SSAValue:
    """One constant exponent, a positive constant base, or exp(b log a) of two computed operands, a above zero."""
    if at.is_constant(0):
        base = at.reals(0)
        if np.any(base <= 0.0):
            raise at.refuse("CIM0104", f"the base '{at.node.inputs[0]}' is not above zero")
        exponent = affine(at, at.activation(1), np.log(base), np.zeros(()), at.node.inputs[0], "exponent")
        return table(at, "exp", exponent)
    x = at.activation(0)
    if not at.is_constant(1):
        logarithm = table(at, "log", x, suffix="log")
        return table(at, "exp", at.add(build.mul(logarithm, at.activation(1), at.helper("exponent"))))
    exponents = at.reals(1)
    if np.any(exponents != exponents.flat[0]):
        raise at.refuse("CIM0104", "the exponents differ", hint="one exponent for all elements is supported")
    x, single = expanded(at, x, at.result_shape()), float(exponents.flat[0])
    if single == 2.0:
        return at.add(build.mul(x, x, at.label))
    return x if single == 1.0 else table(at, "power", x, single, 1.0, 0.0)


def softmax(at: Lowering) -> SSAValue:
    """Any one axis."""
    x = at.activation(0)
    rank = len(shape_of(x))
    axis = at.axis(at.node.integer("axis", -1))
    order = [other for other in range(rank) if other != axis] + [axis]
    y = at.add(build.softmax(at.transposed(x, order, "last"), at.label))
    return at.transposed(y, [order.index(other) for other in range(rank)], "back")


def log_softmax(at: Lowering) -> SSAValue:
    """x - max - log(sum(exp(x - max))) along any axis."""
    x, axes = at.activation(0), [at.axis(at.node.integer("axis", -1))]
    below = at.add(build.sub(x, maximum(at, x, axes, "max"), at.helper("below")))
    exponentials = table(at, "exp", below, suffix="exp")
    logarithm = table(at, "log", total(at, exponentials, axes, "sum"), suffix="log")
    return at.add(build.sub(below, logarithm, at.label))


def same(at: Lowering) -> SSAValue:
    """Identity and inference-time Dropout: the value itself."""
    if at.node.has(2) and (not at.is_constant(2) or bool(at.constant(2))):
        raise at.refuse("CIM0104", "training mode", hint="export the model in evaluation mode")
    return at.activation(0)
