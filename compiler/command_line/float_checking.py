"""The float check of a compile: the graph as imported against the model file, beside the passes."""

from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cimc.diagnostics import DiagnosticError
from cimc.driving.driver import Request, synthetic_data
from cimc.driving.feeding import Intake
from cimc.evaluate import Batch
from cimc.frontend import load_traced

if TYPE_CHECKING:
    from cimc.proof.float_graph import FloatCheck

SAMPLES = 2
"""Samples that are looked at; with none of them nothing is."""


class FloatCheckBeside:
    """A check on a thread of its own, which begins when the calibration data of `request` are read.

    Compile `request` in place of the one given: that is how the check comes to its data.
    """

    def __init__(self, path: Path, given: Request) -> None:
        self._path, self._given = path, given
        self._found: Future[FloatCheck] | None = None
        self.request = given
        if given.data is None:
            self._begin(None)
        else:
            self.request = replace(given, data=self._read)

    def wrong(self) -> list[str]:
        """Wait for the check; return its sentences, none where nobody can run the file or no data was needed."""
        if self._found is None:
            return []
        try:
            return [str(one) for one in self._found.result().wrong.values()]
        except DiagnosticError:
            return []

    def _read(self, intakes: list[Intake]) -> Batch:
        assert self._given.data is not None
        data = self._given.data(intakes)
        self._begin(data)
        return data

    def _begin(self, data: Batch | None) -> None:
        if SAMPLES:
            pool, check = ThreadPoolExecutor(1), partial(copy_context().run, self._check, data)
            self._found = pool.submit(check)
            pool.shutdown(wait=False)

    def _check(self, data: Batch | None) -> Any:
        from cimc.proof.float_graph import check_float

        imported = load_traced(self._path, self._given.stated)
        found = synthetic_data(imported.graph) if data is None else data
        return check_float(self._path, imported, {name: array[:SAMPLES] for name, array in found.items()})
