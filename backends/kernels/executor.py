"""Performs a plan by the compiled library, and in numpy what the library has no kernel for or found a fault in."""

import ctypes
from collections.abc import Sequence
from functools import cached_property

import numpy as np

from cimc.backends.kernels.library import LEVELS, TILED, Batch, Library
from cimc.backends.kernels.runs import Rounds, Run, batch, cut, most_scratch
from cimc.backends.kernels.tally import counting
from cimc.backends.plan.executor import NumpyExecutor, perform_one, tell
from cimc.backends.plan.memory import Array, Chunk
from cimc.backends.plan.moments import Reals, Sums, flat
from cimc.backends.plan.moving import through
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
        self._tiled = level == TILED
        self.runs = cut(plan.steps, self._constants, self._tiled)
        self._scratch = most_scratch(self.runs)
        self._batches: dict[Chunk, Batch] = {}

    @cached_property
    def _observed(self) -> list[Run | Rounds]:
        return cut(self._plan.observed, self._constants, self._tiled)

    def totals(self, parts: Sequence[Sums]) -> Array:
        """Return the sum of each column, as NumpyExecutor does."""
        total = np.zeros(parts[0].shape[2], np.int64)
        for part in parts:
            self._library.totals(part, total, self._level)
        return total

    def moments(self, parts: Sequence[Sums], aim: Sums, centres: tuple[Reals, Reals]) -> Reals:
        """Return the moments that NumpyExecutor does; a lone column, whose terms numpy adds in pairs, is left to it."""
        if aim.shape[1] == 1:
            return super().moments(parts, aim, centres)
        found, start = np.zeros((2, aim.shape[1])), 0
        for part in parts:
            self._library.moments(part, aim[start:], centres, found, self._level)
            start += len(flat(part))
        return found

    def go_on(self, chunk: Chunk) -> None:
        """Perform the plan on a chunk in flight, as NumpyExecutor does."""
        native = self._batch(chunk)
        for run in self._observed if chunk.observer else self.runs:
            self._perform(run, chunk, native)

    def _perform(self, run: Run | Rounds, chunk: Chunk, native: Batch) -> None:
        """Perform a run's steps, or a loop's turns, and tell the chunk's observer."""
        if isinstance(run, Run):
            (self._tell if chunk.observer else self._run)(run, chunk, native)
        elif run.alone and not chunk.observer:
            self._turn(run, run.alone, chunk, native)
        else:
            for _ in through(chunk.turns, run.depth, run.count):
                for inner in run.runs:
                    self._perform(inner, chunk, native)

    def _turn(self, rounds: Rounds, run: Run, chunk: Chunk, native: Batch) -> None:
        """Perform the turns of a loop of the library; a turn in which a kernel met a fault is ended step by step."""
        assert run.native
        turn = 0
        while turn < rounds.count:
            chunk.turns[rounds.depth] = turn
            turn, done = self._library.turns(run.native, native, (rounds.depth, rounds.count), self._level)
            if turn < rounds.count:
                self._run(run, chunk, native, done)
            turn += 1

    def _batch(self, chunk: Chunk) -> Batch:
        """Return the library's view of a chunk with the images that are in it now."""
        if chunk not in self._batches:
            self._batches[chunk] = batch(chunk, self._scratch)
        native = self._batches[chunk]
        native.images, native.sample = chunk.images, chunk.first_sample
        return native

    def _run(self, run: Run, chunk: Chunk, native: Batch, done: int = 0) -> None:
        """Perform a run's steps but those done; numpy repeats one in which a kernel met a fault, and says which."""
        count = len(run.steps)
        while done < count:
            if run.native:
                done = self._library.run(run.native, native, (done, count), self._level)
                if done == count:
                    return
            perform_one(run.steps[done], chunk, self._program.locations)
            done += 1

    def _tell(self, run: Run, chunk: Chunk, native: Batch) -> None:
        """Perform a run's steps one by one, and tell the observer what each has written; numpy does those it probes."""
        for number, step in enumerate(run.steps):
            if run.native and self._tells(run, number, chunk, native):
                tell(step, chunk)
            else:
                perform_one(step, chunk, self._program.locations)

    def _tells(self, run: Run, number: int, chunk: Chunk, native: Batch) -> bool:
        """Perform one step, and tell the observer what is counted of it; return False where it is left to numpy."""
        assert chunk.observer
        step = run.steps[number]
        counted = counting(step, run.lowered[number], chunk)
        if counted is None:
            return not is_probed(step.action, chunk.observer) and self._performs(run, number, native)
        native.tally = ctypes.addressof(counted.native)
        performed = self._performs(run, number, native)
        native.tally = None
        if performed:
            counted.tell(chunk)
        return performed

    def _performs(self, run: Run, number: int, native: Batch) -> bool:
        """Perform one step; return False where a kernel has met a fault."""
        assert run.native
        return self._library.run(run.native, native, (number, number + 1), self._level) == number + 1
