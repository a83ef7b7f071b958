"""Where the elements of a stream lie, and which of them lie outside its tensor."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cimc.isa.streams import StreamState

Array = NDArray[Any]


def addresses(state: StreamState) -> tuple[Array, Array]:
    """Return the byte addresses [vectors, length], 0 outside the tensor, and which [vectors, length] lie inside it."""
    if state.window is None:
        axes = np.ix_(*(np.arange(count) for count in state.shape))
        return _flat(state, axes, np.bool_(True))
    w, (_, rows, columns, channels) = state.window, state.shape
    down, across, i, j, channel = np.ix_(*(np.arange(count) for count in (*w.out, *w.kernel, channels)))
    row = down * w.stride[0] - w.pad[0] + i * w.dilation[0]
    column = across * w.stride[1] - w.pad[1] + j * w.dilation[1]
    inside = (row >= 0) & (row < rows) & (column >= 0) & (column < columns)
    return _flat(state, (np.int64(0), row, column, channel), inside)


def _flat(state: StreamState, axes: tuple[Any, ...], inside: Any) -> tuple[Array, Array]:
    """Return both arrays of elements whose indices along the tensor's axes broadcast."""
    places = state.base + state.size * sum(axis * pitch for axis, pitch in zip(axes, state.pitch, strict=True))
    shape = (state.vectors, state.length)
    full = np.broadcast_shapes(places.shape, np.shape(inside))
    return np.where(inside, places, 0).reshape(shape), np.broadcast_to(inside, full).reshape(shape)
