"""Work on large arrays, spread over the processor's cores: numpy and others let go of Python's lock meanwhile."""

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

LARGE_BYTES = 1 << 24
"""For work on fewer bytes, threads take longer to start than it does."""


def on_cores(work: Callable[[Item], Result], items: Iterable[Item], size: int) -> list[Result]:
    """Return what the work makes of each item, in order; `size` are the bytes of all.

    Items of large work are taken by a thread for each core. They must not write to the same memory.
    """
    if size < LARGE_BYTES:
        return list(map(work, items))
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(work, items))
