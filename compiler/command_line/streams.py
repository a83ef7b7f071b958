"""Standard streams that are closed or full: an output that is lost is an error, a lost message changes no status."""

import io
import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TextIO

    from _typeshed import ReadableBuffer

INPUT, OUTPUT, MESSAGES = range(3)
"""Descriptors of the standard streams."""


class _Output(io.FileIO):
    """Standard output; what cannot be written there is told once, and then goes nowhere."""

    def write(self, data: "ReadableBuffer", /) -> int:
        try:
            return super().write(data)
        except BrokenPipeError:
            raise
        except OSError as error:
            discard_output()
            raise _lost(error) from None


class _Messages(io.FileIO):
    """Standard error; what it does not take is lost."""

    def write(self, data: "ReadableBuffer", /) -> int:
        try:
            return super().write(data)
        except OSError:
            return len(bytes(data))


def attend() -> None:
    """Put streams of ours in the place of this process's own, open or closed.

    A descriptor that is closed would be that of the next file opened. Nothing is read from the one that stands for
    it, nothing can be written to that of standard output.
    """
    if sys.stdin is None:
        _open(INPUT, os.O_RDONLY)
        sys.stdin = open(INPUT, encoding="utf-8", closefd=False)  # noqa: SIM115
    if sys.stdout is None:
        _open(OUTPUT, os.O_RDONLY)
    if sys.stderr is None:
        _open(MESSAGES, os.O_WRONLY)
    sys.stdout = _text(_Output(OUTPUT, "w", closefd=False), sys.stdout)
    sys.stderr = _text(_Messages(MESSAGES, "w", closefd=False), sys.stderr)


def discard_output() -> None:
    """Point stdout elsewhere, so that the interpreter's own flush at exit has nothing to complain about."""
    _open(sys.stdout.fileno(), os.O_WRONLY)


def _open(descriptor: int, flags: int) -> None:
    """Let a descriptor be the null device."""
    opened = os.open(os.devnull, flags)
    if opened != descriptor:
        os.dup2(opened, descriptor)
        os.close(opened)


def _text(raw: io.FileIO, old: "TextIO | None") -> io.TextIOWrapper:
    """Return a stream of text over a file, which encodes as the old one did and writes line by line where it did."""
    encoding, errors = (old.encoding, old.errors) if old else ("utf-8", "backslashreplace")
    by_line = raw.fileno() == MESSAGES or raw.isatty()
    return io.TextIOWrapper(io.BufferedWriter(raw), encoding, errors, line_buffering=by_line)


def _lost(error: OSError) -> Exception:
    from cimc.diagnostics import fail

    hint = "free some space, or name a file that can be written"
    return fail("CIM0002", f"cannot write standard output: {error.strerror or error}", hint=hint)
