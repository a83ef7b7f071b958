"""Reads a model file, the raw data of its large initialisers left where it lies: protobuf would copy that three times.

Layout of messages: https://protobuf.dev/programming-guides/encoding/
"""

import hashlib
import mmap
import os
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import BinaryIO

import numpy as np
import onnx
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]

APART_BYTES = 1 << 20
"""Raw data of so many bytes stays in the file, mapped; messages shorter than that are not looked into."""

ROAD = tuple(
    message.DESCRIPTOR.fields_by_name[name].number
    for message, name in ((onnx.ModelProto, "graph"), (onnx.GraphProto, "initializer"), (onnx.TensorProto, "raw_data"))
)
"""The fields that lead to the raw data of an initialiser, from the model inwards."""
TENSOR, RAW_DATA = 1, 2
"""Steps of the road."""
VARINT, LENGTH = 0, 2
FIXED_BYTES = {1: 8, 5: 4}
"""Kinds of fields: a varint of at most 10 bytes, as many bytes as a length says, or a fixed number of them."""
VARINT_BYTES = 10
MOST_FIELDS = 1 << 20
"""Fields that are walked over, some microseconds each: a message of more is left to protobuf."""


@dataclass(frozen=True)
class Content:
    """A file's message without large raw data; that, by the initialiser's place in the graph; sha256 and bytes of all.

    A thread hashes the file beside what is done with it. `hashed` can be told more.
    """

    light: bytes
    raw: Mapping[int, Bytes]
    hashed: "Future[hashlib._Hash]"
    size: int

    @property
    def digest(self) -> str:
        return self.hashed.result().hexdigest()


class Unusual(Exception):
    """The message is short, damaged, very long, or written as none is that onnx writes."""


def content_of(file: BinaryIO) -> Content:
    """Return the content of an open file: whole where it is small, or not a usual message."""
    size = os.fstat(file.fileno()).st_size
    with suppress(Unusual, OSError, ValueError):  # the system's errors are of files that it cannot map
        return _apart(file, size)
    whole = file.read()
    return Content(whole, {}, _hashed_beside(whole), len(whole))


def _hashed_beside(data: bytes | memoryview) -> "Future[hashlib._Hash]":
    pool = ThreadPoolExecutor(1)
    hashed = pool.submit(hashlib.sha256, data)
    pool.shutdown(wait=False)
    return hashed


def _apart(file: BinaryIO, size: int) -> Content:
    """Return the content with large raw data apart. Raises Unusual; OSError and ValueError as `mmap` does."""
    if size < APART_BYTES:
        raise Unusual
    data = memoryview(mmap.mmap(file.fileno(), size, access=mmap.ACCESS_READ))
    walk = _Walk(data)
    light = b"".join(walk.message(size, 0))
    return Content(light, walk.raw, _hashed_beside(data), size)


class _Walk:
    """A walk over a message; it stands at byte `place`, behind `passed` initialisers and `fields` fields."""

    def __init__(self, data: memoryview) -> None:
        self.data = data
        self.raw: dict[int, Bytes] = {}
        self.place = 0
        self.passed = 0
        self.fields = 0

    def message(self, end: int, step: int) -> Iterator[bytes]:
        """Yield the bytes of a message that ends at byte `end`, without the raw data left out."""
        has_data = False
        while self.place < end:
            self.fields += 1
            if self.fields > MOST_FIELDS:
                raise Unusual
            start = self.place
            key = self.varint()
            length = self.length(key & 7)
            head, inside = self.place, self.place + length
            if inside > end:
                raise Unusual
            is_on_road = key == ROAD[step] << 3 | LENGTH
            if is_on_road and step == RAW_DATA:
                if has_data:
                    raise Unusual  # the last would count
                has_data = True
            if not is_on_road or length < APART_BYTES:
                self.place = inside
                yield bytes(self.data[start:inside])
            elif step == RAW_DATA:
                self.place = inside
                self.raw[self.passed] = np.frombuffer(self.data[head:inside], np.uint8)
            else:
                inner = b"".join(self.message(inside, step + 1))
                yield _varint(key) + _varint(len(inner)) + inner
            self.passed += is_on_road and step == TENSOR
        if self.place != end:
            raise Unusual

    def length(self, kind: int) -> int:
        """Return how many bytes a field of this kind has from here on."""
        if kind == LENGTH:
            return self.varint()
        if kind == VARINT:
            start = self.place
            self.varint()
            length, self.place = self.place - start, start
            return length
        if kind not in FIXED_BYTES:
            raise Unusual
        return FIXED_BYTES[kind]

    def varint(self) -> int:
        """Return a number of seven bits a byte, the lowest first."""
        found = 0
        for index, byte in enumerate(self.data[self.place : self.place + VARINT_BYTES]):
            found |= (byte & 0x7F) << (7 * index)
            if byte < 0x80:
                self.place += index + 1
                return found
        raise Unusual


def _varint(value: int) -> bytes:
    """Return the bytes that a number is read from."""
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*found, value])
