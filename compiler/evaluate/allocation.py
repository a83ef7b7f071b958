"""What the C library does with memory that is freed."""

import ctypes
from functools import cache

M_MMAP_THRESHOLD = -3
"""Number of the setting in glibc's malloc.h."""
LARGE_BYTES = 1 << 20
"""An array of so many bytes is given back to the system as soon as it is freed."""


@cache
def give_back() -> None:
    """Let this process keep no large arrays that were freed, where its C library is glibc.

    That raises its bound of what it gives back to the largest array freed so far, 32 MiB at most; what it keeps lies
    between other things, and threads that compute beside each other come to three times what they hold.
    """
    try:
        ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, LARGE_BYTES)
    except (AttributeError, OSError, TypeError):  # another C library
        return
