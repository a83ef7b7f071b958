"""Activation memory on a device: a row of images for every byte, and the rows that an instruction reads or writes.

Neighbouring images lie side by side. So any stream, however strided, overlapping or padded, is a choice of rows, and
each row moves as a whole.
"""

from array import array
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from cimc.backends.plan.memory import last_writes
from cimc.backends.plan.moving import STILL, Moving, moves, way
from cimc.backends.torch_device.addresses import addresses
from cimc.isa.streams import StreamState

Array = NDArray[Any]
Rows: TypeAlias = "slice | Tensor"

TYPES = {
    "i8": torch.int8,
    "u8": torch.uint8,
    "i16": torch.int16,
    "u16": torch.int16,
    "i32": torch.int32,
    "i64": torch.int64,
}
"""Element type -> torch's type for the same bytes."""
READ = {"u16": torch.int32}
"""Element type -> the type in which it is read, where that is another."""
SPARE = 8
"""Bytes behind memory: address 0 may stand for padding."""


class Unsuitable(Exception):
    """The instruction stays with the processor."""


class Memory:
    """Memory of `images` images, all zero at first; `samples` are the images' numbers."""

    def __init__(self, size: int, images: int, first_sample: int, device: torch.device) -> None:
        self.images = images
        self.bytes = torch.zeros((size + SPARE, images), dtype=torch.uint8, device=device)
        self.samples = torch.arange(first_sample, first_sample + images, device=device)
        self.turns = array("q", STILL)
        self._faults: list[Tensor] = []

    def require(self, values: Tensor, low: int, high: int) -> None:
        """Remember whether any value lies outside low..high. Nothing is said yet: that would wait for the device."""
        if values.numel():
            least, most = (end if end.is_floating_point() else end.long() for end in torch.aminmax(values))
            self._faults.append((least < low) | (most > high))

    def faulty(self) -> bool:
        """Return whether a requirement since the last call was not met."""
        found = bool(torch.stack(self._faults).any()) if self._faults else False
        self._faults.clear()
        return found


@dataclass(frozen=True)
class Source:
    """Elements that are read: their rows in memory, which of them are padding, or what they are where constant."""

    type: str
    rows: Rows
    dtype: torch.dtype
    padding: Tensor | None
    fill: int
    constants: Tensor | None = None
    steps: tuple[int, ...] = STILL

    @property
    def padded(self) -> bool:
        """Whether any element is padding."""
        return self.padding is not None

    def read(self, memory: Memory) -> Tensor:
        """Return the elements [elements, images] in `dtype`; nobody may write to them."""
        if self.constants is not None:
            return self.constants.expand(-1, memory.images)
        rows = _moved(self.rows, way(self.steps, memory.turns))
        values = _decoded(_taken(memory.bytes, rows), self.type).to(self.dtype)
        return values if self.padding is None else values.index_fill_(0, self.padding, self.fill)


Compute = Callable[[Memory], Tensor]
"""What gives an instruction's results [..., images], whose elements are in stream order."""


@dataclass(frozen=True)
class Target:
    """Elements that are written: their rows in memory, and which values remain where several share an address."""

    type: str
    rows: Rows
    last: Tensor | None
    steps: tuple[int, ...] = STILL

    def write(self, memory: Memory, values: Tensor) -> None:
        """Write values [..., images], whose elements are in stream order."""
        kind, rows = TYPES[self.type], _moved(self.rows, way(self.steps, memory.turns))
        if isinstance(rows, slice) and self.last is None and kind.itemsize == 1:
            memory.bytes[rows].view(kind).view(values.shape).copy_(values)
            return
        flat = values.reshape(-1, memory.images)
        coded = _encoded(flat if self.last is None else flat[self.last], self.type)
        if isinstance(rows, slice):
            memory.bytes[rows] = coded
        else:
            memory.bytes.index_copy_(0, rows, coded)


class Layout:
    """Makes the sources and targets of a program's streams, and puts tables on the device."""

    def __init__(self, constants: bytes, device: torch.device) -> None:
        self.device = device
        self._constants = np.frombuffer(constants + bytes(SPARE), np.uint8)

    def tensor(self, values: Array, dtype: torch.dtype | None = None) -> Tensor:
        """Return an array on the device."""
        return torch.tensor(np.ascontiguousarray(values), dtype=dtype, device=self.device)

    def source(self, state: StreamState, order: tuple[int, int, int] = (0, 1, 2)) -> Source:
        """Return the elements of a stream in any order of its axes (vector, kernel tap, channel).

        Raises Unsuitable where padding or constants move on in the turns of a loop.
        """
        channels = state.shape[3]
        shape = (state.vectors, state.length // max(channels, 1), channels)
        places, inside = (part.reshape(shape).transpose(order).ravel() for part in addresses(state))
        if inside.all():
            return self._source(state, places)
        if isinstance(state, Moving):
            raise Unsuitable
        assert state.window
        fill = state.window.fill
        dtype = READ.get(state.type, TYPES[state.type]) if state.lowest <= fill <= state.highest else torch.int64
        padding = self.tensor(np.flatnonzero(~inside))
        if state.space == "const":
            values = self._constant(state, places).to(dtype)
            return Source(state.type, slice(0), dtype, padding, fill, values.index_fill(0, padding, fill))
        return Source(state.type, self.tensor(self._bytes(places, state.size)), dtype, padding, fill)

    def touched(self, state: StreamState) -> Source:
        """Return the elements of memory that a stream reads, each once."""
        places, inside = addresses(state)
        return self._source(state, np.unique(places[inside]))

    def target(self, state: StreamState) -> Target:
        """Return the elements of a stream that is written."""
        places, repeated = addresses(state)[0].ravel(), last_writes(state)
        if repeated is None:
            return Target(state.type, self._rows(places, state.size), None, moves(state))
        last = np.ascontiguousarray(repeated[1])
        return Target(state.type, self._rows(places[last], state.size), self.tensor(last), moves(state))

    def _source(self, state: StreamState, places: Array) -> Source:
        """Return elements without padding."""
        dtype = READ.get(state.type, TYPES[state.type])
        if state.space == "const":
            if isinstance(state, Moving):
                raise Unsuitable
            return Source(state.type, slice(0), dtype, None, 0, self._constant(state, places))
        return Source(state.type, self._rows(places, state.size), dtype, None, 0, steps=moves(state))

    def _constant(self, state: StreamState, places: Array) -> Tensor:
        """Return elements [elements, 1] of constant memory."""
        coded = self._constants[self._bytes(places, state.size)]
        return _decoded(self.tensor(coded[:, None]), state.type)

    def _rows(self, places: Array, size: int) -> Rows:
        rows = self._bytes(places, size)
        if rows.size and np.array_equal(rows, np.arange(rows[0], rows[0] + rows.size)):
            return slice(int(rows[0]), int(rows[0]) + rows.size)
        return self.tensor(rows)

    @staticmethod
    def _bytes(places: Array, size: int) -> Array:
        """Return the addresses of every byte of elements."""
        return (places[:, None] + np.arange(size)).ravel()


def _moved(rows: Rows, by: int) -> Rows:
    """Return the rows so many bytes further on."""
    if not by:
        return rows
    return slice(rows.start + by, rows.stop + by) if isinstance(rows, slice) else rows + by


def _taken(memory: Tensor, rows: Rows) -> Tensor:
    return memory[rows] if isinstance(rows, slice) else memory.index_select(0, rows)


def _decoded(coded: Tensor, element: str) -> Tensor:
    """Return integers [elements, images] of bytes [elements * size, images]."""
    kind, images = TYPES[element], coded.shape[1]
    if kind.itemsize > 1:
        coded = _copied(coded.view(-1, kind.itemsize, images).transpose(1, 2), torch.uint8)
    values = coded.view(kind).view(-1, images)
    return values.to(READ[element]) & 0xFFFF if element in READ else values


def _encoded(values: Tensor, element: str) -> Tensor:
    """Return bytes [elements * size, images] of numbers [elements, images]."""
    (elements, images), size = values.shape, TYPES[element].itemsize
    coded = _copied(values.to(READ[element]) if element in READ else values, TYPES[element]).view(torch.uint8)
    return coded.view(elements, images, size).transpose(1, 2).reshape(elements * size, images)


def _copied(values: Tensor, dtype: torch.dtype) -> Tensor:
    """Return a dense copy: what torch calls contiguous may have any stride where a count is 1, and then is no bytes."""
    return torch.empty(values.shape, dtype=dtype, device=values.device).copy_(values)
