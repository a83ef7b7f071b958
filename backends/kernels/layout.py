"""Where the elements of streams lie for the kernels: padded rectangles read, evenly spaced vectors written."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

import numpy as np

from cimc.backends.kernels.library import BLOCK, TYPES, NativeSource
from cimc.backends.plan.memory import Array, span
from cimc.backends.plan.moving import moves
from cimc.isa.streams import Im2colWindow, Shape, StreamState

WIDE = 64
"""Sums over cells that are alike are kept for at least so many elements, where they divide so."""


@dataclass(frozen=True)
class Rectangle:
    """A tensor's padded rectangle; `places` [vectors] and `elements` [length] are offsets that add up to an element."""

    source: NativeSource
    size: int
    places: Array
    elements: Array

    @property
    def channels(self) -> int:
        return int(self.source.count[2])

    @cached_property
    def uses(self) -> Array:
        """How many vectors read each cell, the elements of all channels at one place, by each tap [taps, cells].

        Cells that are one vector each are the same to all that is summed over vectors: then of a few, in turns.
        """
        cells, places = self.size // self.channels, self.places // self.channels
        taps = self.elements[:: self.channels] // self.channels
        uses = np.array([np.bincount(places + tap, minlength=cells) for tap in taps], np.float64)
        if len(uses) > 1 or not np.all(uses == 1):
            return uses
        few = next(n for n in range(1, cells + 1) if cells % n == 0 and (n == cells or n * self.channels >= WIDE))
        return uses[:, :few]


@lru_cache(maxsize=128)
def rectangle(state: StreamState) -> Rectangle | None:
    """Return the rectangle that a stream is read from, None where its axes are too many; it is not to be changed.

    Its source says nothing of where constant memory lies. Chips differ in what they conduct, not in streams: a sweep
    asks for the same rectangles again and again.
    """
    tensor = _subsampled(state) if state.window else _three_axes(state)
    if tensor is None or not tensor.elements or tensor.type not in TYPES:
        return None
    w = tensor.window or Im2colWindow((1, 1), (1, 1), (1, 1), (0, 0), (tensor.shape[1], tensor.shape[2]), 0)
    touched = replace(tensor, window=w).touched()
    rows, columns, channels = span(w, 0), span(w, 1), tensor.shape[3]
    first = touched[1].start * tensor.pitch[1] + touched[2].start * tensor.pitch[2]
    source = NativeSource(
        base=tensor.base + tensor.size * first,
        pitch=tuple(tensor.size * pitch for pitch in tensor.pitch[1:]),
        count=(len(touched[1]), len(touched[2]), channels),
        size=(rows, columns),
        first=(min(touched[1].start + w.pad[0], rows), min(touched[2].start + w.pad[1], columns)),
        type=TYPES[tensor.type],
        fill=w.fill,
        moves=moves(tensor),
        low=tensor.lowest,
        high=tensor.highest,
    )
    places = _offsets(w.out, w.stride, columns) * channels
    taps = _offsets(w.kernel, w.dilation, columns) * channels
    elements = (taps[:, None] + np.arange(channels)).ravel()
    return Rectangle(source, rows * columns * channels, places, elements)


def _offsets(counts: tuple[int, int], steps: tuple[int, int], columns: int) -> Array:
    """Return the offsets, in columns, of a grid of places row by row."""
    down, across = (np.arange(count) * step for count, step in zip(counts, steps, strict=True))
    return (down[:, None] * columns + across).ravel()


def _subsampled(state: StreamState) -> StreamState:
    """Return the same stream with the rows and columns left out that a kernel of size 1 strides over."""
    w, shape, pitch = state.window, list(state.shape), list(state.pitch)
    assert w
    stride = list(w.stride)
    for axis in (0, 1):
        if w.kernel[axis] == 1 and w.pad[axis] == 0 and (w.out[axis] - 1) * w.stride[axis] < shape[axis + 1]:
            shape[axis + 1] = w.out[axis]
            pitch[axis + 1] *= w.stride[axis]
            stride[axis] = 1
    window = replace(w, stride=(stride[0], stride[1]))
    return replace(state, shape=_four(shape), pitch=_four(pitch), window=window)


def _four(counts: Sequence[int]) -> Shape:
    """Return four numbers as a stream keeps them."""
    a, b, c, d = counts
    return a, b, c, d


def _three_axes(state: StreamState) -> StreamState | None:
    """Return the same stream with a first axis of one, None where those outside its vectors do not join to two."""
    outer = joined(replace(state, shape=(*state.shape[:3], 1)))
    if len(outer) > 2:
        return None
    axes = [(1, 0)] * (3 - len(outer)) + outer + [(state.shape[3], state.pitch[3])]
    return replace(state, shape=_four([count for count, _ in axes]), pitch=_four([pitch for _, pitch in axes]))


def joined(state: StreamState) -> list[tuple[int, int]]:
    """Return (count, pitch) of a stream's axes, outermost first, axes joined where they make one line."""
    axes: list[tuple[int, int]] = []
    for count, pitch in zip(state.shape, state.pitch, strict=True):
        if count == 1:
            continue
        if axes and axes[-1][1] == count * pitch:
            axes[-1] = (axes[-1][0] * count, pitch)
        else:
            axes.append((count, pitch))
    return axes


def even_step(out: StreamState, columns: int) -> int | None:
    """Return the bytes from each `columns` elements written to the next, None where they are not so evenly spaced."""
    axes = joined(out)
    if not axes:
        return out.size * columns
    if axes == [(out.elements, 1)]:
        return out.size * columns
    if columns == 1 and len(axes) == 1 and axes[0][1]:
        return out.size * axes[0][1]
    if len(axes) == 2 and axes[1] == (columns, 1) and abs(axes[0][1]) >= columns:
        return out.size * axes[0][1]
    return None


def filled(columns: int) -> int:
    """Return how many columns tables have room for: whole blocks of them."""
    return -(-columns // BLOCK) * BLOCK
