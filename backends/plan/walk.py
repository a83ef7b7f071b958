"""The plan of a program: its control flow walked once, every operand resolved, every exactness decided."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise

import numpy as np

from cimc.backends.machine import checks
from cimc.backends.machine.facts import Machine, gain
from cimc.backends.machine.traps import Refusal, Trap
from cimc.backends.noise.sources import Noise
from cimc.backends.plan import digital, matrices, products, windows
from cimc.backends.plan.folding import COMPARED, Folding
from cimc.backends.plan.state import Builder, Mark, PlanState, Write
from cimc.backends.plan.steps import Step, Turns, unobserved
from cimc.isa.program import Instruction, Program
from cimc.isa.region import blocks_streamed, region
from cimc.isa.streams import advanced, define, with_window

LONGEST = 1 << 20
"""Instructions that a walk takes: those of a loop that is folded count for the turns that were compared."""
CHANGES = ("program", "pattern", "gain", "time")
"""What changes the chip: turns that do may find another one each, and are planned one by one."""


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


Steps = Sequence[Step | Turns]


@dataclass(frozen=True)
class Plan:
    """A program in execution order; `largest` is the number of elements of the longest stream read.

    `observed` are the steps of a run that is observed, `steps` those of any other.
    """

    observed: Steps
    largest: int

    @cached_property
    def steps(self) -> Steps:
        return tuple(unobserved(self.observed))


def plan(program: Program, machine: Machine, noise: Noise | None = None) -> Plan:
    """Return the plan of a program; the first fault of its static facts, or of its noise, becomes the last step.

    Raises Trap, or Refusal, on what is refused before anything runs: the noise, operands that are wrong by themselves.
    """
    return Walk(program, machine, noise).plan()


def mixed(exact: Plan, noisy: Plan, chosen: Collection[int]) -> Plan:
    """Return the exact plan of a program with the chosen instructions, and any fault, as in its noisy plan."""
    return Plan(list(_mixed(exact.observed, noisy.observed, chosen)), max(exact.largest, noisy.largest))


def _mixed(exact: Steps, noisy: Steps, chosen: Collection[int]) -> Iterator[Step | Turns]:
    """Yield the chosen steps, and any fault, of one plan, and all others of the other: both fold the same loops."""
    for a, b in zip(exact, noisy, strict=False):
        if isinstance(a, Turns) and isinstance(b, Turns):
            yield replace(a, body=tuple(_mixed(a.body, b.body, chosen)))
        elif isinstance(b, Turns) or b.index in chosen or isinstance(b.action, Trap | Refusal):
            yield b
        else:
            yield a


@dataclass(frozen=True)
class Loop:
    """A loop on the way: where its body starts, its turns, how many are done, and where the last ones began."""

    start: int
    count: int
    done: int
    marks: tuple[Mark, ...]


class Walk:
    """The walk from a program's first instruction to `halt`; it can stop and branch on the way.

    `index` is the instruction that comes next, `steps` what those before it have become. A loop whose turns move on
    evenly is folded once a few of them are walked, unless the walk is to be `unrolled`.
    Raises Trap where an operand is wrong by itself, and OverBudget where loops turn for too long.
    """

    def __init__(
        self, program: Program, machine: Machine, noise: Noise | None = None, *, unrolled: bool = False
    ) -> None:
        self.state = PlanState(program, machine, noise)
        checks.operands(program)
        checks.few_enough(program)
        self.steps: list[Step | Turns] = []
        self.index = 0
        self._unrolled = unrolled
        self._loops: list[Loop] = []
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

    def finish(self) -> None:
        """Walk to the end. Raises Trap, or Refusal, for the first fault of what is known, as a run does."""
        self.to(None)
        if self.fault:
            raise self.fault

    def step(self) -> None:
        """Walk one instruction; the first fault of the program's static facts is the last step."""
        program = self.state.program
        try:
            self.is_over = self._advance(program.instructions)
        except (Trap, Refusal) as fault:
            self.is_over = True
            placed = fault.at(self.index, program.locations) if isinstance(fault, Trap) else fault
            self.steps.append(Step(self.index, placed))

    @property
    def fault(self) -> Trap | Refusal | None:
        """The fault that the walk has ended with."""
        last = self.steps[-1] if self.steps else None
        return last.action if isinstance(last, Step) and isinstance(last.action, Trap | Refusal) else None

    @property
    def turns(self) -> tuple[int, ...]:
        """How many turns of each loop around the next instruction are done, the outermost first."""
        return tuple(loop.done for loop in self._loops)

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
            message = f"more than {LONGEST} instructions are planned, turn by turn"
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
            self._loops.append(Loop(self.index + 1, i["count"], 0, (self._mark(),)))
        elif i.name == "endloop":
            return self._endloop()
        elif i.name != "nop":
            action = BUILDERS[i.name](self.state, i, self.index)
            if action:
                self.steps.append(Step(self.index, action))
        return self.index + 1

    def _endloop(self) -> int:
        checks.endloop(len(self._loops))
        loop = self._loops.pop()
        turned = replace(loop, done=loop.done + 1, marks=(*loop.marks, self._mark())[-COMPARED - 1 :])
        if len(turned.marks) > COMPARED and not self._unrolled and self._fold(turned):
            return self.index + 1
        if turned.done == turned.count:
            return self.index + 1
        self._loops.append(turned)
        return turned.start

    def _mark(self) -> Mark:
        return self.state.mark(len(self.steps))

    def _fold(self, loop: Loop) -> bool:
        """Fold the last turns of a loop and all that are left into one, if they move on evenly; return whether."""
        if not self._is_even(loop):
            return False
        depth, left = len(self._loops), loop.count - loop.done
        starts = [mark.steps for mark in loop.marks]
        turns = [self.steps[a:b] for a, b in pairwise(starts)]
        body = Folding(depth, left + COMPARED, self.state.sizes).body(turns)
        if body is None:
            return False
        self.state.skip(left, loop.marks[-2])
        self.steps[starts[0] :] = [Turns(depth, left + COMPARED, body)] if body else []
        return True

    def _is_even(self, loop: Loop) -> bool:
        """Return whether a loop leaves the chip as it is, and reads all columns of each block alike in a turn."""
        body = self.state.program.instructions[loop.start : self.index]
        if any(one.name in CHANGES for one in body):
            return False
        numbers = {number for one in body for number in blocks_streamed(one)}
        before, behind = loop.marks[0].reads, loop.marks[1].reads
        crossbar = self.state.crossbar
        return all(crossbar.is_even(crossbar.block(number), before, behind) for number in numbers)
