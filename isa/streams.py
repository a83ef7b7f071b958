"""The state of a stream: which elements of which memory it yields, in which order."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod

from cimc.isa.program import Instruction
from cimc.isa.table import ELEMENT_TYPES

Pair = tuple[int, int]
Shape = tuple[int, int, int, int]
AXES = 4
"""Axes of a stream."""


@dataclass(frozen=True)
class Im2colWindow:
    """An im2col window over (1, height, width, channels): pairs are (down, across); `fill` is the code read outside."""

    kernel: Pair
    stride: Pair
    dilation: Pair
    pad: Pair
    out: Pair
    fill: int

    @property
    def taps(self) -> int:
        return self.kernel[0] * self.kernel[1]

    def touched(self, axis: int, size: int) -> range:
        """Return the smallest range of rows (axis 0) or columns (axis 1) within 0..size-1 that holds every tap."""
        if not self.out[axis] or not self.kernel[axis]:
            return range(0)
        first = -self.pad[axis]
        last = first + (self.out[axis] - 1) * self.stride[axis] + (self.kernel[axis] - 1) * self.dilation[axis]
        return range(max(first, 0), min(last, size - 1) + 1)


@dataclass(frozen=True)
class StreamState:
    """What `tensor`, `window` and `advance` have made of a stream; `base` is in bytes, `pitch` in elements."""

    space: str
    type: str
    base: int
    shape: Shape
    pitch: Shape
    window: Im2colWindow | None = None

    @property
    def size(self) -> int:
        """Bytes of one element."""
        return ELEMENT_TYPES[self.type][0]

    @property
    def lowest(self) -> int:
        """Lowest value that an element holds."""
        size, signed = ELEMENT_TYPES[self.type]
        return -(1 << (8 * size - 1)) if signed else 0

    @property
    def highest(self) -> int:
        """Highest value that an element holds."""
        size, signed = ELEMENT_TYPES[self.type]
        return (1 << (8 * size - signed)) - 1

    @property
    def vectors(self) -> int:
        """Vectors that the stream yields."""
        if self.window:
            return self.window.out[0] * self.window.out[1]
        return self.shape[0] * self.shape[1] * self.shape[2]

    @property
    def length(self) -> int:
        """Elements of one vector."""
        return self.window.taps * self.shape[3] if self.window else self.shape[3]

    @property
    def elements(self) -> int:
        """Elements that the stream yields, padding included."""
        return self.vectors * self.length

    def address(self, a: int, b: int, c: int, d: int) -> int:
        """Return the byte address of tensor element (a, b, c, d)."""
        p = self.pitch
        return self.base + self.size * (a * p[0] + b * p[1] + c * p[2] + d * p[3])

    def touched(self) -> tuple[range, range, range, range]:
        """Return the indices touched along each axis: all of them, or those within reach of the window's taps."""
        a, b, c, d = self.shape
        if self.window is None:
            return range(a), range(b), range(c), range(d)
        return range(min(a, 1)), self.window.touched(0, b), self.window.touched(1, c), range(d)

    def extent(self) -> tuple[int, int]:
        """Return the lowest byte address touched and one past the highest; twice the base where nothing is."""
        axes = self.touched()
        if not all(axes):
            return self.base, self.base
        ends = [sorted((axis[0] * pitch, axis[-1] * pitch)) for axis, pitch in zip(axes, self.pitch, strict=True)]
        low = self.base + self.size * sum(end[0] for end in ends)
        high = self.base + self.size * (sum(end[1] for end in ends) + 1)
        return low, high


def dense(shape: Sequence[int]) -> tuple[int, ...]:
    """Return the pitches of a contiguous tensor, innermost axis last."""
    return tuple(prod(shape[axis + 1 :]) for axis in range(len(shape)))


def define(tensor: Instruction) -> StreamState:
    """Return the stream that a `tensor` instruction defines."""
    return StreamState(tensor.choice("space"), tensor.choice("type"), tensor["base"], tensor["shape"], tensor["pitch"])


def with_window(state: StreamState, window: Instruction) -> StreamState:
    """Return the stream after a `window` instruction; an earlier window is replaced."""
    return replace(
        state, window=Im2colWindow(*(window[name] for name in ("kernel", "stride", "dilation", "pad", "out", "fill")))
    )


def advanced(state: StreamState, advance: Instruction) -> StreamState:
    """Return the stream after an `advance` instruction."""
    return replace(state, base=state.base + advance["by"] * state.size)


def follow(streams: dict[int, StreamState], one: Instruction) -> None:
    """Take over what an instruction changes of streams, by number; a window or a move needs a defined one."""
    match one.name:
        case "tensor":
            streams[one["stream"]] = define(one)
        case "window":
            streams[one["stream"]] = with_window(streams[one["stream"]], one)
        case "advance":
            streams[one["stream"]] = advanced(streams[one["stream"]], one)
