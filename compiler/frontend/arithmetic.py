"""Sums, products, quotients, extrema and BatchNormalization: affine maps with constants, or two computed operands."""

from collections.abc import Callable, Sequence
from functools import reduce

import numpy as np
from xdsl.ir import SSAValue

from cimc.frontend.conversion import TRAINING
from cimc.frontend.elementary import above_zero, label_for, picked, table
from cimc.frontend.lowering import Lowering, Reals
from cimc.frontend.preparation import REALS
from cimc.ir import build
from cimc.ir.nn import UNBOUNDED, Computed
from cimc.ir.types import shape_of

Binary = Callable[[SSAValue, SSAValue, str], Computed]


def addition(at: Lowering) -> SSAValue:
    """Two computed operands that broadcast, or one and a constant."""
    if not (at.is_constant(0) or at.is_constant(1)):
        return _of_two(at, build.add)
    x, constant, name = _split(at)
    return affine(at, x, np.ones(()), constant, name)


def subtraction(at: Lowering) -> SSAValue:
    """Two computed operands that broadcast, or one and a constant."""
    if not (at.is_constant(0) or at.is_constant(1)):
        return _of_two(at, build.sub)
    x, constant, name = _split(at)
    if at.is_constant(0):
        return affine(at, x, -np.ones(()), constant, name)
    return affine(at, x, np.ones(()), -constant, name)


def multiplication(at: Lowering) -> SSAValue:
    """Two computed operands that broadcast, or one and a constant."""
    if not (at.is_constant(0) or at.is_constant(1)):
        return _of_two(at, build.mul)
    x, constant, name = _split(at)
    return affine(at, x, constant, np.zeros(()), name)


def division(at: Lowering) -> SSAValue:
    """A divisor of zero on the machine gives the end of the range."""
    if at.element_type(at.label) not in REALS:
        raise at.refuse("CIM0104", "a division of integers", hint="cast the operands to FLOAT")
    if not (at.is_constant(0) or at.is_constant(1)):
        return _of_two(at, build.div)
    x, constant, name = _split(at)
    if at.is_constant(0):
        return affine(at, table(at, "reciprocal", x, suffix="reciprocal"), constant, np.zeros(()), name)
    if np.any(constant == 0.0):
        raise at.refuse("CIM0106", f"divisor '{name}' holds a zero")
    return affine(at, x, 1.0 / constant, np.zeros(()), name)


def negation(at: Lowering) -> SSAValue:
    """Any shape; exact on codes."""
    return affine(at, at.activation(0), -np.ones(()), np.zeros(()), at.label)


def total(at: Lowering) -> SSAValue:
    """Sum of any number of operands, added from left to right."""
    return _summed(at, 1.0)


def mean(at: Lowering) -> SSAValue:
    """Mean of any number of operands: their sum, scaled."""
    return _summed(at, 1.0 / len(at.node.inputs))


def _summed(at: Lowering, factor: float) -> SSAValue:
    """Return factor times the sum of the operands, the constants last."""
    computed, constants = _parted(at)
    result = at.activation(computed[0])
    for position, index in enumerate(computed[1:], start=2):
        last = position == len(at.node.inputs) and factor == 1.0
        require_aligned(at, computed[0], index)
        result = at.add(build.add(result, at.activation(index), at.label if last else at.helper(str(position))))
    if not constants and factor == 1.0:
        return result
    offset = np.asarray(sum((factor * at.reals(index) for index in constants), start=np.zeros(())))
    return affine(at, result, np.full((), factor), offset, at.node.inputs[(constants or computed)[0]])


def _parted(at: Lowering) -> tuple[list[int], list[int]]:
    """Return the numbers of the computed inputs and those of the constant ones."""
    numbers = range(len(at.node.inputs))
    return [i for i in numbers if not at.is_constant(i)], [i for i in numbers if at.is_constant(i)]


def extremum(largest: bool) -> Callable[[Lowering], SSAValue]:
    """Return the translation of Max or Min: one operand after the other, the constants together."""

    def translate(at: Lowering) -> SSAValue:
        """Any number of operands; an infinity that bounds nothing may be one."""
        computed, constants = _parted(at)
        result = at.activation(computed[0])
        for position, index in enumerate(computed[1:], start=2):
            require_aligned(at, computed[0], index)
            last = position == len(at.node.inputs)
            result = larger(at, result, at.activation(index), largest, "" if last else str(position))
        if not constants:
            return result
        bound = reduce(np.maximum if largest else np.minimum, [_limits(at, index, largest) for index in constants])
        return _partly_bounded(at, result, bound, largest, at.node.inputs[constants[0]])

    return translate


def _limits(at: Lowering, index: int, largest: bool) -> Reals:
    """Return a constant operand of Max or Min, -UNBOUNDED or UNBOUNDED where it bounds nothing. Raises as `reals`."""
    values = at.bounded(index)
    return at.reals(index) if np.any(values == (UNBOUNDED if largest else -UNBOUNDED)) else values


def larger(at: Lowering, a: SSAValue, b: SSAValue, largest: bool, suffix: str) -> SSAValue:
    """Return the larger of two values, b + max(a - b, 0), or the smaller one, a - max(a - b, 0)."""
    excess = above_zero(at, at.add(build.sub(a, b, at.helper("difference"))), "excess")
    made = build.add(b, excess, label_for(at, suffix)) if largest else build.sub(a, excess, label_for(at, suffix))
    return at.add(made)


def _partly_bounded(at: Lowering, x: SSAValue, bound: Reals, largest: bool, name: str) -> SSAValue:
    """Return max(x, bound) or min(x, bound), x itself where the bound is UNBOUNDED."""
    free = np.abs(bound) == UNBOUNDED
    if np.all(free):
        return expanded(at, x, at.result_shape())
    if not np.any(free):
        return _bounded(at, x, bound, largest, name)
    y = _bounded(at, x, np.where(free, 0.0, bound), largest, name, "bounded")
    mask = at.weight(at.of_one_sample(free * 1.0), f"{at.label}.free")
    return at.add(build.select(at.add(build.constant(mask, at.helper("free"))), x, y, at.label))


def _bounded(at: Lowering, x: SSAValue, bound: Reals, largest: bool, name: str, suffix: str = "") -> SSAValue:
    """Return max(x, bound) or min(x, bound) for constants: c + max(x - c, 0), or c - max(c - x, 0)."""
    if bound.size == 1 and len(at.result_shape()) == len(shape_of(x)):
        value = float(bound.reshape(-1)[0])
        low, high = (value, UNBOUNDED) if largest else (-UNBOUNDED, value)
        return at.add(build.clamp(x, low, high, label_for(at, suffix)))
    sign = 1.0 if largest else -1.0
    excess = above_zero(at, affine(at, x, np.full((), sign), -sign * bound, name, "difference"), "excess")
    return affine(at, excess, np.full((), sign), bound, name, suffix)


def batch_normalisation(at: Lowering) -> SSAValue:
    """Inference only, constant parameters; folded into the layer before it where there is one."""
    if at.node.integer("training_mode", 0):
        raise at.refuse("CIM0104", f"training_mode makes it {TRAINING}", hint="export the model in evaluation mode")
    scale, shift, mean, variance = (at.reals(index) for index in range(1, 5))
    if np.any(variance + at.node.real("epsilon", 1e-5) <= 0.0):
        raise at.refuse("CIM0106", f"variance '{at.node.inputs[4]}' is negative")
    factor = scale / np.sqrt(variance + at.node.real("epsilon", 1e-5))
    per_channel = (len(factor), *(1,) * (len(at.full_shape(at.node.inputs[0])) - 2))
    offset = (shift - mean * factor).reshape(per_channel)
    return affine(at, at.activation(0), factor.reshape(per_channel), offset, at.node.inputs[1])


def affine(at: Lowering, x: SSAValue, scale: Reals, bias: Reals, name: str, suffix: str = "") -> SSAValue:
    """Append x * scale + bias; constants have ONNX's ranks, batch axis included, and may be larger than `x`."""
    scale, bias = (at.of_one_sample(array) for array in (scale, bias))
    rank = len(at.result_shape())
    x = expanded(at, x, np.broadcast_shapes(scale.shape, bias.shape, (1,) * rank))
    refs = [
        at.weight(array.reshape((1,) * (rank - array.ndim) + array.shape), f"{name}.{role}")
        for array, role in ((scale, "scale"), (bias, "bias"))
    ]
    return at.add(build.affine(x, refs[0], refs[1], label_for(at, suffix)))


def _split(at: Lowering) -> tuple[SSAValue, Reals, str]:
    """Return the computed operand, the constant one, and its name."""
    constant = 0 if at.is_constant(0) else 1
    return at.activation(1 - constant), at.bounded(constant), at.node.inputs[constant]


def expanded(at: Lowering, x: SSAValue, shape: Sequence[int]) -> SSAValue:
    """Return `x` repeated along the axes that it has not, or that are longer in a shape it broadcasts with."""
    rank = max(len(shape), len(shape_of(x)))
    x = at.reshaped(x, (1,) * (rank - len(shape_of(x))) + shape_of(x), "rank")
    for axis, size in enumerate(shape, start=rank - len(shape)):
        if shape_of(x)[axis] == 1 and size > 1:
            x = picked(at, x, [0] * size, axis, f"repeat{axis}")
    return x


def require_aligned(at: Lowering, first: int, second: int) -> None:
    """Refuse two computed operands of which one mixes the samples with rows of each and the other does not."""
    names = [at.node.inputs[index] for index in (first, second)]
    rows = {batch.inner for batch in map(at.batch_axis, names) if batch is not None}
    if len(rows) > 1:
        raise at.refuse("CIM0109", "one operand has several rows of a sample along its batch axis, the other has not")


def _of_two(at: Lowering, make: Binary) -> SSAValue:
    a, b = at.activation(0), at.activation(1)
    require_aligned(at, 0, 1)
    return at.add(make(a, b, at.label))
