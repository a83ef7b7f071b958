"""Conv: one and two spatial axes, any stride, padding, dilation and group."""

from xdsl.ir import SSAValue

from cimc.frontend.lowering import Lowering
from cimc.frontend.quantisation import note_steps
from cimc.frontend.spatial import channels_first, channels_last, groups, height_width, place
from cimc.ir import build
from cimc.ir.build import Window
from cimc.ir.nn import Computed
from cimc.ir.types import shape_of
from cimc.isa.limits import WINDOW_MOST


def convolution(at: Lowering) -> SSAValue:
    """Constant weight and bias; 1 or 2 spatial axes; any strides, pads, dilations and group."""
    kernel, rank = at.finite(1), len(at.full_shape(at.node.inputs[0])) - 1
    if kernel.ndim != rank + 1:
        raise at.refuse("CIM0104", f"a weight of rank {kernel.ndim} does not fit {rank - 1} spatial axes")
    last = channels_last(at)
    window = place(at, kernel.shape[2:], height_width(last)[3 - rank :]).window
    positions = window.out(height_width(last))
    _require_result(at, positions)
    is_cut = rank == 2 and _is_beyond_windows(window)
    if rank == 2:
        kernel = kernel[:, :, :, None] if is_cut else kernel[:, :, None, :]
    group = groups(at, shape_of(last)[2], kernel.shape[1], kernel.shape[0])
    weight = at.weight(kernel.transpose(2, 3, 1, 0), at.node.inputs[1])
    bias = at.weight(at.reals(2), at.node.inputs[2]) if at.node.has(2) else None
    x, over = (_cut(at, last, window), Window((window.kernel[1], 1))) if is_cut else (last, window)
    op = build.conv(x, weight, bias, over, group, at.helper("cut") if is_cut else at.label)
    note_steps(at, op, 0)
    return channels_first(at, _joined(at, op, positions) if is_cut else op, rank)


def _is_beyond_windows(window: Window) -> bool:
    """Say whether a kernel takes each of its positions in turn, its elements further apart than windows can say."""
    return window.kernel[1] > 1 and window.stride == (1, 1) and window.dilation[1] > WINDOW_MOST


def _cut(at: Lowering, line: SSAValue, window: Window) -> SSAValue:
    """Return a line of data, pads included, cut into rows as long as a kernel's elements are apart: they are neighbours
    in a column then, which any window can say.
    """
    apart, before, after = window.dilation[1], window.pads[1], window.pads[3]
    _, length, channels = shape_of(line)
    after += -(before + length + after) % apart
    if before or after:
        line = at.add(build.pad(line, (0, before, 0), (0, after, 0), 0.0, at.helper("padded")))
    return at.reshaped(line, (shape_of(line)[1] // apart, apart, channels), "rows")


def _joined(at: Lowering, op: Computed, positions: tuple[int, int]) -> Computed:
    """Return the rows of a result as one line of so many positions."""
    rows, apart, channels = shape_of(at.add(op))
    line = at.reshaped(op.results[0], (1, rows * apart, channels), "line")
    return build.slice_(line, (0, 0, 0), (1, 1, 1), (*positions, channels), at.label)


def _require_result(at: Lowering, positions: tuple[int, int]) -> None:
    if min(positions) < 1:
        raise at.refuse("CIM0107", f"the kernel is larger than the padded data: {positions} positions")
