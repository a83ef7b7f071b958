"""Layout and windows of ONNX's spatial operators: channels-first data of one or two spatial axes, padding rules."""

from dataclasses import dataclass

from xdsl.ir import SSAValue

from cimc.frontend.site import Site
from cimc.ir.build import Window
from cimc.ir.nn import Computed
from cimc.ir.types import shape_of


def channels_last(at: Site, x: SSAValue) -> SSAValue:
    """Return (channels, [height,] width) data as (height, width, channels); height is 1 for 1-D data."""
    rank = len(shape_of(x))
    if rank not in (2, 3):
        raise at.refuse("CIM0104", f"{rank - 1} spatial axes, supported are 1 and 2")
    last = at.transposed(x, (*range(1, rank), 0), "nhwc")
    return last if rank == 3 else at.reshaped(last, (1, *shape_of(last)), "2d")


def channels_first(at: Site, op: Computed, rank: int) -> SSAValue:
    """Append `op`, which computes (height, width, channels), and return its result in ONNX's order."""
    y = at.add(op)
    if rank == 2:
        y = at.reshaped(y, shape_of(y)[1:], "1d")
    return at.transposed(y, (rank - 1, *range(rank - 1)), "nchw")


@dataclass(frozen=True)
class Placement:
    """A window on height and width; `counted` are the pads the model states, without those of ceil_mode."""

    window: Window
    counted: tuple[int, int, int, int]


def place(at: Site, kernel: tuple[int, ...], size: tuple[int, ...]) -> Placement:
    """Return how a node's kernel moves over data of spatial `size`, from its attributes."""
    rank = len(kernel)
    stride, dilation = at.node.ints("strides", (1,) * rank), at.node.ints("dilations", (1,) * rank)
    stated = _stated_pads(at, kernel, size, stride, dilation)
    if any(value < 1 for value in (*kernel, *stride, *dilation)) or min(stated) < 0:
        raise at.refuse("CIM0104", f"kernel {kernel}, strides {stride}, dilations {dilation}, pads {stated}")
    ceil = at.node.integer("ceil_mode", 0) == 1
    after = [
        _after(size[a], stated[a], stated[a + rank], kernel[a], stride[a], dilation[a], ceil) for a in range(rank)
    ]
    pads = (*stated[:rank], *after)
    window = Window(
        _pair(kernel, 1), _pair(stride, 1), _pair(dilation, 1), _quad(pads)
    )
    counted = _quad(tuple(min(a, b) for a, b in zip(stated, pads, strict=True)))
    return Placement(window, counted)


def _pair(values: tuple[int, ...], first: int) -> tuple[int, int]:
    return (values[0], values[1]) if len(values) == 2 else (first, values[0])


def _quad(pads: tuple[int, ...]) -> tuple[int, int, int, int]:
    return (pads[0], pads[1], pads[2], pads[3]) if len(pads) == 4 else (0, pads[0], 0, pads[1])


def _stated_pads(
    at: Site, kernel: tuple[int, ...], size: tuple[int, ...], stride: tuple[int, ...], dilation: tuple[int, ...]
) -> tuple[int, ...]:
    rank, rule = len(kernel), at.node.text("auto_pad", "NOTSET")
    if rule == "NOTSET":
        return at.node.ints("pads", (0,) * (2 * rank))
    if rule == "VALID":
        return (0,) * (2 * rank)
    before, after = [], []
    for a in range(rank):
        out = -(-size[a] // stride[a])
        total = max((out - 1) * stride[a] + dilation[a] * (kernel[a] - 1) + 1 - size[a], 0)
        small, large = total // 2, total - total // 2
        before.append(small if rule == "SAME_UPPER" else large)
        after.append(large if rule == "SAME_UPPER" else small)
    return (*before, *after)


def _after(size: int, before: int, after: int, kernel: int, stride: int, dilation: int, ceil: bool) -> int:
    """Return the padding behind the data with which the rounded-down count of positions is ONNX's.

    With ceil_mode the last position may hang over the end, but must not start behind the data and the padding before it.
    """
    reach = dilation * (kernel - 1) + 1
    if not ceil:
        return after
    positions = -(-(size + before + after - reach) // stride) + 1
    if (positions - 1) * stride >= size + before:
        positions -= 1
    needed = max((positions - 1) * stride + reach - size - before, 0)
    exact = (size + before + after - reach) // stride + 1 == positions
    return after if exact else needed


def require_data(at: Site, placement: Placement, size: tuple[int, int]) -> None:
    """Refuse a pool with a position that sees padding only: it has no defined result."""
    window = placement.window
    for a, positions in enumerate(window.out(size)):
        for position in range(positions):
            first = position * window.stride[a] - window.pads[a]
            taps = range(first, first + window.kernel[a] * window.dilation[a], window.dilation[a])
            if not any(0 <= tap < size[a] for tap in taps):
                raise at.refuse("CIM0104", f"position {position} of spatial axis {a} sees padding only")


def height_width(x: SSAValue) -> tuple[int, int]:
    height, width, _ = shape_of(x)
    return height, width


