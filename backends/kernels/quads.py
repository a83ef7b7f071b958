"""Tables for weighted sums of bytes, as quads.h takes them: four taps of a row side by side, piece by piece."""

from dataclasses import dataclass

import numpy as np

from cimc.backends.kernels.layout import Rectangle
from cimc.backends.kernels.library import BLOCK, FOURTHS, PIECE, TAPS
from cimc.backends.plan.memory import Array

FLIPS = {"i8": 0x80, "u8": 0}
"""What makes bytes of a type unsigned, as one side of a product of bytes is: XOR with this."""


@dataclass(frozen=True)
class Grid:
    """Results [rows, lines] of `joined` vectors each, and what their windows read [height, width] of a rectangle.

    `stride` is in rows of the rectangle, `length` the elements of a line, and tables repeat after `period` of them.
    """

    rows: int
    lines: int
    joined: int
    stride: int
    height: int
    width: int
    length: int
    period: int

    @property
    def across(self) -> int:
        """Quads that a row of taps takes."""
        return -(-self.width // TAPS)

    @property
    def fills(self) -> bool:
        """Whether lines take up half of the pieces that they are cut into, or more."""
        return 2 * self.length >= _filled(self.length)


def grid(source: Rectangle, kernel: tuple[int, int], out: tuple[int, int], spacing: int) -> Grid | None:
    """Return how a window's results, `spacing` bytes from vector to vector, are cut into lines.

    Vectors that lie side by side on both sides are one line, where tables repeat with its pieces. None where rows of
    taps are apart.
    """
    line, channels = int(source.source.size[1]) * source.channels, source.channels
    taps, places = source.elements.reshape(*kernel, channels)[:, :, 0], source.places.reshape(out)
    if kernel[0] > 1 and taps[1, 0] != line:
        return None
    stride = int(places[1, 0]) // line if out[0] > 1 else 0
    is_dense = spacing == channels and (out[1] == 1 or places[0, 1] == channels)
    joined = out[1] if is_dense and (channels % PIECE == 0 or PIECE % channels == 0) else 1
    period = PIECE if PIECE % channels == 0 and joined > 1 else _filled(channels)
    return Grid(out[0], out[1] // joined, joined, stride, *kernel, joined * channels, period)


def weights(table: Array, grid: Grid) -> Array:
    """Return weights [taps, channels] in quads [pieces, height, across, FOURTHS, BLOCK, TAPS]."""
    rows = _repeated(table, grid).reshape(grid.height, grid.width, grid.period)
    rows = np.pad(rows, ((0, 0), (0, -grid.width % TAPS), (0, 0)))
    quads = lanes(rows.reshape(grid.height, -1, TAPS, grid.period))
    return quads.transpose(3, 0, 1, 4, 5, 2)


def lanes(table: Array) -> Array:
    """Return a table [..., period] in the order that quads have their lanes in [..., pieces, FOURTHS, BLOCK].

    Quads are made, and sums packed, within quarters of BLOCK lanes: the nth fourth has the nth four of each quarter.
    """
    side = BLOCK // FOURTHS
    pieces = table.reshape(*table.shape[:-1], -1, PIECE // BLOCK, FOURTHS, side)
    return np.moveaxis(pieces, -2, -3).reshape(*pieces.shape[:-3], FOURTHS, BLOCK)


def along(table: Array, grid: Grid) -> Array:
    """Return a table of channels [channels] for the lanes of a line's pieces [pieces, FOURTHS, BLOCK]."""
    return lanes(_repeated(table, grid))


def taps(source: Rectangle, grid: Grid) -> Array:
    """Return where the taps of a row begin, the last repeated to whole quads [across * TAPS]."""
    first = source.elements[:: source.channels][: grid.width]
    return np.pad(first, (0, -grid.width % TAPS), mode="edge")


def _repeated(table: Array, grid: Grid) -> Array:
    """Return a table [..., channels] repeated through a period, or with zeros behind it."""
    channels = table.shape[-1]
    if channels < grid.period and grid.joined > 1:
        return np.tile(table, grid.period // channels)
    return np.pad(table, [(0, 0)] * (table.ndim - 1) + [(0, grid.period - channels)])


def _filled(length: int) -> int:
    return -(-length // PIECE) * PIECE
