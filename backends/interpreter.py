"""The fast interpreter: the reference's bits, vectorised over images and chunk by chunk through reused buffers."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cimc.backends import checks
from cimc.backends.machine import machine
from cimc.backends.memory import Chunk
from cimc.backends.plan import Step, plan
from cimc.backends.plan_state import Effect, Write
from cimc.backends.ports import DTYPES, port_stream, require_batch, require_in_memory, require_names, require_same_count
from cimc.backends.traps import Trap
from cimc.isa.program import Program

Array = NDArray[Any]
Watch = Callable[[int, Array], None]
MOST_IMAGES = 32
CHUNK_ELEMENTS = 1 << 21
"""A chunk has as many images, up to MOST_IMAGES, as keep its longest stream below this: it should stay in cache."""


class Interpreter:
    """A program resolved once, to be run on any number of images.

    `chunk` images are in flight at a time, by default as many as suit the processor's caches. With `count_clips`,
    `clips` holds per matrix-vector instruction how often each ADC column clipped: int64 [blocks, 2, cols], negative
    first, over all runs.
    """

    def __init__(self, program: Program, chunk: int | None = None, count_clips: bool = False) -> None:
        self.program = program
        self.clips: dict[int, Array] = {}
        self._count_clips = count_clips
        self._plan = plan(program, machine(program.meta))
        self._chunk_size = chunk or min(max(CHUNK_ELEMENTS // self._plan.largest, 1), MOST_IMAGES)

    def run(self, inputs: Mapping[str, Array], watch: Watch | None = None) -> dict[str, Array]:
        """Return the output codes [N, *port.shape] for input codes [N, *port.shape], all by port name.

        `watch(index, values)` is called for each chunk after each instruction that writes, with the elements written
        [images, vectors, length]. Raises PortError for wrong inputs and Trap on a fault of the program.
        """
        count = self._require(inputs)
        outputs = {p.name: np.empty((count, *p.shape), DTYPES[p.type]) for p in self.program.outputs}
        size = min(self._chunk_size, max(count, 1))
        chunk = Chunk(
            size, self.program.activation_bytes, self.program.constants, self.clips if self._count_clips else None
        )
        for first in range(0, count, size):
            images = slice(first, min(first + size, count))
            chunk.start(images.stop - first)
            for port in self.program.inputs:
                chunk.store(port_stream(port), inputs[port.name][images])
            self._execute(chunk, watch)
            for port in self.program.outputs:
                outputs[port.name][images] = chunk.view(port_stream(port)).reshape(-1, *port.shape)
        return outputs

    def _require(self, inputs: Mapping[str, Array]) -> int:
        """Return the number of images, the same for every input."""
        require_in_memory(self.program)
        require_names(self.program, inputs)
        counts = {port.name: require_batch(port, inputs[port.name]) for port in self.program.inputs}
        require_same_count(counts)
        return next(iter(counts.values()), 1)

    def _execute(self, chunk: Chunk, watch: Watch | None) -> None:
        for step in self._plan.steps:
            try:
                _perform(step, chunk, watch)
            except Trap as trap:
                raise trap.at(step.index, self.program.locations) from None


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
