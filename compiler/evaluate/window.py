"""im2col: the windows of dialect `xbar` as vectors."""

from dataclasses import dataclass

from cimc.evaluate import layout
from cimc.evaluate.builder import Builder
from cimc.ir.attributes import Ints, int_values


@dataclass(frozen=True)
class XbarWindow:
    """Pairs run down, then across; `before` is the padding above and left."""

    kernel: tuple[int, int]
    stride: tuple[int, int]
    dilation: tuple[int, int]
    before: tuple[int, int]
    positions: tuple[int, int]

    @staticmethod
    def of(attribute: Ints | None) -> "XbarWindow":
        kh, kw, sh, sw, dh, dw, top, left, oh, ow = int_values(attribute)
        return XbarWindow((kh, kw), (sh, sw), (dh, dw), (top, left), (oh, ow))

    @property
    def taps(self) -> int:
        return self.kernel[0] * self.kernel[1]

    @property
    def extent(self) -> tuple[int, int]:
        """How many rows and columns all positions together read."""
        down, across = (
            (self.positions[a] - 1) * self.stride[a] + (self.kernel[a] - 1) * self.dilation[a] for a in (0, 1)
        )
        return down + 1, across + 1


def read_region(b: Builder, x: str, shape: tuple[int, ...], window: XbarWindow, fill: float) -> str:
    """Return the part of (height, width, channels) that the window reads, with `fill` outside the tensor."""
    extent, before = window.extent, window.before
    after = [extent[a] - before[a] - shape[a] for a in (0, 1)]
    x = layout.pad(b, x, (*before, 0), (*(max(more, 0) for more in after), 0), fill)
    return x if min(after) >= 0 else layout.cut(b, x, (0, 0), extent, (1, 1))


def im2col(b: Builder, x: str, shape: tuple[int, ...], window: XbarWindow, fill: float) -> str:
    """Return (output height, output width, taps * channels): vectors over kernel row, kernel column, channel."""
    x = read_region(b, x, shape, window, fill)
    if window.positions == (1, 1):
        taps = layout.cut(b, x, (0, 0), window.kernel, window.dilation)
        return layout.reshape(b, taps, (1, 1, window.taps * shape[2]))
    corners = [(row * window.dilation[0], col * window.dilation[1]) for row, col in _kernel_taps(window)]
    parts = [layout.cut(b, x, corner, window.positions, window.stride) for corner in corners]
    return parts[0] if len(parts) == 1 else b.node("Concat", *parts, axis=-1)


def taps_apart(b: Builder, x: str, shape: tuple[int, ...], window: XbarWindow, fill: float) -> str:
    """Return (output height, output width, taps, channels)."""
    return layout.reshape(b, im2col(b, x, shape, window, fill), (*window.positions, window.taps, shape[2]))


def _kernel_taps(window: XbarWindow) -> list[tuple[int, int]]:
    return [(row, col) for row in range(window.kernel[0]) for col in range(window.kernel[1])]
