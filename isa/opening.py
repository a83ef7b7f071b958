"""One road to files: regular files only, opened once; what a file names lies in its folder, or where the user allows.

Faults are OSErrors whose `strerror` is a sentence: every loader gives them its own code and place.
"""

import errno
import os
import shutil
import stat
import sys
import tempfile
from pathlib import Path, PurePath
from typing import BinaryIO

from cimc.isa.budgets import require

FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
"""Not to block: a FIFO without a writer, or a device, opens at once and is refused."""
STANDARD = "-"
"""Names standard input and standard output in place of a file."""
NO_LINK = getattr(os, "O_NOFOLLOW", 0)
KINDS = {
    stat.S_IFIFO: "a FIFO",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}


class _Policy:
    """The folder that files may name files in beside their own, as a umask is: set once by who owns the process."""

    root: Path | None = None


def set_root(folder: str | Path | None) -> None:
    """Let files name anything within a folder, by any path and link; None: within their own folders only."""
    _Policy.root = resolved(folder) if folder else None


def root() -> Path | None:
    """Return the folder that `set_root` allows."""
    return _Policy.root


def resolved(path: str | os.PathLike[str]) -> Path:
    """Return where a path leads, absolute and without links; where links go in circles, to one of them."""
    return Path(os.path.realpath(path))  # raises in no Python, as resolve() does in some


def open_regular(path: str | os.PathLike[str]) -> BinaryIO:
    """Return an open regular file, which a user has named; STANDARD is what standard input holds, as such a file.

    Raises OSError, also for folders, FIFOs and devices.
    """
    return _standard_input() if os.fspath(path) == STANDARD else _opened(Path(path), 0)


def _standard_input() -> BinaryIO:
    """Return a file without a name that holds all of standard input."""
    file = tempfile.TemporaryFile()  # noqa: SIM115
    try:
        shutil.copyfileobj(sys.stdin.buffer, file)
        file.seek(0)
    except BaseException:
        file.close()
        raise
    return file


def open_named(folder: Path, name: str) -> BinaryIO:
    """Return an open regular file that a file in `folder` names, as `named` allows. Raises OSError."""
    file = _opened(named(folder, name), NO_LINK)
    if _Policy.root is None and os.fstat(file.fileno()).st_nlink > 1:
        file.close()
        raise _refused(name, "it is a hard link, which may lead out of the folder")
    return file


def named(folder: Path, name: str) -> Path:
    """Return the place of a file that a file in `folder` names: relative, no parent steps, no links out of the folder.

    Where `set_root` allows a folder, the place may be anywhere within that. Raises OSError.
    """
    within, place = _Policy.root or resolved(folder), PurePath(name)
    if "\0" in name or not place.parts:
        raise _refused(name, "it names no file")
    if _Policy.root is None and (place.is_absolute() or ".." in place.parts or "\\" in name):
        raise _refused(name, "only files beside the file that names it, or below, may be named")
    found = resolved(folder / name)
    if found.is_symlink():
        raise _refused(name, "its links go in circles")
    if not found.is_relative_to(within):
        raise _refused(name, f"it leads out of {within}")
    return found


def read_regular(path: str | os.PathLike[str], budget: str) -> bytes:
    """Return the bytes of a file that a user has named. Raises OSError, and OverBudget before anything is read."""
    with open_within(path, budget) as file:
        return file.read()


def open_within(path: str | os.PathLike[str], budget: str) -> BinaryIO:
    """Return an open file that a user has named, of no more bytes than a budget has. Raises as `read_regular` does."""
    file = open_regular(path)
    try:
        require(budget, os.fstat(file.fileno()).st_size, f"the bytes of {path}")
    except BaseException:
        file.close()
        raise
    return file


def _opened(path: Path, flags: int) -> BinaryIO:
    _require_regular(path, path.stat().st_mode)  # devices may act on being opened
    descriptor = os.open(path, FLAGS | flags)
    try:
        _require_regular(path, os.fstat(descriptor).st_mode)
        return open(descriptor, "rb")  # noqa: PTH123
    except BaseException:
        os.close(descriptor)
        raise


def _require_regular(path: Path, mode: int) -> None:
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(mode):
        kind = KINDS.get(stat.S_IFMT(mode), "no regular file")
        raise OSError(errno.EINVAL, f"it is {kind}, a regular file is needed", str(path))


def _refused(name: str, sentence: str) -> OSError:
    return OSError(errno.EPERM, f"{sentence}; --model-root FOLDER allows more", name)
