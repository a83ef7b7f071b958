"""The files beside a model that hold the data of its tensors, each opened once."""

import hashlib
import os
from concurrent.futures import Future
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from cimc.isa.budgets import require
from cimc.isa.opening import open_named

CHUNK_BYTES = 1 << 20


class ExternalFiles:
    """Open files by the names that tensors of a model in `folder` give them; a context that closes them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._files: dict[str, BinaryIO] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for file in self._files.values():
            file.close()

    def file(self, name: str) -> BinaryIO:
        """Return the file of a name. Raises OSError where it may not or cannot be opened, OverBudget."""
        if name not in self._files:
            self._files[name] = open_named(self.folder, name)
            require("external_bytes", self.total, "bytes of external data")
        return self._files[name]

    @property
    def total(self) -> int:
        """The bytes of all files opened."""
        return sum(map(_size, self._files.values()))

    def size(self, name: str) -> int:
        """Return the bytes of a file, as `file` raises."""
        return _size(self.file(name))

    def read(self, name: str, offset: int, length: int) -> bytes:
        """Return bytes of a file, as `file` raises."""
        file = self.file(name)
        file.seek(offset)
        return file.read(length)

    def add_to(self, hashed: "Future[hashlib._Hash]") -> None:
        """Add the names and contents of all files opened to a hash; only where there are some is it waited for."""
        for name, file in sorted(self._files.items()):
            digest = hashed.result()
            digest.update(name.encode())
            file.seek(0)
            while chunk := file.read(CHUNK_BYTES):
                digest.update(chunk)


def _size(file: BinaryIO) -> int:
    return os.fstat(file.fileno()).st_size
