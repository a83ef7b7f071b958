"""Constant memory under construction: tables laid out once each, aligned to their elements."""

import numpy as np
from numpy.typing import NDArray

ALIGNMENT = 8


class ConstantMemory:
    """Appends tables; equal tables share an address. `names` remembers what lies where, for reports."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._known: dict[tuple[str, bytes], int] = {}
        self.names: list[tuple[int, int, str]] = []

    def add(self, array: NDArray[np.generic], dtype: str, name: str) -> int:
        """Return the byte address of `array`, stored as little-endian `dtype`.

        Raises OverflowError where a value does not fit.
        """
        stored = np.ascontiguousarray(array, dtype=np.dtype(dtype).newbyteorder("<"))
        if not np.array_equal(stored.ravel(), np.ravel(array)):
            raise OverflowError(f"{name} does not fit {dtype}")
        key = (stored.dtype.str, stored.tobytes())
        if key not in self._known:
            self._bytes.extend(bytes(-len(self._bytes) % ALIGNMENT))
            self._known[key] = len(self._bytes)
            self._bytes.extend(key[1])
        self.names.append((self._known[key], len(key[1]), name))
        return self._known[key]

    def content(self) -> bytes:
        return bytes(self._bytes)
