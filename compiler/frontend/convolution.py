"""Conv: one and two spatial axes, any stride, padding, dilation and group."""

from xdsl.ir import SSAValue

from cimc.frontend.lowering import Lowering
from cimc.frontend.quantisation import note_steps
from cimc.frontend.spatial import channels_first, channels_last, groups, height_width, place
from cimc.ir import build


def convolution(at: Lowering) -> SSAValue:
    """Constant weight and bias; 1 or 2 spatial axes; any strides, pads, dilations and group."""
    kernel, rank = at.finite(1), len(at.full_shape(at.node.inputs[0])) - 1
    if kernel.ndim != rank + 1:
        raise at.refuse("CIM0104", f"a weight of rank {kernel.ndim} does not fit {rank - 1} spatial axes")
    last = channels_last(at)
    placement = place(at, kernel.shape[2:], height_width(last)[3 - rank :])
    _require_result(at, placement.window.out(height_width(last)))
    if rank == 2:
        kernel = kernel[:, :, None, :]
    weight = at.weight(kernel.transpose(2, 3, 1, 0), at.node.inputs[1])
    bias = at.weight(at.reals(2), at.node.inputs[2]) if at.node.has(2) else None
    op = build.conv(last, weight, bias, placement.window, groups(at), at.label)
    note_steps(at, op, 0)
    return channels_first(at, op, rank)


def _require_result(at: Lowering, positions: tuple[int, int]) -> None:
    if min(positions) < 1:
        raise at.refuse("CIM0107", f"the kernel is larger than the padded data: {positions} positions")
