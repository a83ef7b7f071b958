"""The front door to running a program: any executor, any number of images, the same bits."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cimc.backends.kernels.executor import KernelExecutor
from cimc.backends.kernels.library import library
from cimc.backends.machine.facts import machine
from cimc.backends.machine.observer import Observer
from cimc.backends.machine.ports import DTYPES, count_of, require_in_memory
from cimc.backends.noise.sources import Noise
from cimc.backends.plan.executor import Executor, NumpyExecutor
from cimc.backends.plan.threads import even, share
from cimc.backends.plan.walk import Plan, plan
from cimc.backends.torch_device.opening import devices, opened
from cimc.isa.program import Program

Array = NDArray[Any]
BEST = "best"
"""The executor that is fastest on this processor."""


class Interpreter:
    """A program resolved once, to be run on any number of images.

    `noise` disturbs devices and converters; without it everything is exact. `executor` names what performs the
    instructions, one of `executors()` or "best". Up to `threads` threads share the images, of which `chunk` are in
    flight at a time on each, by default as many as suit the caches or the accelerator. `planned` is a plan made before,
    in place of the program's own. Raises Refusal CIM0540 to CIM0542 where there is no such executor.
    """

    def __init__(
        self,
        program: Program,
        *,
        noise: Noise | None = None,
        executor: str = BEST,
        threads: int = 1,
        chunk: int | None = None,
        planned: Plan | None = None,
    ) -> None:
        self.program = program
        self.noise = noise
        self._threads = threads
        self._plan = planned or plan(program, machine(program.meta), noise)
        self._executor = _made(executor, program, self._plan, threads, chunk)
        self._has_run = False

    @property
    def chunk(self) -> int:
        """How many images are in flight at a time; an observer sees no more at once."""
        return self._executor.chunk

    def run(self, codes: Mapping[str, Array], observer: Observer | None = None, *, first: int = 0) -> dict[str, Array]:
        """Return the output codes [N, *port.shape] for input codes [N, *port.shape], all by port name.

        `observer` is told everything on the calling thread, chunk after chunk. `first` is the number of the first image
        within its file, for noise that is drawn anew for each sample. Raises PortError for wrong inputs, Trap on a
        fault of the program and Refusal where an instruction meets noise that cannot be modelled.
        """
        count, executor = self._require(codes), self._executor
        outputs = {p.name: np.empty((count, *p.shape), DTYPES[p.type]) for p in self.program.outputs}
        number = first + (self.noise.sample_offset if self.noise else 0)
        is_shared = self._threads > 1 and executor.is_reentrant
        size = even(count, executor.chunk, self._threads) if is_shared else executor.chunk

        if 0 < count <= size:
            executor.run(range(number, number + count), codes, outputs, observer)
            return outputs

        def run_part(start: int) -> None:
            part = slice(start, min(start + size, count))
            samples = range(number + part.start, number + part.stop)
            executor.run(samples, _cut(codes, part), _cut(outputs, part), observer)

        parts = range(0, count, size)
        if is_shared and observer is None:
            share(run_part, parts, self._threads)
        else:
            for start in parts:
                run_part(start)
        return outputs

    def _require(self, inputs: Mapping[str, Array]) -> int:
        """Return the number of images, the same for every input."""
        if not self._has_run:
            require_in_memory(self.program)
        self._has_run = True
        return count_of(self.program, inputs)


def executors() -> tuple[str, ...]:
    """Return what can perform instructions here: numpy, the compiled library's levels by speed, torch's devices."""
    return (*on_processor(), *devices())


def on_processor() -> tuple[str, ...]:
    """Return what can perform instructions on this processor without torch, the fastest last."""
    compiled = library()
    return ("numpy", *(compiled.levels if compiled else ()))


def performer(program: Program, planned: Plan, level: str = BEST, chunk: int | None = None) -> NumpyExecutor:
    """Return what performs a plan on this processor: one of `on_processor()`, or the fastest."""
    compiled = library()
    named = on_processor()[-1] if level == BEST else level
    return (
        KernelExecutor(program, planned, compiled, named, chunk)
        if compiled and named != "numpy"
        else NumpyExecutor(program, planned, chunk)
    )


def _made(name: str, program: Program, planned: Plan, threads: int, chunk: int | None) -> Executor:
    if name == BEST or name in on_processor():
        return performer(program, planned, name, chunk)
    device = opened(name)
    from cimc.backends.torch_device.executor import TorchExecutor  # imports torch

    return TorchExecutor(device, program, planned, threads, chunk)


def _cut(arrays: Mapping[str, Array], part: slice) -> dict[str, Array]:
    return {name: array[part] for name, array in arrays.items()}
