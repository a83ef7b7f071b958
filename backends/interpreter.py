"""The fast interpreter: the reference's bits, chunk by chunk of images, by compiled kernels or vectorised in numpy."""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cimc.backends.kernels.library import Batch, library
from cimc.backends.kernels.runs import Run, batch, cut
from cimc.backends.machine import checks
from cimc.backends.machine.facts import machine
from cimc.backends.machine.ports import (
    DTYPES,
    port_stream,
    require_batch,
    require_in_memory,
    require_names,
    require_same_count,
)
from cimc.backends.machine.traps import Trap
from cimc.backends.noise.sources import Noise
from cimc.backends.plan.counters import ConverterCounts
from cimc.backends.plan.memory import Chunk
from cimc.backends.plan.state import Effect, Write
from cimc.backends.plan.walk import Plan, Step, plan
from cimc.backends.torch_device.opening import opened
from cimc.isa.program import Program

if TYPE_CHECKING:
    from cimc.backends.torch_device.executor import Executor

Array = NDArray[Any]
Watch = Callable[[int, Array], None]
MOST_IMAGES = 128
CHUNK_ELEMENTS = 1 << 21
"""A chunk has as many images, up to MOST_IMAGES, as keep its longest stream below this: it should stay in cache."""


class Interpreter:
    """A program resolved once, to be run on any number of images.

    `chunk` images are in flight at a time on each of `threads`, by default as many as suit the processor's caches.
    `kernels` names what performs the instructions: "numpy", a level of the compiled library (`levels`), or the best
    there is. `device` is "cpu" or, with the same bits, one of torch's: "torch:cpu", "cuda", "cuda:1".
    With `count_clips`, `counters` holds per matrix-vector instruction how often each ADC column clipped, and
    which codes occurred, over all runs; numpy then does all the work, on one thread. `noise` disturbs devices and
    converters; without it everything is exact. `planned` is a plan made before, in place of the program's own.
    """

    def __init__(
        self,
        program: Program,
        chunk: int | None = None,
        count_clips: bool = False,
        threads: int = 1,
        kernels: str | None = None,
        noise: Noise | None = None,
        planned: Plan | None = None,
        device: str = "cpu",
    ) -> None:
        self.program = program
        self.noise = noise
        self.counters: dict[int, ConverterCounts] = {}
        self._count_clips = count_clips
        self._threads = 1 if count_clips else threads
        self._plan = planned or plan(program, machine(program.meta), noise)
        self._chunk_size = chunk or min(max(CHUNK_ELEMENTS // self._plan.largest, 1), MOST_IMAGES)
        kernels = "numpy" if count_clips or device != "cpu" else kernels or levels()[-1]
        self._library = None if kernels == "numpy" else library()
        self._level = levels().index(kernels) - 1
        self._constants = np.frombuffer(program.constants or bytes(1), np.uint8)
        self._runs = cut(self._plan.steps, self._constants, self._library)
        self._scratch = max((run.scratch for run in self._runs), default=0)
        self._free: SimpleQueue[tuple[Chunk, Batch]] = SimpleQueue()
        self._streams = {port.name: port_stream(port) for port in (*program.inputs, *program.outputs)}
        self._executor = None if device == "cpu" or count_clips else self._on_device(device)
        if self._executor and not chunk:
            self._chunk_size = self._executor.chunk_size(self._plan.largest) or self._chunk_size

    def _on_device(self, name: str) -> "Executor":
        """Return what runs the plan on a device."""
        device = opened(name)
        from cimc.backends.torch_device.executor import Executor  # imports torch

        return Executor(device, self.program, self._plan.steps, self._threads, self._perform)

    @property
    def chunk(self) -> int:
        """How many images are in flight at a time; `watch` sees no more at once."""
        return self._chunk_size

    def run(self, inputs: Mapping[str, Array], watch: Watch | None = None, first: int = 0) -> dict[str, Array]:
        """Return the output codes [N, *port.shape] for input codes [N, *port.shape], all by port name.

        `watch(index, values)` is called for each chunk after each instruction that writes, with the elements written
        [images, vectors, length], all on the calling thread. `first` is the number of the first image within its file,
        for noise that is drawn anew for each sample. Raises PortError for wrong inputs and Trap on a fault of the
        program.
        """
        count = self._require(inputs)
        outputs = {p.name: np.empty((count, *p.shape), DTYPES[p.type]) for p in self.program.outputs}
        size = self._chunk_size if self._executor else min(self._chunk_size, max(-(-count // self._threads), 1))
        parts = [slice(start, min(start + size, count)) for start in range(0, count, size)]
        number = first + (self.noise.sample_offset if self.noise else 0)
        if self._executor:
            for images in parts:
                codes = {name: array[images] for name, array in inputs.items()}
                found = self._executor.run(codes, images.stop - images.start, number + images.start, watch)
                for name, array in found.items():
                    outputs[name][images] = array
            return outputs

        def run_part(images: slice) -> None:
            chunk, native = self._free.get() if not self._free.empty() else self._new_chunk()
            try:
                chunk.start(images.stop - images.start, number + images.start)
                native.images, native.sample = chunk.images, number + images.start
                self._run_chunk(chunk, native, inputs, outputs, images, watch)
            finally:
                self._free.put((chunk, native))

        if self._threads == 1 or len(parts) < 2 or watch:
            for images in parts:
                run_part(images)
        else:
            with ThreadPoolExecutor(self._threads) as pool:
                list(pool.map(run_part, parts))
        return outputs

    def _new_chunk(self) -> tuple[Chunk, Batch]:
        counters = self.counters if self._count_clips else None
        chunk = Chunk(self._chunk_size, self.program.activation_bytes, self.program.constants, counters)
        return chunk, batch(chunk, self._scratch)

    def _run_chunk(
        self,
        chunk: Chunk,
        native: Batch,
        inputs: Mapping[str, Array],
        outputs: Mapping[str, Array],
        images: slice,
        watch: Watch | None,
    ) -> None:
        for port in self.program.inputs:
            chunk.store(self._streams[port.name], inputs[port.name][images])
        for run in self._runs:
            self._execute(run, chunk, native, watch)
        for port in self.program.outputs:
            outputs[port.name][images] = chunk.view(self._streams[port.name]).reshape(-1, *port.shape)

    def _require(self, inputs: Mapping[str, Array]) -> int:
        """Return the number of images, the same for every input."""
        if self._free.empty():  # nothing has run yet
            require_in_memory(self.program)
        require_names(self.program, inputs)
        counts = {port.name: require_batch(port, inputs[port.name]) for port in self.program.inputs}
        require_same_count(counts)
        return next(iter(counts.values()), 1)

    def _execute(self, run: Run, chunk: Chunk, native: Batch, watch: Watch | None) -> None:
        """Perform a run's steps; numpy repeats a step in which a kernel has met a fault, and says which."""
        done = 0
        while done < len(run.steps):
            if run.native and self._library:
                last = done + 1 if watch else len(run.steps)
                performed = self._library.run(run.native, native, (done, last), self._level)
                if watch and performed == last:
                    _show(run.steps[done], chunk, watch)
                done = performed
                if done == last:
                    continue
            self._perform(run.steps[done], chunk, watch)
            done += 1

    def _perform(self, step: Step, chunk: Chunk, watch: Watch | None) -> None:
        try:
            _perform(step, chunk, watch)
        except Trap as trap:
            raise trap.at(step.index, self.program.locations) from None


def levels() -> tuple[str, ...]:
    """Return what can perform the instructions here, the fastest last."""
    compiled = library()
    return ("numpy", *(compiled.levels if compiled else ()))


def _show(step: Step, chunk: Chunk, watch: Watch) -> None:
    assert isinstance(step.action, Write)
    out = step.action.out
    watch(step.index, chunk.view(out).reshape(chunk.images, out.vectors, out.length).copy())


def _perform(step: Step, chunk: Chunk, watch: Watch | None) -> None:
    match step.action:
        case Write() as write:
            _write(step.index, write, chunk, watch)
        case Effect() as effect:
            effect.apply(chunk)
        case Trap() as trap:
            raise trap


def _write(index: int, write: Write, chunk: Chunk, watch: Watch | None) -> None:
    values = write.compute(chunk)
    if values.size and not write.always_fits:
        checks.fits(write.out, int(values.min()), int(values.max()))
    chunk.store(write.out, values)
    if watch:
        shape = (chunk.images, write.out.vectors, write.out.length)
        watch(index, values.reshape(shape).astype(DTYPES[write.out.type]))
