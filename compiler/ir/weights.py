"""The weight store: constant arrays beside the IR, addressed by name, held to their hash."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from xdsl.dialects.builtin import StringAttr

from cimc.ir.attributes import text
from cimc.ir.types import WeightRef

Array = NDArray[np.generic]

BLOCK = 64
"""Columns that are copied at once: their lines of memory stay in the processor's nearest cache."""


def digest(array: Array) -> str:
    """Return the first 16 hexadecimal digits of the sha256 of dtype, shape and little-endian bytes."""
    content = hashlib.sha256(f"{array.dtype.str}{array.shape}".encode())
    content.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return content.hexdigest()[:16]


def _in_order(array: Array) -> Array:
    """Return an array aligned, with its last axis contiguous in memory, copied in blocks of that axis where it is not.

    A transposed matrix copied row by row reads one element of every line of memory, and each line again for the next.
    """
    if array.flags.c_contiguous or array.ndim < 2:
        return np.asarray(array, order="C") if array.flags.aligned else array.copy()
    found = np.empty(array.shape, array.dtype)
    for start in range(0, array.shape[-1], BLOCK):
        found[..., start : start + BLOCK] = array[..., start : start + BLOCK]
    return found


class WeightStore:
    """Named arrays. Adding returns the reference that IR operations carry; arrays are never changed in place."""

    def __init__(self) -> None:
        self._arrays: dict[str, Array] = {}
        self._digests: dict[str, str] = {}

    def add(self, name: str, array: Array) -> WeightRef:
        """Keep `array` under `name`, or under name.1, name.2 ... where another array has that name already."""
        array = _in_order(array)
        array.flags.writeable = False
        content = digest(array)
        key, number = name, 0
        while key in self._arrays and self._digests[key] != content:
            number += 1
            key = f"{name}.{number}"
        self._arrays[key], self._digests[key] = array, content
        shape = "x".join(map(str, array.shape))
        return WeightRef(StringAttr(key), text(array.dtype.str), text(shape), StringAttr(content))

    def get(self, ref: WeightRef) -> Array:
        """Return the array of a reference. Raises KeyError where it is missing."""
        array = self._arrays.get(ref.key.data)
        if array is None:
            raise KeyError(f"no weight {ref.key.data!r} beside the IR")
        return array

    def reals(self, ref: WeightRef) -> NDArray[np.float64]:
        """Return the array of a reference in doubles. Raises KeyError where it is missing."""
        return self.get(ref).astype(np.float64)

    def array(self, key: str) -> Array:
        """Return the array kept under a name. Raises KeyError."""
        return self._arrays[key]

    def check(self, ref: WeightRef) -> str | None:
        """Return what is wrong with a reference, or None."""
        found = self._digests.get(ref.key.data)
        if found is None:
            return f"weight {ref.key.data!r} is not in the weight store"
        return (
            None
            if found == ref.digest.data
            else f"weight {ref.key.data!r} has hash {found}, the IR wants {ref.digest.data}"
        )

    def digests(self) -> dict[str, str]:
        """Return the digest of every array, by name."""
        return dict(self._digests)

    def copy(self) -> "WeightStore":
        """Return a store of the same arrays, to add to and drop from on its own."""
        found = WeightStore()
        found._arrays, found._digests = dict(self._arrays), dict(self._digests)
        return found

    def keys(self) -> Iterator[str]:
        return iter(sorted(self._arrays))

    def keep(self, keys: set[str]) -> None:
        """Drop every array whose name is not in `keys`."""
        self._arrays = {key: array for key, array in self._arrays.items() if key in keys}
        self._digests = {key: content for key, content in self._digests.items() if key in keys}

    def load(self, path: Path) -> None:
        """Add the arrays of a safetensors file whose names are not taken."""
        from safetensors.numpy import load_file

        for key, array in sorted(load_file(path).items()):
            if key not in self._arrays:
                self.add(key, array)
