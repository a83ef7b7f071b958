"""A progress line on a terminal; silence in a pipe."""

import sys
import time

WORTH_SAYING_S = 10.0
"""Less time than this left is not shown."""


def clear_line() -> None:
    """Take a progress line off the terminal, so that something else can be said."""
    if sys.stderr.isatty():
        sys.stderr.write("\r\x1b[K")
        sys.stderr.flush()


class Progress:
    """Shows `what` with steps done of `total`, and the time left, on stderr, if that is a terminal."""

    def __init__(self, what: str, total: int) -> None:
        self._what = what
        self._total = total
        self._shown = sys.stderr.isatty()
        self._started = time.monotonic()

    def at(self, done: int) -> None:
        if self._shown:
            sys.stderr.write(f"\r{self._what} {done}/{self._total}{self._left(done)}\x1b[K")
            sys.stderr.flush()

    def done(self) -> None:
        clear_line()

    def _left(self, done: int) -> str:
        """Return how long the rest takes at the speed so far."""
        from cimc.driving.durations import spoken

        left = (time.monotonic() - self._started) / max(done, 1) * (self._total - done)
        return f", {spoken(left)} left" if done and left >= WORTH_SAYING_S else ""
