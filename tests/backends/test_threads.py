"""Parts of a run over threads: who does them, and what is raised where some fail."""

import os
from threading import Barrier, Event, current_thread

import pytest

from cimc.backends.plan.threads import even, share


def test_every_part_is_done_once_and_the_caller_does_some():
    both, done = Barrier(2), []

    def work(part: int) -> None:
        if part < 2:
            both.wait(10)
        done.append((part, current_thread()))

    share(work, range(50), 2)
    assert sorted(part for part, _ in done) == list(range(50))
    threads = dict(done)
    assert threads[0] != threads[1]
    assert current_thread() in (threads[0], threads[1])


def test_the_first_part_that_fails_is_told_though_a_later_one_fails_before_it():
    failing, begun = Event(), []

    def work(part: int) -> None:
        begun.append(part)
        if part == 0:
            failing.wait(10)
        failing.set()
        raise ValueError(part)

    with pytest.raises(ValueError, match="0"):
        share(work, range(50), 2)
    assert sorted(begun) == [0, 1]


@pytest.mark.parametrize(
    ("count", "most", "threads", "size"), [(1024, 106, 2, 103), (5, 106, 2, 3), (1, 9, 4, 1), (0, 9, 2, 1)]
)
def test_threads_get_equal_parts(count, most, threads, size):
    assert even(count, most, threads) == size


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no forks here")
def test_a_fork_has_helpers_of_its_own():
    share(lambda part: None, range(4), 2)
    child = os.fork()
    if not child:
        both = Barrier(2)
        share(lambda part: both.wait(10), range(2), 2)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
