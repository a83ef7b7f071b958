"""ConvTranspose: one convolution that computes all phases of the output, and the phases put in their places.

Output o takes input i with tap o + pad - i * stride. With o + pad = q * stride + p, phase p is an ordinary convolution
with the taps p, p + stride, p + 2 stride ... A convolution with stride^2 times the outputs computes all phases at once,
and no product with an inserted zero is ever made.
"""

from dataclasses import dataclass

import numpy as np
from xdsl.ir import SSAValue

from cimc.frontend.lowering import Lowering, Reals
from cimc.frontend.spatial import channels_first, channels_last, groups, height_width
from cimc.ir import build
from cimc.ir.build import Window
from cimc.ir.nn import Computed
from cimc.ir.types import shape_of

Pair = tuple[int, int]


@dataclass(frozen=True)
class Geometry:
    """Pairs run down, then across; `reach` is the dilated kernel, `before` the pads cut off, `out` the result."""

    stride: Pair
    dilation: Pair
    reach: Pair
    before: Pair
    out: Pair

    def taps(self, axis: int) -> int:
        """Return how many taps a phase has."""
        return -(-self.reach[axis] // self.stride[axis])

    def rows(self, axis: int) -> int:
        """Return how many positions q the convolution needs."""
        return -(-(self.before[axis] + self.out[axis]) // self.stride[axis])


def transposed_convolution(at: Lowering) -> SSAValue:
    """Constant weight and bias; 1 or 2 spatial axes; any strides, pads, output padding, dilations and group."""
    weight, rank = at.reals(1), len(at.full_shape(at.node.inputs[0])) - 1
    if weight.ndim != rank + 1:
        raise at.refuse("CIM0104", f"a weight of rank {weight.ndim} does not fit {rank - 1} spatial axes")
    x, count = channels_last(at), at.node.integer("group", 1)
    group = groups(at, shape_of(x)[2], weight.shape[0] // max(count, 1), weight.shape[1] * count)
    geometry = _geometry(at, weight.shape[2:], height_width(x)[3 - rank :])
    weight = weight[:, :, None] if rank == 2 else weight
    phases = _phases(weight, geometry, group)
    outputs = weight.shape[1] * group
    bias = at.reals(2) if at.node.has(2) else np.zeros(outputs)
    count = geometry.stride[0] * geometry.stride[1]
    biases = np.repeat(bias.reshape(group, 1, -1), count, axis=1).reshape(-1)
    refs = [at.weight(phases, at.node.inputs[1]), at.weight(biases, f"{at.label}.bias")]
    y = at.add(build.conv(x, refs[0], refs[1], _window(geometry, height_width(x)), group, at.helper("phases")))
    return channels_first(at, _assembled(at, y, geometry, group, outputs), rank)


def _geometry(at: Lowering, kernel: tuple[int, ...], size: tuple[int, ...]) -> Geometry:
    rank = len(size)
    stride, dilation = at.node.ints("strides", (1,) * rank), at.node.ints("dilations", (1,) * rank)
    reach = tuple((kernel[a] - 1) * dilation[a] + 1 for a in range(rank))
    out = at.full_shape(at.node.outputs[0])[2:]
    extra = at.node.ints("output_padding", (0,) * rank)
    whole = [(size[a] - 1) * stride[a] + reach[a] + extra[a] for a in range(rank)]
    pads = at.node.ints("pads", (0,) * (2 * rank))
    rule = at.node.text("auto_pad", "NOTSET")
    if rule == "VALID":
        pads = (0,) * (2 * rank)
    if rule in ("SAME_UPPER", "SAME_LOWER") or at.node.ints("output_shape", ()):
        cut = [whole[a] - out[a] for a in range(rank)]
        before = [total // 2 if rule == "SAME_UPPER" else total - total // 2 for total in cut]
    else:
        before = list(pads[:rank])
    if min(before) < 0:
        raise at.refuse("CIM0104", f"the output shape {out} is larger than what the input reaches, {tuple(whole)}")
    pairs = [(values[0], values[1]) if rank == 2 else (unit, values[0]) for values, unit in
             ((stride, 1), (dilation, 1), (reach, 1), (before, 0), (out, 1))]  # fmt: skip
    return Geometry(*pairs)


def _phases(weight: Reals, geometry: Geometry, group: int) -> Reals:
    """Return (taps down, taps across, channels / group, group * phases * outputs / group)."""
    stride, taps = geometry.stride, (geometry.taps(0), geometry.taps(1))
    full = np.zeros((*weight.shape[:2], taps[0] * stride[0], taps[1] * stride[1]))
    full[:, :, : geometry.reach[0] : geometry.dilation[0], : geometry.reach[1] : geometry.dilation[1]] = weight
    channels, outputs = weight.shape[0] // group, weight.shape[1]
    apart = full.reshape(group, channels, outputs, taps[0], stride[0], taps[1], stride[1])
    flipped = apart[:, :, :, ::-1, :, ::-1]  # group, channel, output, tap down, phase down, tap across, phase across
    return flipped.transpose(3, 5, 1, 0, 4, 6, 2).reshape(*taps, channels, -1)


def _window(geometry: Geometry, size: Pair) -> Window:
    """Position q reads inputs q - taps + 1 to q; positions that see padding only give the bias."""
    kernel = geometry.taps(0), geometry.taps(1)
    after = [max(geometry.rows(a) - size[a], 0) for a in (0, 1)]
    return Window(kernel, pads=(kernel[0] - 1, kernel[1] - 1, after[0], after[1]))


def _assembled(at: Lowering, y: SSAValue, geometry: Geometry, group: int, outputs: int) -> Computed:
    """Return the operation that leaves `out` of the phases in their places: (height, width, outputs)."""
    (rows, columns, _), (down, across) = shape_of(y), geometry.stride
    if group > 1:
        apart = at.reshaped(y, (rows * columns, group, down * across, outputs // group), "groups")
        y = at.transposed(apart, (0, 2, 1, 3), "joined")
    blocks = at.reshaped(y, (rows, columns, down, across * outputs), "apart")
    turned = at.transposed(blocks, (0, 2, 1, 3), "blocks") if down > 1 else blocks
    whole = at.reshaped(turned, (rows * down, columns * across, outputs), "whole")
    begin = (*geometry.before, 0)
    return build.slice_(whole, begin, (1, 1, 1), (*geometry.out, outputs), at.label)
