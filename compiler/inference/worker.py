"""The process that models of others run in: opens sessions, runs them and closes them as it is asked, within limits.

Called as a module with the number of the socket that it is asked on; it ends when that is closed.
"""

import sys
from collections.abc import Iterable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np

from cimc.inference.messages import Arrays, receive, send
from cimc.inference.sessions import exact_session

Reply = tuple[dict[str, Any], Arrays]


class Worker:
    """The sessions that are open, by the numbers that they were asked for with."""

    def __init__(self) -> None:
        self._sessions: dict[int, Any] = {}

    def answer(self, asked: dict[str, Any], arrays: Arrays) -> Reply:
        """Return the answer to one question. Raises whatever onnxruntime does."""
        limit_address_space(asked["bytes"])
        match asked["do"]:
            case "open":
                return self._open(asked, arrays)
            case "run":
                return self._run(asked, arrays)
            case _:
                del self._sessions[asked["session"]]
                return {}, {}

    def _open(self, asked: dict[str, Any], arrays: Arrays) -> Reply:
        model = arrays["model"].tobytes() if "model" in arrays else asked["path"]
        opened = exact_session(model, asked["entries"], asked["optimised"])
        self._sessions[asked["session"]] = opened
        return {"inputs": _values(opened.get_inputs()), "outputs": _values(opened.get_outputs())}, {}

    def _run(self, asked: dict[str, Any], arrays: Arrays) -> Reply:
        results = self._sessions[asked["session"]].run(asked["names"], arrays)
        return {}, {name: np.asarray(array) for name, array in zip(asked["names"], results, strict=True)}


def _values(values: Iterable[Any]) -> list[tuple[str, str, list[Any]]]:
    return [(value.name, value.type, value.shape) for value in values]


def limit_address_space(grant: int) -> None:
    """Let this process have so many bytes beside those that it has, where the system enforces that."""
    try:
        import resource

        pages = int(Path("/proc/self/statm").read_text().split()[0])
        _, hard = resource.getrlimit(resource.RLIMIT_AS)
        wanted = pages * resource.getpagesize() + grant
        resource.setrlimit(resource.RLIMIT_AS, (wanted if hard < 0 else min(wanted, hard), hard))
    except (ImportError, OSError, ValueError):  # no such limit, or no such count: the budgets alone stand
        return


def main(line: Connection) -> None:
    """Answer until the other end is closed."""
    import onnxruntime  # noqa: F401  (before the limit counts what is occupied)

    worker = Worker()
    send(line, {"ready": True})
    while True:
        try:
            asked, arrays = receive(line)
        except EOFError:
            return
        try:
            said, results = worker.answer(asked, arrays)
            send(line, {"ok": True, **said}, results)
        except Exception as error:
            send(line, {"ok": False, "error": str(error) or type(error).__name__})


if __name__ == "__main__":
    main(Connection(int(sys.argv[1])))
