"""The plan of a program: its control flow walked once, every operand resolved, every exactness decided."""

from collections.abc import Collection, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from cimc.backends.machine import checks
from cimc.backends.machine.facts import Machine, gain
from cimc.backends.machine.traps import Trap
from cimc.backends.noise.sources import Noise
from cimc.backends.plan import digital, matrices, products, windows
from cimc.backends.plan.state import Builder, Effect, PlanState, Write
from cimc.isa.program import Instruction, Program
from cimc.isa.region import region
from cimc.isa.streams import advanced, define, with_window

LONGEST = 1 << 20
"""Instructions, loops unrolled, that a plan may hold."""


@dataclass(frozen=True)
class Step:
    """One executed instruction that writes memory, has another effect on the images, or traps."""

    index: int
    action: Write | Effect | Trap

    @property
    def is_planned(self) -> bool:
        """Whether planning has done it, and only an observer is told of it."""
        return isinstance(self.action, Effect) and self.action.is_planned


def _tensor(state: PlanState, i: Instruction, _: int) -> None:
    state.streams[i["stream"]] = define(i)


def _window(state: PlanState, i: Instruction, _: int) -> None:
    tensor = checks.defined(state.streams, i["stream"])
    checks.windowable(tensor)
    state.streams[i["stream"]] = with_window(tensor, i)


def _advance(state: PlanState, i: Instruction, _: int) -> None:
    state.streams[i["stream"]] = advanced(checks.defined(state.streams, i["stream"]), i)


def _gain(state: PlanState, i: Instruction, _: int) -> None:
    state.crossbar.load_gain(i["tile"], gain(i), i.choice("scope") == "all")


def _program(state: PlanState, i: Instruction, _: int) -> None:
    cells = region(i)
    state.machine.require_region(cells)
    targets = state.targets(i["data"], cells)
    chosen = targets > 0 if i.choice("zeros") == "skip" else np.ones_like(targets, bool)
    state.crossbar.tile(cells.tile).write(cells, targets, chosen)
    state.crossbar.blocks[i["block"]] = cells
    state.calibrated.pop(i["block"], None)


def _pattern(state: PlanState, i: Instruction, _: int) -> None:
    cells = region(i)
    state.machine.require_region(cells)
    checks.targets((i["plus"], i["minus"]), state.machine.full_conductance)
    targets = np.broadcast_to(np.array([i["plus"], i["minus"]])[:, None, None], (2, cells.rows, cells.cols))
    state.crossbar.tile(cells.tile).write(cells, targets, np.ones_like(targets, bool))


def _verify(state: PlanState, i: Instruction, _: int) -> Write:
    cells = state.crossbar.block(i["block"])
    targets = state.targets(i["data"], cells)
    out = state.single(i["out"])
    wrong = np.abs(state.crossbar.programmed(cells) - targets) > i["tolerance"]
    return digital.constant(out, int(wrong.sum()))


def _readcell(state: PlanState, i: Instruction, _: int) -> Write:
    cell = state.machine.require_cell(i["tile"], i["row"], i["col"])
    plus, minus = state.crossbar.programmed(cell).ravel().tolist()
    return digital.constant(state.single(i["out"]), plus if i.choice("polarity") == "plus" else minus)


def _time(state: PlanState, i: Instruction, _: int) -> None:
    state.crossbar.seconds = i["seconds"]


def _selftest(state: PlanState, i: Instruction, _: int) -> Write:
    state.machine.require_cell(i["tile"], 0, i["col"])
    out = state.single(i["out"])
    return digital.constant(out, state.crossbar.selftest(i["tile"], i["col"], i["value"]))


BUILDERS: Mapping[str, Builder] = {
    "tensor": _tensor,
    "window": _window,
    "advance": _advance,
    "gain": _gain,
    "program": _program,
    "pattern": _pattern,
    "verify": _verify,
    "readcell": _readcell,
    "time": _time,
    "selftest": _selftest,
    **products.BUILDERS,
    **windows.BUILDERS,
    **digital.BUILDERS,
    **matrices.BUILDERS,
}
"""Instruction -> what it does to the plan's state and the step it becomes; control flow is the walk itself."""


@dataclass(frozen=True)
class Plan:
    """A program in execution order; `largest` is the number of elements of the longest stream read.

    `observed` are the steps of a run that is observed, `steps` those of any other.
    """

    observed: list[Step]
    largest: int

    @cached_property
    def steps(self) -> list[Step]:
        return [step for step in self.observed if not step.is_planned]


def plan(program: Program, machine: Machine, noise: Noise | None = None) -> Plan:
    """Return the plan of a program; the first fault of its static facts becomes the last step.

    Raises Trap on what is refused before anything runs: the noise, and operands that are wrong by themselves.
    """
    return Walk(program, machine, noise).plan()


def mixed(exact: Plan, noisy: Plan, chosen: Collection[int]) -> Plan:
    """Return the exact plan of a program with the chosen instructions, and any fault, as in its noisy plan."""
    pairs = zip(exact.observed, noisy.observed, strict=False)
    steps = [b if b.index in chosen or isinstance(b.action, Trap) else a for a, b in pairs]
    return Plan(steps, max(exact.largest, noisy.largest))


class Walk:
    """The walk from a program's first instruction to `halt`, loops unrolled; it can stop and branch on the way.

    `index` is the instruction that comes next, `steps` what those before it have become.
    Raises Trap where an operand is wrong by itself.
    """

    def __init__(self, program: Program, machine: Machine, noise: Noise | None = None) -> None:
        self.state = PlanState(program, machine, noise)
        checks.operands(program)
        self.steps: list[Step] = []
        self.index = 0
        self._loops: list[tuple[int, int]] = []
        self._walked = 0
        self.is_over = False

    def plan(self) -> Plan:
        """Walk to the end and return the plan; the first fault of the program's static facts becomes the last step."""
        self.to(None)
        return Plan(self.steps, self.state.largest)

    def to(self, index: int | None) -> None:
        """Walk on until this instruction comes next, or to the end."""
        while not self.is_over and self.index != index:
            self.step()

    def step(self) -> None:
        """Walk one instruction; the first fault of the program's static facts is the last step."""
        program = self.state.program
        try:
            self.is_over = self._advance(program.instructions)
        except Trap as trap:
            self.is_over = True
            self.steps.append(Step(self.index, trap.at(self.index, program.locations)))

    @property
    def turns(self) -> tuple[int, ...]:
        """How many turns of each loop around the next instruction are done, the outermost first."""
        instructions = self.state.program.instructions
        return tuple(instructions[start - 1]["count"] - left for start, left in self._loops)

    def branch(self, program: Program) -> "Walk":
        """Return a walk that goes on from here through another program, which must start like this one.

        It shares the arrays: no instruction from here on may program devices.
        """
        other = copy(self)
        other.state, other.steps, other._loops = self.state.branch(program), list(self.steps), list(self._loops)
        return other

    def _advance(self, instructions: Sequence[Instruction]) -> bool:
        """Walk one instruction; return whether the program ends with it."""
        self._walked += 1
        if self._walked > LONGEST:
            message = f"more than {LONGEST} instructions are executed"
            raise Trap("CIM0519", message, "run it on the reference interpreter")
        if self.index >= len(instructions):
            raise Trap("CIM0508", "the program has no `halt` where it ends")
        current = instructions[self.index]
        if current.name != "halt":
            self.index = self._next(current)
        return current.name == "halt"

    def _next(self, i: Instruction) -> int:
        if i.name == "loop":
            checks.loop(len(self._loops))
            self._loops.append((self.index + 1, i["count"]))
        elif i.name == "endloop":
            return self._endloop()
        elif i.name != "nop":
            action = BUILDERS[i.name](self.state, i, self.index)
            if action:
                self.steps.append(Step(self.index, action))
        return self.index + 1

    def _endloop(self) -> int:
        checks.endloop(len(self._loops))
        start, left = self._loops.pop()
        if left == 1:
            return self.index + 1
        self._loops.append((start, left - 1))
        return start
