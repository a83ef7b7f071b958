"""Reductions over any axes but the batch: pools over all of them, and what is composed of such pools."""

from collections.abc import Callable, Sequence
from math import prod

from xdsl.ir import SSAValue

from cimc.frontend.elementary import label_for, scaled, table
from cimc.frontend.lowering import Lowering
from cimc.ir import build
from cimc.ir.build import Window
from cimc.ir.nn import Computed
from cimc.ir.types import shape_of

Axes = Sequence[int]
Pool = Callable[[SSAValue, Window, str], Computed]
Reduction = Callable[[Lowering, SSAValue, Axes], SSAValue]
MOST_FACTORS = 1024
"""Factors of a product along one axis: each is an operation, and codes of a product of so many say nothing."""


def reduction(reduce: Reduction) -> Callable[[Lowering], SSAValue]:
    """Return the translation of an ONNX reduction from a function that leaves the reduced axes one long."""

    def translate(at: Lowering) -> SSAValue:
        """Constant axes."""
        axes = at.integers(1) if at.node.has(1) else ()
        x = at.activation(0)
        if not axes and at.node.integer("noop_with_empty_axes", 0):
            return x
        every = range(len(shape_of(x)))
        chosen = sorted(at.axis(axis) for axis in axes) if axes else list(every)
        return at.reshaped(reduce(at, x, chosen) if chosen else x, at.result_shape(), "kept")

    return translate


def average(at: Lowering, x: SSAValue, axes: Axes, suffix: str = "") -> SSAValue:
    """Return the mean over per-sample axes, which become one long."""
    return _pooled(at, x, axes, lambda data, window, label: build.avg_pool(data, window, (0, 0, 0, 0), label), suffix)


def maximum(at: Lowering, x: SSAValue, axes: Axes, suffix: str = "") -> SSAValue:
    """Return the maximum over per-sample axes, which become one long."""
    return _pooled(at, x, axes, build.max_pool, suffix)


def minimum(at: Lowering, x: SSAValue, axes: Axes) -> SSAValue:
    """The negated maximum of the negated values: exact on codes."""
    return scaled(at, maximum(at, scaled(at, x, -1.0, suffix="negated"), axes, "max"), -1.0)


def total(at: Lowering, x: SSAValue, axes: Axes, suffix: str = "") -> SSAValue:
    """Return the sum over per-sample axes: their mean, scaled."""
    count = prod(shape_of(x)[axis] for axis in axes)
    return scaled(at, average(at, x, axes, "mean"), float(count), suffix=suffix)


def total_of_squares(at: Lowering, x: SSAValue, axes: Axes, suffix: str = "") -> SSAValue:
    return total(at, at.add(build.mul(x, x, at.helper("squares"))), axes, suffix)


def total_of_sizes(at: Lowering, x: SSAValue, axes: Axes) -> SSAValue:
    return total(at, table(at, "abs", x, suffix="sizes"), axes)


def length(at: Lowering, x: SSAValue, axes: Axes) -> SSAValue:
    """The root of the sum of squares."""
    return table(at, "sqrt", total_of_squares(at, x, axes, "sum"))


def logarithm_of_total(at: Lowering, x: SSAValue, axes: Axes) -> SSAValue:
    return table(at, "log", total(at, x, axes, "sum"))


def logarithm_of_exponentials(at: Lowering, x: SSAValue, axes: Axes) -> SSAValue:
    """max + log(sum(exp(x - max)))"""
    largest = maximum(at, x, axes, "max")
    exponentials = table(at, "exp", at.add(build.sub(x, largest, at.helper("below"))), suffix="exp")
    return at.add(build.add(largest, table(at, "log", total(at, exponentials, axes, "sum"), suffix="log"), at.label))


def product(at: Lowering, x: SSAValue, axes: Axes) -> SSAValue:
    """Factor after factor; a mean of one entry gives the single factor its shape."""
    for axis in axes:
        x = _multiplied(at, x, axis)
    return x


def _multiplied(at: Lowering, x: SSAValue, axis: int) -> SSAValue:
    if shape_of(x)[axis] > MOST_FACTORS:
        raise at.refuse("CIM0104", f"a product of {shape_of(x)[axis]} factors, {MOST_FACTORS} are supported")
    shape = [1 if a == axis else size for a, size in enumerate(shape_of(x))]
    begins = [[place if a == axis else 0 for a in range(len(shape))] for place in range(shape_of(x)[axis])]
    step = [1] * len(shape)
    factors = [at.add(build.slice_(x, begin, step, shape, at.helper("factor"))) for begin in begins]
    result = factors[0]
    for factor in factors[1:]:
        result = at.add(build.mul(result, factor, at.helper("product")))
    return result


def place_of_extremum(smallest: bool) -> Callable[[Lowering], SSAValue]:
    """Return the translation of ArgMax or ArgMin."""

    def translate(at: Lowering) -> SSAValue:
        """The result holds whole numbers."""
        x, axis = at.activation(0), at.axis(at.node.integer("axis", 0))
        order = [other for other in range(len(shape_of(x))) if other != axis] + [axis]
        last = at.node.integer("select_last_index", 0) == 1
        places = at.add(build.arg_max(at.transposed(x, order, "last"), smallest, last, at.label))
        return at.reshaped(places, at.result_shape(), "kept")

    return translate


def _pooled(at: Lowering, x: SSAValue, axes: Axes, pool: Pool, suffix: str) -> SSAValue:
    """Return the pool over whole axes, which become one long: the reduced axes in front are height and width."""
    shape = shape_of(x)
    result = [1 if axis in axes else size for axis, size in enumerate(shape)]
    if list(axes) == [len(shape) - 1]:  # the last axis alone is a width: nothing moves
        flat = at.reshaped(x, (prod(shape[:-1]), shape[-1], 1), "windows")
        return at.reshaped(at.add(pool(flat, Window((1, shape[-1])), label_for(at, suffix))), result, "reduced")
    kept = [axis for axis in range(len(shape)) if axis not in axes]
    front = at.transposed(x, (*axes, *kept), "front")
    height, width = shape[axes[0]], prod(shape[axis] for axis in axes[1:])
    flat = at.reshaped(front, (height, width, prod(shape[axis] for axis in kept)), "windows")
    return at.reshaped(at.add(pool(flat, Window((height, width)), label_for(at, suffix))), result, "reduced")
