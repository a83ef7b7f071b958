"""Layer, RMS, instance, group and Lp normalisation: one operation over the last axis, and what each scales by."""

import numpy as np
from xdsl.ir import SSAValue

from cimc.frontend.site import Reals, Site
from cimc.ir import build
from cimc.ir.types import shape_of


def layer(at: Site) -> SSAValue:
    return _over_last_axes(at, centred=True, bias=2)


def root_mean_square(at: Site) -> SSAValue:
    return _over_last_axes(at, centred=False, bias=None)


def _over_last_axes(at: Site, centred: bool, bias: int | None) -> SSAValue:
    """Normalise the axes from `axis` on, as one; scale and bias broadcast to them."""
    if [name for name in at.node.outputs[1:] if name]:
        raise at.refuse("CIM0104", "the mean or the deviation is used", hint="export without these outputs")
    x = at.activation(0)
    axis, shape = at.axis(at.node.integer("axis", -1)), shape_of(x)
    length = int(np.prod(shape[axis:]))
    scale = _vector(at, 1, shape[axis:], 1.0)
    offset = _vector(at, bias, shape[axis:], 0.0) if bias is not None else np.zeros(length)
    return _normalised(at, x, (*shape[:axis], length), centred, scale, offset)


def _vector(at: Site, index: int, shape: tuple[int, ...], default: float) -> Reals:
    """Return a constant input broadcast over the normalised axes, as one vector."""
    if not at.node.has(index):
        return np.full(int(np.prod(shape)), default)
    values = at.reals(index)
    values = values.reshape(values.shape[max(values.ndim - len(shape), 0) :])
    return np.array(np.broadcast_to(values, shape)).reshape(-1)


def _normalised(
    at: Site, x: SSAValue, flat: tuple[int, ...], centred: bool, scale: Reals, bias: Reals, label: str = ""
) -> SSAValue:
    """Append the normalisation of the last axis of `x` under shape `flat`; the result has the shape of `x`."""
    shape, epsilon = shape_of(x), at.node.real("epsilon", 1e-5)
    refs = [at.weight(values, f"{at.label}.{name}") for name, values in (("scale", scale), ("bias", bias))]
    last = label or (at.label if flat == shape else at.helper("flat"))
    y = at.add(build.norm(at.reshaped(x, flat, "rows"), centred, epsilon, refs[0], refs[1], last))
    return y if flat == shape else at.add(build.reshape(y, shape, at.helper("shaped") if label else at.label))


def instance(at: Site) -> SSAValue:
    """Each channel of each image on its own."""
    channels = shape_of(at.image(0))[0]
    return _of_channels(at, groups=channels, scale=at.reals(1), bias=at.reals(2))


def group(at: Site) -> SSAValue:
    """Groups of channels; scale and bias per channel, or per group before opset 21."""
    channels, groups = shape_of(at.image(0))[0], at.node.integer("num_groups", 1)
    scale, bias = (np.repeat(at.reals(index), channels // len(at.reals(index))) for index in (1, 2))
    return _of_channels(at, groups, scale, bias)


def _of_channels(at: Site, groups: int, scale: Reals, bias: Reals) -> SSAValue:
    x = at.image(0)
    shape = shape_of(x)
    length = int(np.prod(shape)) // groups
    y = _normalised(at, x, (groups, length), True, np.ones(length), np.zeros(length), label=at.helper("normalised"))
    per_channel = (len(scale), *(1,) * (len(shape) - 1))
    refs = [
        at.weight(values.reshape(per_channel), f"{at.label}.{name}")
        for name, values in (("factor", scale), ("offset", bias))
    ]
    return at.from_image(at.add(build.affine(y, refs[0], refs[1], at.label)))


def length(at: Site) -> SSAValue:
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
