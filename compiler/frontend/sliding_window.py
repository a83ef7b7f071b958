"""How ONNX moves a kernel over data: explicit and automatic padding, ceil_mode, over any number of spatial axes."""

from dataclasses import dataclass

from cimc.frontend.node import Node
from cimc.ir.nn import window_out

Sizes = tuple[int, ...]


@dataclass(frozen=True)
class SlidingWindow:
    """The attributes of one Conv or pool node; pads list all befores, then all afters."""

    kernel: Sizes
    stride: Sizes
    dilation: Sizes
    rule: str
    explicit: Sizes
    ceil: bool

    @property
    def is_sound(self) -> bool:
        """Whether the lists have one entry per axis and sensible values."""
        rank = len(self.kernel)
        lengths = len(self.stride) == len(self.dilation) == rank and len(self.explicit) == 2 * rank
        return lengths and min((*self.kernel, *self.stride, *self.dilation)) > 0 and min(self.explicit) >= 0

    def stated_pads(self, size: Sizes) -> Sizes:
        """Return the pads that the node states or that its auto_pad rule gives."""
        if self.rule == "NOTSET":
            return self.explicit
        if self.rule == "VALID":
            return (0,) * (2 * len(size))
        totals = [self._missing(axis, size[axis]) for axis in range(len(size))]
        small, large = [total // 2 for total in totals], [total - total // 2 for total in totals]
        return (*small, *large) if self.rule == "SAME_UPPER" else (*large, *small)

    def pads(self, size: Sizes) -> Sizes:
        """Return pads with which the rounded-down count of positions is ONNX's, ceil_mode included."""
        rank, stated = len(size), self.stated_pads(size)
        after = [self._after(axis, size[axis], stated[axis], stated[axis + rank]) for axis in range(rank)]
        return (*stated[:rank], *after)

    def positions(self, size: Sizes) -> Sizes:
        """Return how many positions there are along each axis."""
        rank, pads = len(size), self.pads(size)
        return tuple(
            window_out(size[a], pads[a], pads[a + rank], self.kernel[a], self.stride[a], self.dilation[a])
            for a in range(rank)
        )

    def _reach(self, axis: int) -> int:
        return self.dilation[axis] * (self.kernel[axis] - 1) + 1

    def _missing(self, axis: int, size: int) -> int:
        """Return the padding with which every stride-th element is the start of a position."""
        positions = -(-size // self.stride[axis])
        return max((positions - 1) * self.stride[axis] + self._reach(axis) - size, 0)

    def _after(self, axis: int, size: int, before: int, after: int) -> int:
        """With ceil_mode the last position may hang over the end, but must not start behind the data."""
        if not self.ceil:
            return after
        stride, reach = self.stride[axis], self._reach(axis)
        positions = -(-(size + before + after - reach) // stride) + 1
        if (positions - 1) * stride >= size + before:
            positions -= 1
        exact = (size + before + after - reach) // stride + 1 == positions
        return after if exact else max((positions - 1) * stride + reach - size - before, 0)


def sliding_window_of(node: Node, kernel: Sizes, size: Sizes) -> SlidingWindow:
    """Return the motion of a node with a kernel over as many axes as `size` has."""
    rank = len(size)
    return SlidingWindow(
        kernel,
        node.ints("strides", (1,) * rank),
        node.ints("dilations", (1,) * rank),
        node.text("auto_pad", "NOTSET"),
        node.ints("pads", (0,) * (2 * rank)),
        node.integer("ceil_mode", 0) == 1,
    )
