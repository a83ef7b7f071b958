"""Models of others on onnxruntime: in a process of its own, with limits of address space and time."""

import atexit
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import count
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from cimc.inference.messages import Arrays, receive, send
from cimc.isa.budgets import SECOND_BYTES, STORED_TIMES, budgets

START_SECONDS = 120
"""How long the process may take to load onnxruntime, which is no work of the model's."""
END_SECONDS = 5
ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
"""Without it, address space is no measure: each thread reserves some."""


class Refused(Exception):
    """onnxruntime does not take a model or its data, or not within the limits; the message is a sentence."""


class Value(NamedTuple):
    """An input or output of a model: name, onnxruntime's name of the type, sizes, names of open sizes, None."""

    name: str
    kind: str
    shape: list[int | str | None]


@dataclass(frozen=True)
class Grant:
    """What a session may cost beside the budgets: by the bytes that its model stores, and those of all its values."""

    stored: int = 0
    values: int = 0

    @property
    def bytes(self) -> int:
        """Address space beside what onnxruntime itself occupies."""
        return budgets().onnxruntime_bytes + STORED_TIMES * self.stored + self.values

    @property
    def seconds(self) -> float:
        """The time that opening, or a run for each of its samples, may take."""
        return budgets().onnxruntime_seconds + self.stored / SECOND_BYTES


class Confined:
    """A session in the limited process; a context that closes it.

    `model` is a file, whose external data onnxruntime finds, or a model's bytes; `entries` are onnxruntime's settings.
    """

    def __init__(
        self, model: Path | bytes, grant: Grant, entries: Mapping[str, str] | None = None, optimised: bool = True
    ) -> None:
        self._grant, self._process = grant, _Process.running()
        self._number = next(self._process.numbers)
        asked = {"do": "open", "entries": dict(entries or {}), "optimised": optimised}
        if isinstance(model, bytes):
            said, _ = self._ask(asked, {"model": np.frombuffer(model, np.uint8)})
        else:
            said, _ = self._ask({**asked, "path": str(model)})
        self.inputs = [Value(*value) for value in said["inputs"]]
        self.outputs = [Value(*value) for value in said["outputs"]]

    def run(self, names: list[str], feeds: Mapping[str, NDArray[Any]], samples: int = 1) -> Arrays:
        """Return the outputs of these names for arrays by input name, which hold some samples. Raises Refused."""
        return self._ask({"do": "run", "names": names}, feeds, samples)[1]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.alive:
            self._ask({"do": "close"})

    def _ask(
        self, asked: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]] | None = None, samples: int = 1
    ) -> tuple[dict[str, Any], Arrays]:
        own = {"session": self._number, "bytes": self._grant.bytes}
        return self._process.ask({**asked, **own}, arrays or {}, self._grant.seconds * samples)


class _Process:
    """The process: started when it is first needed, kept for all sessions, replaced once it has ended."""

    _current: "_Process | None" = None

    @staticmethod
    def running() -> "_Process":
        """Return the process of this one; a child that was forked starts its own."""
        found = _Process._current
        if found is None or not found.alive or found.owner != os.getpid():
            found = _Process._current = _Process()
        return found

    def __init__(self) -> None:
        self.owner, self.numbers, self._lock = os.getpid(), count(), Lock()
        self._line, theirs = Pipe()
        with theirs:
            self._child = _started(theirs)
        self.alive = True
        atexit.register(self.end)
        self._reply(START_SECONDS, "onnxruntime did not start")

    def ask(
        self, asked: Mapping[str, Any], arrays: Mapping[str, NDArray[Any]], seconds: float
    ) -> tuple[dict[str, Any], Arrays]:
        """Return what the process answers within some seconds. Raises Refused."""
        with self._lock:
            try:
                send(self._line, asked, arrays)
            except OSError:
                raise self._died() from None
            said, results = self._reply(seconds, "onnxruntime did not end")
        if not said["ok"]:
            raise Refused(_first_line(said["error"]))
        return said, results

    def end(self) -> None:
        """End the process, whatever it does."""
        if self.owner != os.getpid():
            return
        self.alive = False
        self._line.close()
        self._child.kill()
        self._child.wait(END_SECONDS)
        atexit.unregister(self.end)

    def _reply(self, seconds: float, late: str) -> tuple[dict[str, Any], Arrays]:
        try:
            if self._line.poll(seconds):
                return receive(self._line)
        except (EOFError, OSError):
            raise self._died() from None
        self.end()
        raise Refused(f"{late} within {seconds:.0f} s; the budget onnxruntime_seconds sets it")

    def _died(self) -> Refused:
        self.end()
        return Refused(f"onnxruntime ended with status {self._child.returncode} on this model")


def _started(line: Connection) -> "subprocess.Popen[bytes]":
    number = line.fileno()
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "cimc.inference.worker", str(number)],
        pass_fds=[number],
        env={**os.environ, **ONE_THREAD},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def _first_line(text: str) -> str:
    return next(iter(text.splitlines()), text)
