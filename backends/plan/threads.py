"""Parts of a run over threads."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cache


def even(count: int, most: int, threads: int) -> int:
    """Return a size of parts, at most `most`, by which threads get equally many of `count` images, but for the last."""
    rounds = max(-(-count // (most * threads)), 1)
    return max(-(-count // (rounds * threads)), 1)


def share(work: Callable[[int], None], parts: Sequence[int], threads: int) -> None:
    """Do `work` for all parts, handed out in order to the calling thread and its helpers.

    Raises what the first of the parts raises that fail. Each thread asks for its next part itself: one that waited for
    all, and woke at every part's end, would take a processor and Python's lock from those that compute.
    """
    waiting = iter(parts)
    failed: dict[int, BaseException] = {}

    def go_on() -> None:
        part = 0
        try:
            for part in waiting:
                if failed:
                    return
                work(part)
        except BaseException as error:
            failed[part] = error

    tasks = [_helpers(os.getpid(), threads - 1).submit(go_on) for _ in range(threads - 1)]
    go_on()
    for task in tasks:
        if not task.cancel():  # helpers that are busy elsewhere are not waited for
            task.result()
    if failed:
        raise failed[min(failed)]


@cache
def _helpers(process: int, count: int) -> ThreadPoolExecutor:
    """Return threads kept for later runs, which starting would slow; a forked process has none of its parent's."""
    return ThreadPoolExecutor(count, "cimc")
