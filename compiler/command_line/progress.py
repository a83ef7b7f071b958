"""A progress line on a terminal; silence in a pipe."""

import sys


class Progress:
    """Shows `what` with samples done of `total` on stderr, if that is a terminal."""

    def __init__(self, what: str, total: int) -> None:
        self._what = what
        self._total = total
        self._shown = sys.stderr.isatty()

    def at(self, done: int) -> None:
        if self._shown:
            sys.stderr.write(f"\r{self._what} {done}/{self._total}\x1b[K")
            sys.stderr.flush()

    def done(self) -> None:
        if self._shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
