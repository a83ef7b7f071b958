"""Files that appear whole or not at all; a program's text and payload as one."""

import errno
import os
import re
import secrets
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path

HAS_LOCKS = sys.platform != "win32"
"""Whether folders can be locked; without, writers of one folder are not kept apart, and no temporaries are removed."""

Parts = Sequence[bytes]

NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
STREAMS = ("input comes from", "output goes", "error goes")
TEMPORARY = re.compile(r"\.[0-9a-f]{16}\.tmp")
"""How the name of a temporary file ends, behind a dot and the name of the file that it is to be."""


def write_files(files: Mapping[Path, Parts]) -> None:
    """Write each file as the joined parts: to temporary names beside them, synced, then renamed in order.

    Raises OSError if a folder cannot be written or the disk is full; no temporary and no new file is left then.
    """
    fresh: list[Path] = []
    with _temporaries(files) as temporaries:
        try:
            for path, temporary in temporaries.items():
                if not path.exists():
                    fresh.append(path)
                temporary.replace(path)
        except BaseException:
            _remove(fresh)
            raise


def write_pair(text: Path, content: bytes, companion: Path, parts: Parts) -> None:
    """Write a text and the file that belongs to it in one step: whoever reads finds the old pair or the new one.

    The companion is first renamed to a name that only this text asks for (`pending_name`); with the text the pair is
    there, and the last step gives the companion its own name. Raises OSError as `write_files` does.
    """
    pending = companion.with_name(pending_name(companion.name, content))
    with _temporaries({text: (content,), companion: parts}) as temporaries:
        _settle(text, companion)
        try:
            temporaries[companion].replace(pending)
            temporaries[text].replace(text)
        except BaseException:
            _remove([pending])
            raise
        pending.replace(companion)


def require_places(paths: Iterable[Path]) -> None:
    """Raise OSError, as `write_files` does, where a file cannot be written: before the work that it is for."""
    for path in paths:
        _check_regular(path)
        temporary = _temporary(path)
        os.close(os.open(temporary, NEW, 0o666))
        _remove([temporary])


def pending_name(companion: str, content: bytes) -> str:
    """Return what the companion of a text is called until both are in place."""
    return f".{companion}.{sha256(content).hexdigest()[:16]}.pending"


def _settle(text: Path, companion: Path) -> None:
    """Finish, or drop, what a writer that was killed has left of earlier pairs."""
    if text.exists():
        pending = companion.with_name(pending_name(companion.name, text.read_bytes()))
        if pending.exists():
            pending.replace(companion)
    _remove(companion.parent.glob(f".{_literal(companion.name)}.*.pending"))


@contextmanager
def _temporaries(files: Mapping[Path, Parts]) -> Iterator[dict[Path, Path]]:
    """Write files under new random names beside their own; those that the block has not renamed are removed.

    Writers of one folder wait for one another, so that temporaries found there are those of writers that were killed.
    """
    for path in files:
        _check_regular(path)
    with _alone_in(next(iter(files)).parent):
        temporaries = {path: _temporary(path) for path in files}
        try:
            for path, parts in files.items():
                _remove(_stale(path))
                _write(temporaries[path], parts)
            yield temporaries
        finally:
            _remove(temporaries.values())


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Hold the folder's lock, where the system has one for it."""
    descriptor = None
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
    try:
        if descriptor is not None and HAS_LOCKS:
            import fcntl  # a system without locks has no such module

            with suppress(OSError):
                fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        if descriptor is not None:
            os.close(descriptor)


def _temporary(path: Path) -> Path:
    return path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")


def _stale(path: Path) -> Iterator[Path]:
    """Yield the temporaries of a file that a writer has left; without locks some may be those of another writer."""
    start = f".{path.name}"
    for found in path.parent.glob(f"{_literal(start)}.*.tmp") if HAS_LOCKS else ():
        if TEMPORARY.fullmatch(found.name.removeprefix(start)):
            yield found


def _literal(name: str) -> str:
    """Return a pattern of `glob` that only this name fits."""
    return re.sub(r"([*?[])", r"[\1]", name)


def _check_regular(path: Path) -> None:
    """Raise OSError for what is not to be replaced: folders, devices, and what a standard stream reads or writes.

    `/dev/stdout` is a link that leads to the latter, which must stay, and no place for a file.
    """
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not path.exists():
        return
    if not path.is_file():
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    found = path.stat()
    for number, use in enumerate(STREAMS):
        if _is_stream(number, found):
            raise OSError(errno.EINVAL, f"it is where standard {use}", str(path))


def _is_stream(number: int, found: os.stat_result) -> bool:
    try:
        return os.path.samestat(os.fstat(number), found)
    except OSError:  # the stream is closed
        return False


def _write(path: Path, parts: Parts) -> None:
    """Write a file that must not be there yet: an old one, or a link, is never written through."""
    with open(os.open(path, NEW, 0o666), "wb") as file:  # noqa: PTH123
        file.writelines(parts)
        file.flush()
        os.fsync(file.fileno())


def _remove(paths: Iterable[Path]) -> None:
    for path in paths:
        with suppress(OSError):
            path.unlink()
