"""What the C library does with freed memory, where it is glibc; the numbers of settings are those of its malloc.h."""

import ctypes
from contextlib import suppress
from functools import cache

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8
LARGE_BYTES = 1 << 25
"""Larger arrays come from the system, and go back to it as soon as they are freed: no other bound may be higher."""


@cache
def share_freed() -> None:
    """Let this process keep what is freed, for all threads alike, until `give_back`.

    Fresh memory takes time: the system clears each page. Left alone, each thread keeps what it has freed for itself,
    and they come to three times what they hold.
    """
    for setting, value in ((M_ARENA_MAX, 1), (M_MMAP_THRESHOLD, LARGE_BYTES), (M_TRIM_THRESHOLD, 2 * LARGE_BYTES)):
        _call("mallopt", ctypes.c_int(setting), ctypes.c_int(value))


def give_back() -> None:
    """Return to the system what is freed and kept."""
    _call("malloc_trim", ctypes.c_size_t(0))


def _call(name: str, *arguments: ctypes.c_int | ctypes.c_size_t) -> None:
    with suppress(AttributeError, OSError, TypeError):  # another C library
        getattr(ctypes.CDLL(None), name)(*arguments)
