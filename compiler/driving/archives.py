"""Files of arrays, .npz and .npy: opened once, and only what is asked for is unpacked, within a budget."""

import io
import struct
import tokenize
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from math import prod
from typing import IO, Any, BinaryIO

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from cimc.diagnostics import DiagnosticError, fail
from cimc.isa.budgets import ARRAY_TIMES, budgets, require
from cimc.isa.opening import open_regular

Array = NDArray[Any]

ZIP, NPY = b"PK", b"\x93NUMPY"
"""How .npz and .npy files start."""

DAMAGED = (
    ValueError,
    EOFError,
    KeyError,
    MemoryError,
    NotImplementedError,
    OverflowError,
    RecursionError,
    RuntimeError,
    SyntaxError,
    TypeError,
    struct.error,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)
"""What numpy and zipfile raise on files that are damaged, encrypted, or something else."""


class Archive(Mapping[str, Array]):
    """The arrays of an .npz file by name, or the one of an .npy file as `x`; each is read when it is asked for.

    Raises DiagnosticError CIM0001 and CIM0201, and OverBudget for an array that is far larger than what is stored.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._zip: zipfile.ZipFile | None = None
        self._members: dict[str, str] = {"x": ""}
        self._file = self._opened()
        try:
            self._open(self._file.read(len(NPY)))
        except DAMAGED as error:
            raise self._damaged(error) from None

    def __del__(self) -> None:
        if hasattr(self, "_file"):
            self._file.close()

    def __getitem__(self, name: str) -> Array:
        return self.rows(name, None)

    def __iter__(self) -> Iterator[str]:
        return iter(self._members)

    def __len__(self) -> int:
        return len(self._members)

    def rows(self, name: str, limit: int | None) -> Array:
        """Return an array; where the whole would be over budget, the first `limit` entries of its first axis."""
        member = self._members[name]
        try:
            if self._zip is None:
                return self._read(self._file, name, limit, self._file.seek(0, io.SEEK_END))
            with self._zip.open(member) as file:
                return self._read(file, name, limit, self._zip.getinfo(member).compress_size)
        except OSError as error:
            raise fail("CIM0001", f"cannot read {self.path}: {error.strerror or error}") from None
        except DAMAGED as error:
            raise self._damaged(error) from None

    def _opened(self) -> BinaryIO:
        try:
            return open_regular(self.path)
        except OSError as error:
            raise fail("CIM0001", f"cannot read {self.path}: {error.strerror or error}") from None

    def _open(self, start: bytes) -> None:
        if not start.startswith((ZIP, NPY)):
            raise ValueError(f"it starts with {start!r}")
        if start.startswith(ZIP):
            self._zip = zipfile.ZipFile(self._file)
            self._members = {name.removesuffix(".npy"): name for name in self._zip.namelist()}

    def _read(self, file: IO[bytes], name: str, limit: int | None, stored: int) -> Array:
        """Read an array of which so many bytes are stored from the start of its file."""
        if self._zip is None:
            file.seek(0)
        shape, is_fortran, dtype = _header(file)
        granted = budgets().array_bytes + ARRAY_TIMES * stored
        if prod(shape) * dtype.itemsize > granted and limit is not None and shape and not is_fortran:
            shape = (min(limit, shape[0]), *shape[1:])
        size = prod(shape) * dtype.itemsize
        require("array_bytes", size, f"the bytes of array {name!r} in {self.path}", ARRAY_TIMES * stored)
        data = file.read(size)
        if len(data) != size:
            raise ValueError(f"array {name!r} of shape {shape} has {size} bytes, {len(data)} are there")
        return np.frombuffer(bytearray(data), dtype).reshape(shape, order="F" if is_fortran else "C")

    def _damaged(self, error: Exception) -> DiagnosticError:
        return fail(
            "CIM0201", f"{self.path} is not an .npz or .npy file of numbers: {str(error) or type(error).__name__}"
        )


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, "np.dtype[Any]"]:
    """Return shape, order and type of the array that follows. Raises ValueError on all but plain numbers and text."""
    readers = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
    version = npy.read_magic(file)
    if version not in readers:
        raise ValueError(f"version {version} of the format is unknown")
    shape, is_fortran, dtype = readers[version](file)
    if dtype.hasobject or dtype.names is not None:
        raise ValueError(f"its elements are {dtype}")
    return shape, is_fortran, dtype
