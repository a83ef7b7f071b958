"""Memories of the reference interpreter: bytes, and the streams that read and write them one element at a time."""

from collections.abc import Iterator, Sequence

from cimc.backends import checks
from cimc.backends.ports import port_stream
from cimc.isa.program import Port, Program
from cimc.isa.streams import StreamState, Window
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

    def read(self, state: StreamState) -> list[list[int]]:
        """Return the vectors of a stream."""
        return [[self._element(state, place) for place in vector] for vector in _vectors(state)]

    def write(self, state: StreamState, values: Sequence[int]) -> None:
        """Write the elements of a stream in stream order; trap first where one of them does not fit."""
        for value in values:
            checks.fits(state, value, value)
        places = (place for vector in _vectors(state) for place in vector)
        for place, value in zip(places, values, strict=True):
            assert place is not None
            start = state.address(*place)
            self.activations[start : start + state.size] = _encode(value, state.type)

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
        return _decode(memory, state.address(*place), state.type, 1)[0]


def _vectors(state: StreamState) -> Iterator[list[tuple[int, int, int, int] | None]]:
    if state.window:
        yield from _patches(state.shape, state.window)
        return
    outer, middle, inner, length = (range(count) for count in state.shape)
    for a in outer:
        for b in middle:
            for c in inner:
                yield [(a, b, c, d) for d in length]


def _patches(shape: tuple[int, int, int, int], window: Window) -> Iterator[list[tuple[int, int, int, int] | None]]:
    for y in range(window.out[0]):
        for x in range(window.out[1]):
            yield [
                _tap(shape, window, (y, x), (i, j), d)
                for i in range(window.kernel[0])
                for j in range(window.kernel[1])
                for d in range(shape[3])
            ]


def _tap(
    shape: tuple[int, int, int, int], window: Window, out: tuple[int, int], tap: tuple[int, int], d: int
) -> tuple[int, int, int, int] | None:
    row, column = (out[k] * window.stride[k] - window.pad[k] + tap[k] * window.dilation[k] for k in (0, 1))
    return (0, row, column, d) if 0 <= row < shape[1] and 0 <= column < shape[2] else None


def _decode(memory: bytes | bytearray, address: int, type_name: str, count: int) -> list[int]:
    size, signed = ELEMENT_TYPES[type_name]
    starts = range(address, address + size * count, size)
    return [int.from_bytes(memory[start : start + size], "little", signed=signed) for start in starts]


def _encode(value: int, type_name: str) -> bytes:
    size, signed = ELEMENT_TYPES[type_name]
    return value.to_bytes(size, "little", signed=signed)
