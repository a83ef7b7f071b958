"""Constant memory under construction: tables laid out once each, aligned to their elements."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cimc.isa.errors import IsaError
from cimc.isa.table import ELEMENT_TYPES

ALIGNMENT = 8
"""Bytes: the size of the widest element, so that a table of any type may begin here."""


def dtype_of(element_type: str) -> np.dtype[np.integer]:
    """Return numpy's type of the same bytes as an element type: i8 -> <i1."""
    size, signed = ELEMENT_TYPES[element_type]
    return np.dtype(f"<{'i' if signed else 'u'}{size}")


def stored(values: ArrayLike, element_type: str, name: str) -> bytes:
    """Return whole numbers as memory holds them. Raises IsaError CIM0445, which names them, where one does not fit."""
    wanted = np.asarray(values)
    found = np.ascontiguousarray(wanted.astype(dtype_of(element_type), copy=False))
    if found.dtype != wanted.dtype and not np.array_equal(found.ravel(), wanted.ravel()):
        hint = "hold the values to the element type's range"
        raise IsaError("CIM0445", f"{name or 'a table'} holds a value that does not fit {element_type}", hint)
    return found.tobytes()


def in_halves(values: ArrayLike, name: str) -> NDArray[np.uint8]:
    """Return whole numbers of four bits as bytes, two each, the first in the low half. Raises IsaError CIM0445."""
    wanted = np.asarray(values, np.int64).ravel()
    if wanted.size and not -8 <= wanted.min() <= wanted.max() <= 7:
        raise IsaError("CIM0445", f"{name or 'a table'} holds a value that does not fit i4", "hold the values to -8..7")
    halves = np.append(wanted, np.zeros(wanted.size % 2, np.int64)).reshape(-1, 2) & 15
    return (halves[:, 0] | halves[:, 1] << 4).astype(np.uint8)


def from_halves(pairs: NDArray[np.uint8], count: int) -> NDArray[np.int8]:
    """Return the first `count` numbers of four bits that bytes hold."""
    halves = np.stack([pairs & 15, pairs >> 4], axis=-1).ravel()[:count].astype(np.int8)
    return (halves ^ 8) - np.int8(8)


class ConstantMemory:
    """Appends tables behind what there is; equal tables share an address. `names` says what lies where, for reports."""

    def __init__(self, content: bytes = b"") -> None:
        self._bytes = bytearray(content)
        self._known: dict[tuple[str, bytes], int] = {}
        self.names: list[tuple[int, int, str]] = []

    def add(self, values: ArrayLike, element_type: str, name: str = "") -> int:
        """Return the byte address of a table. Raises IsaError CIM0445 where a value does not fit its type."""
        key = (element_type, stored(values, element_type, name))
        if key not in self._known:
            self._bytes.extend(bytes(-len(self._bytes) % ALIGNMENT))
            self._known[key] = len(self._bytes)
            self._bytes.extend(key[1])
        self.names.append((self._known[key], len(key[1]), name))
        return self._known[key]

    def read(self, address: int, element_type: str, count: int) -> NDArray[np.int64]:
        """Return `count` entries of the table at an address."""
        dtype = dtype_of(element_type)
        return np.frombuffer(self._bytes[address : address + count * dtype.itemsize], dtype).astype(np.int64)

    def content(self) -> bytes:
        return bytes(self._bytes)
