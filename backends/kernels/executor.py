"""Performs a plan by the compiled library, and in numpy what the library has no kernel for or found a fault in."""

from functools import cached_property

import numpy as np

from cimc.backends.kernels.library import LEVELS, Batch, Library
from cimc.backends.kernels.runs import Run, batch, cut
from cimc.backends.plan.executor import NumpyExecutor, perform, tell
from cimc.backends.plan.memory import Chunk
from cimc.backends.plan.products import is_probed
from cimc.backends.plan.walk import Plan
from cimc.isa.program import Program


class KernelExecutor(NumpyExecutor):
    """An executor on one of the library's `levels` of instruction sets; `runs` is the plan as it is performed."""

    def __init__(self, program: Program, plan: Plan, library: Library, level: str, chunk: int | None = None) -> None:
        super().__init__(program, plan, chunk)
        self._library = library
        self._level = LEVELS.index(level)
        self._constants = np.frombuffer(program.constants or bytes(1), np.uint8)
        self.runs = cut(plan.steps, self._constants)
        self._scratch = max((run.scratch for run in self.runs), default=0)
        self._batches: dict[Chunk, Batch] = {}

    @cached_property
    def _observed(self) -> list[Run]:
        return cut(self._plan.observed, self._constants)

    def _execute(self, chunk: Chunk) -> None:
        native = self._batch(chunk)
        if chunk.observer:
            for run in self._observed:
                self._tell(run, chunk, native)
            return
        for run in self.runs:
            self._run(run, chunk, native)

    def _batch(self, chunk: Chunk) -> Batch:
        """Return the library's view of a chunk with the images that are in it now."""
        if chunk not in self._batches:
            self._batches[chunk] = batch(chunk, self._scratch)
        native = self._batches[chunk]
        native.images, native.sample = chunk.images, chunk.first_sample
        return native

    def _run(self, run: Run, chunk: Chunk, native: Batch) -> None:
        """Perform a run's steps; numpy repeats a step in which a kernel has met a fault, and says which."""
        done, count = 0, len(run.steps)
        while done < count:
            if run.native:
                done = self._library.run(run.native, native, (done, count), self._level)
                if done == count:
                    return
            perform(run.steps[done], chunk, self._program.locations)
            done += 1

    def _tell(self, run: Run, chunk: Chunk, native: Batch) -> None:
        """Perform a run's steps one by one, and tell the observer what each has written; numpy does those it probes."""
        assert chunk.observer
        for number, step in enumerate(run.steps):
            if run.native and not is_probed(step.action, chunk.observer) and self._performs(run, number, native):
                tell(step, chunk)
            else:
                perform(step, chunk, self._program.locations)

    def _performs(self, run: Run, number: int, native: Batch) -> bool:
        """Perform one step; return False where a kernel has met a fault."""
        assert run.native
        return self._library.run(run.native, native, (number, number + 1), self._level) == number + 1
