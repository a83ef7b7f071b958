"""Layout and windows of ONNX's spatial operators: channels-first data of one or two spatial axes."""

from dataclasses import dataclass

from xdsl.ir import SSAValue

from cimc.frontend.lowering import Lowering
from cimc.frontend.sliding_window import sliding_window_of
from cimc.ir.build import Window
from cimc.ir.nn import Computed
from cimc.ir.types import shape_of


def channels_last(at: Lowering) -> SSAValue:
    """Return the node's (channels, [height,] width) data as (height, width, channels); height is 1 for 1-D data."""
    x = at.image(0)
    rank = len(shape_of(x))
    if rank not in (2, 3):
        raise at.refuse("CIM0104", f"{rank - 1} spatial axes, supported are 1 and 2")
    last = at.transposed(x, (*range(1, rank), 0), "nhwc")
    return last if rank == 3 else at.reshaped(last, (1, *shape_of(last)), "2d")


def channels_first(at: Lowering, op: Computed, rank: int) -> SSAValue:
    """Append `op`, which computes (height, width, channels), and return its result in ONNX's order."""
    y = at.add(op)
    if rank == 2:
        y = at.reshaped(y, shape_of(y)[1:], "1d")
    return at.from_image(at.transposed(y, (rank - 1, *range(rank - 1)), "nchw"))


@dataclass(frozen=True)
class Placement:
    """A window on height and width; `counted` are the pads the model states, without those of ceil_mode."""

    window: Window
    counted: tuple[int, int, int, int]


def place(at: Lowering, kernel: tuple[int, ...], size: tuple[int, ...]) -> Placement:
    """Return how a node's kernel moves over data of spatial `size`, from its attributes."""
    motion = sliding_window_of(at.node, kernel, size)
    if not motion.is_sound:
        raise at.refuse("CIM0104", f"unusable window: {motion}")
    stated = motion.stated_pads(size)
    pads = motion.pads(size)
    window = Window(_pair(kernel), _pair(motion.stride), _pair(motion.dilation), _quad(pads))
    return Placement(window, _quad(tuple(min(a, b) for a, b in zip(stated, pads, strict=True))))


def _pair(values: tuple[int, ...]) -> tuple[int, int]:
    return (values[0], values[1]) if len(values) == 2 else (1, values[0])


def _quad(pads: tuple[int, ...]) -> tuple[int, int, int, int]:
    return (pads[0], pads[1], pads[2], pads[3]) if len(pads) == 4 else (0, pads[0], 0, pads[1])


def require_data(at: Lowering, placement: Placement, size: tuple[int, int]) -> None:
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


def groups(at: Lowering, channels: int, each: int, outputs: int) -> int:
    """Return the groups of a convolution from so many channels, `each` of them in a group, to `outputs` channels.

    Raises CimcError CIM0102 where channels or outputs do not fit them.
    """
    count = at.node.integer("group", 1)
    if count < 1 or channels != each * count or outputs % count:
        raise at.refuse(
            "CIM0102", f"a weight from {each} to {outputs} channels in {count} groups, for {channels} channels"
        )
    return count
