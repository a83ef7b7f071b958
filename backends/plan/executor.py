"""What performs a plan: the protocol of all executors, and the one that does every step in numpy."""

from collections.abc import Mapping, Sequence
from queue import Empty, SimpleQueue
from typing import Protocol

from cimc.backends.machine import checks
from cimc.backends.machine.observer import Observer, elements
from cimc.backends.machine.traps import Refusal, Trap
from cimc.backends.plan.memory import Array, Chunk
from cimc.backends.plan.moments import Reals, Sums, moments, totals
from cimc.backends.plan.moving import through
from cimc.backends.plan.state import Effect, Write
from cimc.backends.plan.steps import Step, Turns
from cimc.backends.plan.walk import Plan
from cimc.isa.program import Program

Arrays = Mapping[str, Array]
Locations = Sequence[tuple[str, ...]]
MOST_IMAGES = 128
CHUNK_ELEMENTS = 1 << 21
"""A chunk has as many images, up to MOST_IMAGES, as keep its longest stream below this: it should stay in cache."""


class Executor(Protocol):
    """Performs a plan on up to `chunk` images at a time: whichever does it, the bits are the same."""

    chunk: int
    is_reentrant: bool
    """Whether several threads may call `run` at once; otherwise the executor spreads the work itself."""

    def run(self, samples: range, inputs: Arrays, outputs: Arrays, observer: Observer | None) -> None:
        """Fill the output codes [images, *shape] for input codes [images, *shape] of the samples of these numbers.

        Raises Trap on a fault of the program.
        """


def images_in_cache(largest: float) -> int:
    """Return how many images keep a plan's longest stream, of `largest` elements each, in the processor's caches."""
    return min(max(int(CHUNK_ELEMENTS / largest), 1), MOST_IMAGES)


class NumpyExecutor:
    """Performs every step in numpy. The memory of a chunk is used again by the next run."""

    is_reentrant = True

    def __init__(self, program: Program, plan: Plan, chunk: int | None = None) -> None:
        self.chunk = chunk or images_in_cache(plan.largest)
        self._program = program
        self._plan = plan
        self._free: SimpleQueue[Chunk] = SimpleQueue()

    def run(self, samples: range, inputs: Arrays, outputs: Arrays, observer: Observer | None) -> None:
        """Fill the outputs of a chunk, as every Executor does."""
        chunk = self._chunk()
        try:
            self.begin(chunk, samples, inputs, observer)
            self.go_on(chunk)
            for port in self._program.outputs:
                outputs[port.name][...] = chunk.codes(port)
        finally:
            self._free.put(chunk)

    def begin(self, chunk: Chunk, samples: range, inputs: Arrays, observer: Observer | None = None) -> None:
        """Begin a chunk with the input codes [images, *shape] of samples of these numbers."""
        chunk.start(samples, observer)
        for port in self._program.inputs:
            chunk.codes(port)[...] = inputs[port.name]

    def _chunk(self) -> Chunk:
        """Return a chunk that no thread uses."""
        try:
            return self._free.get_nowait()
        except Empty:
            return Chunk(self.chunk, self._program.activation_bytes, self._program.constants)

    def totals(self, parts: Sequence[Sums]) -> Array:
        """Return the sum of each column, int64 [cols], of parts [images, vectors, cols] of memory in flight."""
        return totals(parts)

    def moments(self, parts: Sequence[Sums], aim: Sums, centres: tuple[Reals, Reals]) -> Reals:
        """Return what plan/moments.py does of parts of memory in flight."""
        return moments(parts, aim, centres)

    def go_on(self, chunk: Chunk) -> None:
        """Perform the plan on a chunk in flight. Raises Trap on a fault of the program."""
        for step in self._plan.observed if chunk.observer else self._plan.steps:
            perform(step, chunk, self._program.locations)


def perform(step: Step | Turns, chunk: Chunk, locations: Locations) -> None:
    """Perform one step, or all turns of a loop, in numpy. Raises Trap, placed, on a fault of the program."""
    if isinstance(step, Step):
        perform_one(step, chunk, locations)
        return
    for _ in through(chunk.turns, step.depth, step.count):
        for inner in step.body:
            perform(inner, chunk, locations)


def perform_one(step: Step, chunk: Chunk, locations: Locations) -> None:
    """Perform one step in numpy and tell the chunk's observer. Raises Trap, placed, on a fault of the program."""
    try:
        match step.action:
            case Write() as write:
                _write(step.index, write, chunk)
            case Effect() as effect:
                effect.apply(chunk)
            case Trap() | Refusal() as fault:
                raise fault
    except Trap as trap:
        raise trap.at(step.index, locations) from None


def tell(step: Step, chunk: Chunk) -> None:
    """Tell the chunk's observer what a step has just written to memory."""
    if chunk.observer and isinstance(step.action, Write) and chunk.observer.wants_write(step.index):
        out = step.action.out
        chunk.observer.wrote(step.index, elements(out, chunk.view(out), chunk.images))


def _write(index: int, write: Write, chunk: Chunk) -> None:
    values = write.compute(chunk)
    if values.size and not write.always_fits:
        checks.fits(write.out, int(values.min()), int(values.max()))
    chunk.store(write.out, values)
    if chunk.observer and chunk.observer.wants_write(index):
        chunk.observer.wrote(index, elements(write.out, values, chunk.images))
