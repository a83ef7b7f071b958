"""Files that appear whole or not at all."""

import errno
import os
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path


def write_files(files: Mapping[Path, Sequence[bytes]]) -> None:
    """Write each file as the joined parts: to temporary names beside them, synced, then renamed in order.

    Raises OSError if a folder cannot be written or the disk is full; no temporary and no new file is left then.
    """
    for path in files:
        _check_regular(path)
    temporaries = {path: path.with_name(f".{path.name}.{os.getpid()}.tmp") for path in files}
    fresh: list[Path] = []
    try:
        for path, parts in files.items():
            _write(temporaries[path], parts)
        for path, temporary in temporaries.items():
            if not path.exists():
                fresh.append(path)
            temporary.replace(path)
    except BaseException:
        _remove([*temporaries.values(), *fresh])
        raise


def _check_regular(path: Path) -> None:
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if path.exists() and not path.is_file():
        raise OSError(errno.EINVAL, "not a regular file", str(path))


def _write(path: Path, parts: Sequence[bytes]) -> None:
    with path.open("wb") as file:
        file.writelines(parts)
        file.flush()
        os.fsync(file.fileno())


def _remove(paths: Sequence[Path]) -> None:
    for path in paths:
        with suppress(OSError):
            path.unlink()
