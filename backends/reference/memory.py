"""Memories of the reference interpreter: bytes, and the streams that read and write them one element at a time."""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from cimc.backends.machine import checks
from cimc.backends.machine.ports import port_stream
from cimc.isa.program import Port, Program
from cimc.isa.streams import Im2colWindow, StreamState
from cimc.isa.table import ELEMENT_TYPES


class Memory:
    """Activation memory, all zero at first, the constants and the conductance section."""

    def __init__(self, program: Program) -> None:
        checks.affordable("activation memory", program.activation_bytes)
        self.activations = bytearray(program.activation_bytes)
        self.constants = program.constants
        self.conductances = program.conductances

    @property
    def sizes(self) -> dict[str, int]:
        """Bytes of each space that a stream may lie in."""
        return {"act": len(self.activations), "const": len(self.constants)}

    def read(self, state: StreamState, positions: Iterable[int] | None = None) -> list[list[int]]:
        """Return the vectors of a stream, all of them or those at some positions."""
        wanted = range(state.vectors) if positions is None else positions
        return [[self._element(state, place) for place in _vector(state, position)] for position in wanted]

    def element(self, state: StreamState, number: int) -> int:
        """Return one element of a stream, counted over all its vectors."""
        position, place = divmod(number, state.length)
        return self._element(state, _vector(state, position)[place])

    def write(self, state: StreamState, values: Sequence[int]) -> None:
        """Write the elements of a stream in stream order; trap first where one of them does not fit."""
        for value in values:
            checks.fits(state, value, value)
        places = (place for position in range(state.vectors) for place in _vector(state, position))
        for place, value in zip(places, values, strict=True):
            assert place is not None
            start = state.address(*place)
            self.activations[start : start + state.size] = _encode(value, state.type)

    def write_all(self, state: StreamState, values: NDArray[np.int64]) -> None:
        """Write the elements of a stream that are known to fit, all at once."""
        axes = [np.arange(count) * pitch for count, pitch in zip(state.shape, state.pitch, strict=True)]
        places = axes[0][:, None, None, None] + axes[1][:, None, None] + axes[2][:, None] + axes[3]
        starts = state.base + state.size * places.reshape(-1, 1)
        memory = np.frombuffer(self.activations, np.uint8)
        memory[starts + np.arange(state.size)] = values.astype("<i8").view(np.uint8).reshape(-1, 8)[:, : state.size]

    def constant(self, address: int, type_name: str, count: int) -> list[int]:
        """Return a table of constants."""
        size = ELEMENT_TYPES[type_name][0]
        checks.inside(address, address + size * count, len(self.constants), "constant memory")
        return _decode(self.constants, address, type_name, count)

    def targets(self, address: int, count: int, highest: int) -> list[int]:
        """Return conductance differences, none above the highest level in magnitude."""
        checks.inside(address, address + 2 * count, len(self.conductances), "the conductance section")
        values = _decode(self.conductances, address, "i16", count)
        checks.targets(values, highest)
        return values

    def load(self, port: Port, codes: Sequence[int]) -> None:
        """Write an input's codes."""
        self.write(port_stream(port), codes)

    def result(self, port: Port) -> list[int]:
        """Return an output's codes in memory order."""
        return [value for vector in self.read(port_stream(port)) for value in vector]

    def _element(self, state: StreamState, place: tuple[int, int, int, int] | None) -> int:
        if place is None:
            assert state.window
            return state.window.fill
        memory = self.activations if state.space == "act" else self.constants
        (size, signed), start = ELEMENT_TYPES[state.type], state.address(*place)
        return int.from_bytes(memory[start : start + size], "little", signed=signed)


def _vector(state: StreamState, position: int) -> list[tuple[int, int, int, int] | None]:
    """Return the places of one vector's elements: (a, b, c, d) in the tensor, None outside it."""
    if state.window:
        return _patch(state.shape, state.window, position)
    rest, c = divmod(position, state.shape[2])
    a, b = divmod(rest, state.shape[1])
    return [(a, b, c, d) for d in range(state.shape[3])]


def _patch(
    shape: tuple[int, int, int, int], window: Im2colWindow, position: int
) -> list[tuple[int, int, int, int] | None]:
    out = divmod(position, window.out[1])
    return [
        place
        for i in range(window.kernel[0])
        for j in range(window.kernel[1])
        for place in _tap(shape, window, out, (i, j))
    ]


def _tap(
    shape: tuple[int, int, int, int], window: Im2colWindow, out: tuple[int, int], tap: tuple[int, int]
) -> list[tuple[int, int, int, int] | None]:
    """Return the places of all channels of one tap."""
    row, column = (out[k] * window.stride[k] - window.pad[k] + tap[k] * window.dilation[k] for k in (0, 1))
    if 0 <= row < shape[1] and 0 <= column < shape[2]:
        return [(0, row, column, d) for d in range(shape[3])]
    return [None] * shape[3]


def _decode(memory: bytes | bytearray, address: int, type_name: str, count: int) -> list[int]:
    size, signed = ELEMENT_TYPES[type_name]
    starts = range(address, address + size * count, size)
    return [int.from_bytes(memory[start : start + size], "little", signed=signed) for start in starts]


def _encode(value: int, type_name: str) -> bytes:
    size, signed = ELEMENT_TYPES[type_name]
    return value.to_bytes(size, "little", signed=signed)
