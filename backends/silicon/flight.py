"""Samples in flight: all of them are brought to one point of a program before any of them goes on."""

from collections.abc import Mapping, Sequence
from typing import Any

from numpy.typing import NDArray

from cimc.backends.interpreter import performer
from cimc.backends.machine.ports import count_of, require_in_memory
from cimc.backends.plan.executor import images_in_cache
from cimc.backends.plan.memory import Chunk
from cimc.backends.plan.steps import Step, Turns
from cimc.backends.plan.walk import Plan
from cimc.backends.silicon.column_fits import Found
from cimc.isa.program import Port, Program

Codes = Mapping[str, NDArray[Any]]


class Flight:
    """Samples of `inputs`, port name -> codes [N, *shape], the first of them with the number `first`.

    `largest` is the number of elements of the longest stream that they meet; `room` bytes of memory each are theirs.
    Raises PortError for wrong inputs, and Trap where memory is not affordable.
    """

    def __init__(self, program: Program, inputs: Codes, first: int, largest: int, room: int) -> None:
        require_in_memory(program)
        count, size = count_of(program, inputs), images_in_cache(largest)
        self._starter = performer(program, Plan((), 1))
        buffers = dict[str, NDArray[Any]]()
        self._done = 0
        self._chunks: list[Chunk] = []
        for start in range(0, count, size):
            part = slice(start, min(start + size, count))
            chunk = Chunk(part.stop - start, room, program.constants, buffers)
            samples = range(first + start, first + part.stop)
            self._starter.begin(chunk, samples, {name: codes[part] for name, codes in inputs.items()})
            self._chunks.append(chunk)

    def to(self, program: Program, steps: Sequence[Step | Turns]) -> None:
        """Perform what is new in the steps of a program, which go on from those of the last call.

        Raises Trap on a fault of the program.
        """
        self._perform(program, steps, self._chunks)
        self._done = len(steps)

    def ahead(self, program: Program, steps: Sequence[Step | Turns], port: Port, apart: bool) -> Found:
        """Return the sums that lie at a port [vectors, cols] behind steps ahead; the samples stay where they are.

        The steps are performed on a copy (`apart`), unless they write nowhere but at the port. What is performed next
        may write over the sums. Raises Trap.
        """
        chunks = [chunk.fork() for chunk in self._chunks] if apart else self._chunks
        self._perform(program, steps, chunks)
        return Found([chunk.codes(port) for chunk in chunks], self._starter)

    def _perform(self, program: Program, steps: Sequence[Step | Turns], chunks: Sequence[Chunk]) -> None:
        planned = Plan(steps[self._done :], 1)
        if planned.steps:
            executor = performer(program, planned)
            for chunk in chunks:
                executor.go_on(chunk)
