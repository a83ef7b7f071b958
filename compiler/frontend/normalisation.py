"""Layer, RMS, instance, group and Lp normalisation: one operation over the last axis, and what each scales by."""

import numpy as np
from xdsl.ir import SSAValue

from cimc.frontend.elementary import table
from cimc.frontend.lowering import Lowering, Reals
from cimc.frontend.reduction import average
from cimc.ir import build
from cimc.ir.types import shape_of


def layer(at: Lowering) -> tuple[SSAValue, ...]:
    """From any axis on; the mean and the inverse of the deviation where they are used."""
    y = _over_last_axes(at, centred=True, bias=2)
    if not [name for name in at.node.outputs[1:] if name]:
        return (y,)
    x = at.activation(0)
    axes = range(at.axis(at.node.integer("axis", -1)), len(shape_of(x)))
    mean = average(at, x, axes, "mean")
    away = at.add(build.sub(x, mean, at.helper("away")))
    variance = average(at, at.add(build.mul(away, away, at.helper("squares"))), axes, "variance")
    return y, mean, table(at, "power", variance, -0.5, 1.0, at.node.real("epsilon", 1e-5), suffix="inverse")


def root_mean_square(at: Lowering) -> SSAValue:
    """Constant scale, from any axis on."""
    return _over_last_axes(at, centred=False, bias=None)


def _over_last_axes(at: Lowering, centred: bool, bias: int | None) -> SSAValue:
    """Normalise the axes from `axis` on, as one; scale and bias broadcast to them."""
    x = at.activation(0)
    axis, shape = at.axis(at.node.integer("axis", -1)), shape_of(x)
    length, inputs = int(np.prod(shape[axis:])), (1, len(at.node.inputs) if bias is None else bias)
    computed = [index for index in inputs if at.node.has(index) and not at.is_constant(index)]
    scale, offset = (
        _vector(at, index, shape[axis:], default) if index not in computed else np.full(length, default)
        for index, default in zip(inputs, (1.0, 0.0), strict=True)
    )
    if computed and inputs[0] not in computed:
        raise at.refuse("CIM0104", "a computed bias beside a constant scale", hint="make both constants")
    plain = np.zeros(length) if computed else offset
    y = _normalised(at, x, (*shape[:axis], length), centred, scale, plain, at.helper("plain") if computed else "")
    return _scaled(at, y, inputs) if computed else y


def _scaled(at: Lowering, y: SSAValue, inputs: tuple[int, int]) -> SSAValue:
    """Return y times a computed scale, plus a bias where there is one."""
    last = not at.node.has(inputs[1])
    y = at.add(build.mul(y, at.activation(inputs[0]), at.label if last else at.helper("scaled")))
    return y if last else at.add(build.add(y, at.operand(inputs[1]), at.label))


def _vector(at: Lowering, index: int, shape: tuple[int, ...], default: float) -> Reals:
    """Return a constant input broadcast over the normalised axes, as one vector."""
    if not at.node.has(index):
        return np.full(int(np.prod(shape)), default)
    values = at.reals(index)
    values = values.reshape(values.shape[max(values.ndim - len(shape), 0) :])
    return np.array(np.broadcast_to(values, shape)).reshape(-1)


def _normalised(
    at: Lowering, x: SSAValue, flat: tuple[int, ...], centred: bool, scale: Reals, bias: Reals, label: str = ""
) -> SSAValue:
    """Append the normalisation of the last axis of `x` under shape `flat`; the result has the shape of `x`."""
    shape, epsilon = shape_of(x), at.node.real("epsilon", 1e-5)
    refs = [at.weight(values, f"{at.label}.{name}") for name, values in (("scale", scale), ("bias", bias))]
    last = label or (at.label if flat == shape else at.helper("flat"))
    y = at.add(build.norm(at.reshaped(x, flat, "rows"), centred, epsilon, refs[0], refs[1], last))
    return y if flat == shape else at.add(build.reshape(y, shape, at.helper("shaped") if label else at.label))


def instance(at: Lowering) -> SSAValue:
    """Each channel of each image on its own."""
    return _of_channels(at, groups=at.full_shape(at.node.inputs[0])[1])


def group(at: Lowering) -> SSAValue:
    """Groups of channels; scale and bias per channel, or per group before opset 21."""
    return _of_channels(at, at.node.integer("num_groups", 1))


def _of_channels(at: Lowering, groups: int) -> SSAValue:
    """Normalise groups of channels; in a model without a batch the images are one more axis."""
    images = at.full_shape(at.node.inputs[0])[0] if at.batch_axis(at.node.inputs[0]) is None else 1
    x = at.activation(0) if images > 1 else at.image(0)
    shape = shape_of(x)
    channels = at.full_shape(at.node.inputs[0])[1]
    if groups < 1 or channels % groups:
        raise at.refuse("CIM0102", f"{channels} channels in {groups} groups")
    length = int(np.prod(shape)) // (groups * images)
    y = _normalised(
        at, x, (images * groups, length), True, np.ones(length), np.zeros(length), label=at.helper("normalised")
    )
    result = _per_channel(at, y, len(at.full_shape(at.node.inputs[0])) - 2)
    return result if images > 1 else at.from_image(result)


def _per_channel(at: Lowering, y: SSAValue, spatial: int) -> SSAValue:
    """Scale and shift the channels, which lie before so many spatial axes; constants of groups are repeated."""
    channels = shape_of(y)[-spatial - 1]
    lead = (1,) * (len(shape_of(y)) - spatial - 1)
    if not (at.is_constant(1) and at.is_constant(2)):
        factors = [at.reshaped(at.operand(n), (channels, *(1,) * spatial), f"factor{n}") for n in (1, 2)]
        return at.add(build.add(at.add(build.mul(y, factors[0], at.helper("scaled"))), factors[1], at.label))
    arrays = [_of_channels_each(at, n, channels) for n in (1, 2)]
    refs = [
        at.weight(array.reshape(*lead, channels, *(1,) * spatial), f"{at.label}.{n}") for n, array in enumerate(arrays)
    ]
    return at.add(build.affine(y, refs[0], refs[1], at.label))


def _of_channels_each(at: Lowering, index: int, channels: int) -> Reals:
    """Return a number for each channel from a constant of one a channel or one a group."""
    values = at.reals(index).reshape(-1)
    if channels % len(values):
        raise at.refuse("CIM0102", f"'{at.node.inputs[index]}' holds {len(values)} numbers for {channels} channels")
    return np.repeat(values, channels // len(values))


def length(at: Lowering) -> SSAValue:
    """LpNormalization with p = 2: a vector over its length."""
    if at.node.integer("p", 2) != 2:
        raise at.refuse("CIM0104", f"p = {at.node.integer('p', 2)}, only 2 is supported")
    x, rank = at.activation(0), len(shape_of(at.activation(0)))
    axis = at.axis(at.node.integer("axis", -1))
    order = [other for other in range(rank) if other != axis] + [axis]
    turned = at.transposed(x, order, "last")
    size = shape_of(turned)[-1]
    refs = [at.weight(np.full(size, value), f"{at.label}.{value:g}") for value in (size**-0.5, 0.0)]
    y = at.add(build.norm(turned, False, 0.0, refs[0], refs[1], at.label))
    return at.transposed(y, [order.index(other) for other in range(rank)], "back")
