"""Traces of a run: what every retired instruction wrote, in text that a test bench can write as well."""

from collections.abc import Iterator, Mapping
from typing import Any

from numpy.typing import NDArray

from cimc.backends.interpreter import Interpreter
from cimc.backends.machine.facts import machine
from cimc.backends.machine.origin import origin
from cimc.backends.machine.traps import Trap
from cimc.backends.noise.sources import Noise
from cimc.backends.plan.executor import images_in_cache
from cimc.backends.plan.walk import Plan, Walk
from cimc.bringup.record import HEAD, SAMPLE, Head, Prefix
from cimc.bringup.walking import Slot, slots
from cimc.bringup.watching import Wanted, Watch
from cimc.isa.encode import isa_hash
from cimc.isa.manifest import target_hash
from cimc.isa.program import Program

Codes = Mapping[str, NDArray[Any]]

EVERYTHING = Wanted()
SHARERS = 4
"""Times as many samples are in flight as suit a plain run's caches: they share what a record costs once."""


class Tracing:
    """A program whose runs are traced. Raises Refusal where noise cannot be modelled."""

    def __init__(self, program: Program, noise: Noise | None = None, wanted: Wanted = EVERYTHING) -> None:
        self.program = program
        self.noise = noise
        self.wanted = wanted
        self._machine = machine(program.meta)
        self._slots: list[Slot] = []
        self._interpreter: Interpreter | None = None
        self._refused: Trap | None = None
        try:
            self._plan()
        except Trap as trap:
            if trap.index is None:
                raise
            self._refused = trap
            opcode = program.instructions[trap.index].spec.opcode
            self._slots = [Slot(Prefix(0, trap.index, (), opcode, "trap", 0, 0, 0), trap.code)]

    def _plan(self) -> None:
        walk = Walk(self.program, self._machine, self.noise, unrolled=True)
        self._slots = slots(walk, self.wanted.streams, self.wanted.vectors)
        planned, chunk = Plan(tuple(walk.steps), walk.state.largest), images_in_cache(walk.state.largest / SHARERS)
        self._interpreter = Interpreter(self.program, noise=self.noise, planned=planned, chunk=chunk)

    def head(self, codes: Codes) -> Head:
        """Return the head of the trace of samples [N, *port.shape] by port."""
        found, noise = origin(self.program, codes), self.noise
        facts = (
            found["program"],
            target_hash(self.program.meta),
            isa_hash(),
            found["inputs"],
            noise.description if noise else "-",
            str(noise.seed if noise else 0),
            str(noise.time_s if noise else 0),
            self.wanted.filter,
        )
        return Head(dict(zip(HEAD, facts, strict=True)))

    def lines(self, codes: Codes, first: int = 0) -> Iterator[str]:
        """Yield the lines of a trace without its head, the samples of `codes` numbered from `first` on."""
        count = len(next(iter(codes.values()))) if codes else 1
        size = self._interpreter.chunk if self._interpreter else 1
        for start in range(0, count, size):
            part = {name: array[start : start + size] for name, array in codes.items()}
            yield from self._chunk(part, range(first + start, first + min(start + size, count)))

    def _chunk(self, codes: Codes, samples: range) -> Iterator[str]:
        """Yield the lines of some samples; where one meets a fault, of each alone, up to the first that does."""
        try:
            found = self._traced(codes, samples)
        except Trap:
            if len(samples) == 1:
                raise
            found = []
            for n, sample in enumerate(samples):
                found += self._traced(
                    {name: array[n : n + 1] for name, array in codes.items()}, range(sample, sample + 1)
                )
        for sample, lines in zip(samples, found, strict=False):
            yield f"{SAMPLE}{sample:x}"
            yield from lines

    def _traced(self, codes: Codes, samples: range) -> list[list[str]]:
        """Return the lines of samples. Raises Trap where one of several meets a fault that data decide."""
        watch = Watch(self._slots, self.wanted, self._machine, len(samples))
        if self._interpreter is None:
            assert self._refused
            watch.trap(self._refused)
            return watch.lines
        try:
            outputs = self._interpreter.run(codes, watch, first=samples.start)
            watch.end(self.program, outputs)
        except Trap as trap:
            if trap.index is None or len(samples) > 1:
                raise
            watch.trap(trap)
        return watch.lines
