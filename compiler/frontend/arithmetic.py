"""Add, Sub, Mul, Div, Sum, Neg and BatchNormalization: affine maps with constants, or two computed operands."""

from collections.abc import Callable

import numpy as np
from xdsl.ir import SSAValue

from cimc.frontend.site import Reals, Site
from cimc.ir import build
from cimc.ir.nn import Computed
from cimc.ir.types import shape_of

Binary = Callable[[SSAValue, SSAValue, str], Computed]


def addition(at: Site) -> SSAValue:
    if not (at.is_constant(0) or at.is_constant(1)):
        return _of_two(at, build.add)
    x, constant, name = _split(at)
    return affine(at, x, np.ones(()), constant, name)


def subtraction(at: Site) -> SSAValue:
    if not (at.is_constant(0) or at.is_constant(1)):
        return _of_two(at, build.sub)
    x, constant, name = _split(at)
    if at.is_constant(0):
        return affine(at, x, -np.ones(()), constant, name)
    return affine(at, x, np.ones(()), -constant, name)


def multiplication(at: Site) -> SSAValue:
    if not (at.is_constant(0) or at.is_constant(1)):
        return _of_two(at, build.mul)
    x, constant, name = _split(at)
    return affine(at, x, constant, np.zeros(()), name)


def division(at: Site) -> SSAValue:
    if not at.is_constant(1):
        raise at.refuse("CIM0104", "the divisor is computed", hint="only division by a constant is supported")
    x, constant, name = _split(at)
    if np.any(constant == 0.0):
        raise at.refuse("CIM0106", f"divisor '{name}' holds a zero")
    return affine(at, x, 1.0 / constant, np.zeros(()), name)


def negation(at: Site) -> SSAValue:
    return affine(at, at.activation(0), -np.ones(()), np.zeros(()), at.label)


def total(at: Site) -> SSAValue:
    """Sum of any number of operands, added from left to right."""
    computed = [i for i in range(len(at.node.inputs)) if not at.is_constant(i)]
    result = at.activation(computed[0])
    for position, index in enumerate(computed[1:], start=2):
        last = position == len(at.node.inputs)
        require_aligned(at, computed[0], index)
        result = at.add(build.add(result, at.activation(index), at.label if last else at.helper(str(position))))
    constants = [i for i in range(len(at.node.inputs)) if at.is_constant(i)]
    if not constants:
        return result
    offset = np.asarray(sum(at.reals(index) for index in constants))
    return affine(at, result, np.ones(()), offset, at.node.inputs[constants[0]])


def batch_normalisation(at: Site) -> SSAValue:
    if at.node.integer("training_mode", 0):
        raise at.refuse("CIM0104", "training mode", hint="export the model in evaluation mode")
    scale, shift, mean, variance = (at.reals(index) for index in range(1, 5))
    if np.any(variance + at.node.real("epsilon", 1e-5) <= 0.0):
        raise at.refuse("CIM0106", f"variance '{at.node.inputs[4]}' is negative")
    factor = scale / np.sqrt(variance + at.node.real("epsilon", 1e-5))
    per_channel = (len(factor), *(1,) * (len(at.full_shape(at.node.inputs[0])) - 2))
    offset = (shift - mean * factor).reshape(per_channel)
    return affine(at, at.activation(0), factor.reshape(per_channel), offset, at.node.inputs[1])


def affine(at: Site, x: SSAValue, scale: Reals, bias: Reals, name: str) -> SSAValue:
    """Append x * scale + bias; constants have ONNX's ranks, batch axis included, and may be larger than `x`."""
    scale, bias = (at.of_one_sample(array) for array in (scale, bias))
    rank = len(at.result_shape())
    x = at.reshaped(x, (1,) * (rank - len(shape_of(x))) + shape_of(x), "rank")
    x = _expanded(at, x, np.broadcast_shapes(scale.shape, bias.shape))
    refs = [
        at.weight(array.reshape((1,) * (rank - array.ndim) + array.shape), f"{name}.{role}")
        for array, role in ((scale, "scale"), (bias, "bias"))
    ]
    return at.add(build.affine(x, refs[0], refs[1], at.label))


def _split(at: Site) -> tuple[SSAValue, Reals, str]:
    """Return the computed operand, the constant one, and its name."""
    constant = 0 if at.is_constant(0) else 1
    return at.activation(1 - constant), at.bounded(constant), at.node.inputs[constant]


def _expanded(at: Site, x: SSAValue, constant: tuple[int, ...]) -> SSAValue:
    """Return `x` repeated along the axes that a constant operand makes longer."""
    rank = len(shape_of(x))
    sizes = constant[-rank:] if rank else ()
    for axis, size in enumerate(sizes, start=rank - len(sizes)):
        if shape_of(x)[axis] == 1 and size > 1:
            x = at.add(build.concat([x] * size, axis, at.helper(f"repeat{axis}")))
    return x


def require_aligned(at: Site, first: int, second: int) -> None:
    """Refuse two computed operands of which one mixes the samples with rows of each and the other does not."""
    names = [at.node.inputs[index] for index in (first, second)]
    rows = {batch.inner for batch in map(at.batch_axis, names) if batch is not None}
    if len(rows) > 1:
        raise at.refuse("CIM0109", "one operand has several rows of a sample along its batch axis, the other has not")


def _of_two(at: Site, make: Binary) -> SSAValue:
    a, b = at.activation(0), at.activation(1)
    require_aligned(at, 0, 1)
    return at.add(make(a, b, at.label))
