"""A chip whose devices are programmed once, at however many times it is read."""

from cimc.backends.machine.facts import machine
from cimc.backends.noise.sources import Noise
from cimc.backends.plan.walk import Walk
from cimc.isa.program import Program

WRITES = ("program", "pattern")
TIMELESS = (*WRITES, "gain", "tensor", "window", "advance", "nop")
"""Instructions that do the same whenever the chip is read."""


class ProgrammedChip:
    """A program on the chip of `noise`, walked up to the first instruction that a time matters to.

    Programs that write devices later than that are walked from their start for each time.
    """

    def __init__(self, program: Program, noise: Noise) -> None:
        self._program, self._noise = program, noise
        self._walk = Walk(program, machine(program.meta), noise)
        names = [one.name for one in program.instructions]
        written = max((index + 1 for index, name in enumerate(names) if name in WRITES), default=0)
        self._is_early = all(name in TIMELESS for name in names[:written])
        if self._is_early:
            self._walk.to(written)

    def at(self, noise: Noise) -> Walk:
        """Return a walk on the chip under the same noise at whatever time."""
        if not self._is_early:
            return Walk(self._program, self._walk.state.machine, noise)
        walk = self._walk.branch(self._program)
        walk.state.crossbar.seconds = noise.time_s
        return walk
