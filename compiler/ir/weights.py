"""The weight store: constant arrays beside the IR, addressed by name.

Most arrays live for a pass or two. So they are put in order and hashed where that is asked for, not as they are added.
"""

import hashlib
from collections.abc import Set
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from xdsl.dialects.builtin import StringAttr

from cimc.ir.attributes import text
from cimc.ir.cores import on_cores
from cimc.ir.types import WeightRef

Array = NDArray[np.generic]

BLOCK = 64
"""Columns that are copied at once: their lines of memory stay in the processor's nearest cache."""
ROWS = 1024
"""Rows of two arrays that are compared at once: different arrays mostly differ in the first ones."""
UNSTATED = StringAttr("")
"""In place of the hash in references that no text has stated: the store itself is their witness."""


def digest(array: Array) -> str:
    """Return the first 16 hexadecimal digits of the sha256 of dtype, shape and little-endian bytes."""
    content = hashlib.sha256(f"{array.dtype.str}{array.shape}".encode())
    content.update(np.ascontiguousarray(array).reshape(-1).view(np.uint8).data)
    return content.hexdigest()[:16]


def in_order(array: Array) -> Array:
    """Return an array aligned, with its last axis contiguous in memory, copied in blocks of that axis where it is not.

    A transposed matrix copied row by row reads one element of every line of memory, and each line again for the next.
    """
    if array.flags.c_contiguous or array.ndim < 2:
        return np.asarray(array, order="C") if array.flags.aligned else array.copy()
    found = np.empty(array.shape, array.dtype)

    def copy(start: int) -> None:
        found[..., start : start + BLOCK] = array[..., start : start + BLOCK]

    on_cores(copy, range(0, array.shape[-1], BLOCK), array.nbytes)
    return found


def _is_fixed(array: Array) -> bool:
    """Return whether nobody can write to the memory of an array, through whatever it is a view of."""
    owner: object = array
    while isinstance(owner, np.ndarray):
        if owner.flags.writeable:
            return False
        owner = owner.base
    return True


def _are_same(one: Array, other: Array) -> bool:
    """Return whether two arrays have the same type, shape and bytes."""
    if one.dtype != other.dtype or one.shape != other.shape:
        return False
    rows, others = np.atleast_1d(one, other)
    starts = range(0, len(rows), ROWS)
    return all(rows[at : at + ROWS].tobytes() == others[at : at + ROWS].tobytes() for at in starts)


class WeightStore:
    """Named arrays. Adding returns the reference that IR operations carry; arrays are never changed in place."""

    def __init__(self) -> None:
        self._arrays: dict[str, Array] = {}
        self._refs: dict[str, WeightRef] = {}
        self._digests: dict[str, str] = {}

    def add(self, name: str, array: Array) -> WeightRef:
        """Keep `array` under `name`, or under name.1, name.2 ... where another array has that name already."""
        if not _is_fixed(array):
            array = in_order(array)
            array.flags.writeable = False
        key, number = name, 0
        while key in self._arrays and not _are_same(self._arrays[key], array):
            number += 1
            key = f"{name}.{number}"
        if key not in self._arrays:
            shape = "x".join(map(str, array.shape))
            self._refs[key] = WeightRef(StringAttr(key), text(array.dtype.str), text(shape), UNSTATED)
            self._arrays[key] = array
        return self._refs[key]

    def get(self, ref: WeightRef) -> Array:
        """Return the array of a reference, its last axis contiguous in memory. Raises KeyError where it is missing."""
        if ref.key.data not in self._arrays:
            raise KeyError(f"no weight {ref.key.data!r} beside the IR")
        return self.array(ref.key.data)

    def reals(self, ref: WeightRef) -> NDArray[np.float64]:
        """Return the array of a reference in doubles. Raises KeyError where it is missing."""
        return self.get(ref).astype(np.float64)

    def array(self, key: str) -> Array:
        """Return the array kept under a name, its last axis contiguous in memory. Raises KeyError."""
        found = in_order(self._arrays[key])
        found.flags.writeable = False
        self._arrays[key] = found
        return found

    def view(self, ref: WeightRef) -> Array:
        """Return the array of a reference as it lies in memory, for one who copies it in another order anyway."""
        return self._arrays[ref.key.data]

    def settle(self) -> None:
        """Put all arrays in order: a file whose transposed arrays were kept is let go of."""
        for key in self._arrays:
            self.array(key)

    def digest(self, ref: WeightRef) -> str:
        """Return the hash of the array of a reference. Raises KeyError where it is missing."""
        key = ref.key.data
        if key not in self._digests:
            self._digests[key] = digest(self.array(key))
        return self._digests[key]

    def stated(self, ref: WeightRef) -> WeightRef:
        """Return a reference as it stands in text, with the hash of its array; one without an array as it is."""
        if ref.key.data not in self._arrays:
            return ref
        return WeightRef(ref.key, ref.dtype, ref.shape, StringAttr(self.digest(ref)))

    def check(self, ref: WeightRef) -> str | None:
        """Return what is wrong with a reference, or None. Only where a text has stated a hash is the array hashed."""
        key, stated = ref.key.data, ref.digest.data
        own = self._refs.get(key)
        if own is ref:
            return None
        if own is None:
            return f"weight {key!r} is not in the weight store"
        if (own.dtype, own.shape) != (ref.dtype, ref.shape):
            kinds = [f"{one.dtype.data}[{one.shape.data}]" for one in (own, ref)]
            return f"weight {key!r} is {kinds[0]}, the IR wants {kinds[1]}"
        if stated and stated != (found := self.digest(ref)):
            return f"weight {key!r} has hash {found}, the IR wants {stated}"
        return None

    def copy(self) -> "WeightStore":
        """Return a store of the same arrays, to add to and drop from on its own."""
        found = WeightStore()
        found._arrays, found._refs, found._digests = dict(self._arrays), dict(self._refs), dict(self._digests)
        return found

    def names(self) -> frozenset[str]:
        """Return the names of all arrays; while a store has a name, the array under it is the same."""
        return frozenset(self._arrays)

    def keep(self, keys: Set[str]) -> None:
        """Drop every array whose name is not in `keys`."""
        for held in (self._arrays, self._refs, self._digests):
            for key in held.keys() - keys:
                del held[key]

    def load(self, path: Path) -> None:
        """Add the arrays of a safetensors file whose names are not taken."""
        from safetensors.numpy import load_file

        for key, array in sorted(load_file(path).items()):
            if key not in self._arrays:
                self.add(key, array)
