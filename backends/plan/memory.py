"""Activation memory of a chunk of images: strided views of streams, im2col, and buffers used again and again."""

import math
from array import array
from collections.abc import Iterator, Mapping
from copy import copy
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import DTypeLike, NDArray

from cimc.backends.machine import checks
from cimc.backends.machine.observer import Observer
from cimc.backends.machine.ports import DTYPES, port_stream
from cimc.backends.plan.exact import OBJECT
from cimc.backends.plan.moving import STILL, Moving, Occasion, way
from cimc.isa.program import Port
from cimc.isa.streams import Im2colWindow, StreamState

Array = NDArray[Any]
ALIGNMENT = 64
"""Bytes at whose multiples the memory of an image starts, as does what is laid behind it."""


def aligned(size: int) -> int:
    """Return the next multiple of ALIGNMENT, in bytes."""
    return -(-size // ALIGNMENT) * ALIGNMENT


class Chunk:
    """Up to `capacity` images in flight: `images` of them are in use. All images start with zeroed memory.

    `buffers` may be shared with chunks that never go on at the same time.
    """

    def __init__(
        self, capacity: int, activation_bytes: int, constants: bytes, buffers: dict[str, Array] | None = None
    ) -> None:
        pitch = aligned(max(activation_bytes, 1))
        checks.affordable("the activation memory of a chunk", capacity * pitch)
        self.capacity = self.images = capacity
        self.first_sample = 0
        self.memories: Mapping[str, Array] = {
            "act": np.zeros((capacity, pitch), np.uint8),
            "const": np.frombuffer(constants, np.uint8)[None],
        }
        self.factors: dict[int, Array] = {}
        self.turns = array("q", STILL)
        self._buffers = {} if buffers is None else buffers
        self._views: dict[StreamState, Array] = {}
        self._ports: dict[tuple[object, ...], Array] = {}
        self.observer: Observer | None = None

    def start(self, samples: range, observer: Observer | None = None) -> None:
        """Begin with the images of other samples: memory is zero, no block is calibrated."""
        self.images = len(samples)
        self.first_sample = samples.start
        self.memories["act"][: len(samples)] = 0
        self.factors.clear()
        self.observer = observer
        if observer:
            observer.begin(samples)

    def fork(self) -> "Chunk":
        """Return a chunk that goes on from here by itself; it shares the buffers."""
        other = copy(self)
        other.memories = {**self.memories, "act": self.memories["act"].copy()}
        other.factors, other.turns = {**self.factors}, array("q", self.turns)
        other._views, other._ports = {}, {}
        return other

    @property
    def occasion(self) -> Occasion:
        """What addresses the noise of the products made now."""
        samples = np.arange(self.first_sample, self.first_sample + self.images, dtype=np.uint64)
        return Occasion(samples, self.turns)

    def buffer(self, name: str, shape: tuple[int, ...], dtype: DTypeLike) -> Array:
        """Return an uninitialised array; the buffer of a name is overwritten by the next request for it."""
        kind = np.dtype(dtype)
        size = math.prod(shape) * kind.itemsize
        checks.affordable("the elements of one instruction", size)
        if kind == OBJECT:
            return np.empty(shape, kind)
        if name not in self._buffers or self._buffers[name].size < size:
            self._buffers[name] = np.empty(size, np.uint8)
        return self._buffers[name][:size].view(kind).reshape(shape)

    def view(self, state: StreamState) -> Array:
        """Return the tensor [images, *shape] as it lies in memory, windows ignored."""
        if isinstance(state, Moving):
            return self._part(state, _whole(state))
        if state not in self._views:
            self._views[state] = self._everywhere(state, _whole(state))
        return self._views[state][: self.images]

    def codes(self, port: Port) -> Array:
        """Return a port's codes [images, *shape] as they lie in memory."""
        place = port.name, port.base, port.type, port.shape
        if place not in self._ports:
            state = port_stream(port)
            self._ports[place] = self._everywhere(state, _whole(state)).reshape(self.capacity, *port.shape)
        return self._ports[place][: self.images]

    def touched(self, state: StreamState) -> Array:
        """Return the part of the tensor that the stream may touch."""
        return self._part(state, state.touched())

    def _part(self, state: StreamState, axes: tuple[range, ...]) -> Array:
        return self._everywhere(state, axes)[: self.images]

    def _everywhere(self, state: StreamState, axes: tuple[range, ...]) -> Array:
        """Return a part of a tensor in the memories of all images, in use or not."""
        memory = self.memories[state.space]
        first = tuple(axis.start for axis in axes)
        shape = (self.capacity, *(len(axis) for axis in axes))
        if not all(shape):
            return np.empty(shape, DTYPES[state.type])
        strides = (memory.strides[0], *(pitch * state.size for pitch in state.pitch))
        base = state.base + (way(state.steps, self.turns) if isinstance(state, Moving) else 0)
        offset = base + state.size * sum(i * pitch for i, pitch in zip(first, state.pitch, strict=True))
        part = np.ndarray((len(memory), *shape[1:]), DTYPES[state.type], memory, offset, strides)
        return np.broadcast_to(part, shape) if state.space == "const" else part

    def vectors(self, state: StreamState, dtype: DTypeLike, name: str = "vectors") -> Array:
        """Return the stream's vectors [images, vectors, length], contiguous and in `dtype`; buffers go by the name."""
        shape = (self.images, state.vectors, state.length)
        source = self.patches(state, dtype, name) if state.window else self.view(state)
        if state.window and source.dtype == dtype and source.flags.c_contiguous:
            return source.reshape(shape)
        result = self.buffer(name, source.shape, dtype)
        np.copyto(result, source, casting="unsafe")
        return result.reshape(shape)

    def patches(self, state: StreamState, dtype: DTypeLike, name: str = "vectors") -> Array:
        """Return a window's patches as a view [images, *out, *kernel, channels]."""
        assert state.window
        return windows(self.padded(state, dtype, name), state.window)

    def taps(self, state: StreamState, dtype: DTypeLike) -> Iterator[Array]:
        """Yield, tap by tap, the elements [images, out rows, out columns, channels] that a window reads."""
        assert state.window
        patches = self.patches(state, dtype)
        for i in range(state.window.kernel[0]):
            for j in range(state.window.kernel[1]):
                yield patches[:, :, :, i, j]

    def padded(self, state: StreamState, dtype: DTypeLike, name: str = "vectors") -> Array:
        """Return the rectangle that a window's taps span [images, rows, columns, channels]; its fill lies outside."""
        assert state.window
        w, part = state.window, self.touched(state)[:, 0]
        rows, columns = (span(w, axis) for axis in (0, 1))
        result = self.buffer(f"padded {name}", (self.images, rows, columns, state.shape[3]), dtype)
        if part.shape[1:3] != (rows, columns):
            result[...] = w.fill
        top, left = (state.touched()[axis + 1].start + w.pad[axis] for axis in (0, 1))
        np.copyto(result[:, top : top + part.shape[1], left : left + part.shape[2]], part, casting="unsafe")
        return result

    def store(self, state: StreamState, values: Array) -> None:
        """Write values [images, ...], whose elements are in stream order."""
        last = last_writes(state)
        if last is None:
            target = self.view(state)
            np.copyto(target, values.reshape(target.shape), casting="unsafe")
            return
        offsets, order = last
        target = self._part(
            _line(state, offsets), (range(1), range(1), range(1), range(int(offsets[-1] - offsets[0]) + 1))
        )
        target[:, 0, 0, 0, offsets - offsets[0]] = values.reshape(self.images, -1)[:, order]


def _whole(state: StreamState) -> tuple[range, ...]:
    return tuple(range(count) for count in state.shape)


def windows(image: Array, w: Im2colWindow) -> Array:
    """Return what a window reads of [n, rows, columns, channels] as a view [n, *out, *kernel, channels]."""
    n, down, across, channel = image.strides
    strides = (n, down * w.stride[0], across * w.stride[1], down * w.dilation[0], across * w.dilation[1], channel)
    return as_strided(image, (len(image), *w.out, *w.kernel, image.shape[3]), strides)


def span(window: Im2colWindow, axis: int) -> int:
    """Return the rows (axis 0) or columns (axis 1) from a window's first tap to its last, padding included."""
    if not window.out[axis] or not window.kernel[axis]:
        return 0
    return (window.out[axis] - 1) * window.stride[axis] + (window.kernel[axis] - 1) * window.dilation[axis] + 1


@lru_cache(maxsize=4096)
def last_writes(state: StreamState) -> tuple[Array, Array] | None:
    """Return, where elements of a stream share addresses, the distinct offsets and the last element at each."""
    axes = sorted((abs(pitch), count) for pitch, count in zip(state.pitch, state.shape, strict=True) if count > 1)
    reach, apart = 0, True
    for pitch, count in axes:
        apart = apart and pitch > reach
        reach += pitch * (count - 1)
    if apart or not state.elements:
        return None
    indices = np.indices(state.shape).reshape(4, -1)
    offsets = (np.asarray(state.pitch) @ indices)[::-1]
    distinct, position = np.unique(offsets, return_index=True)
    return None if distinct.size == offsets.size else (distinct, offsets.size - 1 - position)


def _line(state: StreamState, offsets: Array) -> StreamState:
    """Return the stream's memory as one line that starts at its lowest offset."""
    base = state.base + int(offsets[0]) * state.size
    length = int(offsets[-1] - offsets[0]) + 1
    return replace(state, base=base, shape=(1, 1, 1, length), pitch=(0, 0, 0, 1), window=None)
