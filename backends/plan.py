"""The plan of a program: its control flow walked once, every operand resolved, every exactness decided."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

import numpy as np

from cimc.backends import checks, digital, matrices, products, windows
from cimc.backends.machine import Machine, region
from cimc.backends.noise import Noise
from cimc.backends.plan_state import Effect, PlanState, Write
from cimc.backends.traps import Trap
from cimc.isa.program import Instruction, Program
from cimc.isa.streams import advanced, define, with_window

LONGEST = 1 << 20
"""Instructions, loops unrolled, that a plan may hold."""


@dataclass(frozen=True)
class Step:
    """One executed instruction that writes memory, has another effect on the images, or traps."""

    index: int
    action: Write | Effect | Trap


def _tensor(state: PlanState, i: Instruction, _: int) -> None:
    state.streams[i["stream"]] = define(i)


def _window(state: PlanState, i: Instruction, _: int) -> None:
    tensor = checks.defined(state.streams, i["stream"])
    checks.windowable(tensor)
    state.streams[i["stream"]] = with_window(tensor, i)


def _advance(state: PlanState, i: Instruction, _: int) -> None:
    state.streams[i["stream"]] = advanced(checks.defined(state.streams, i["stream"]), i)


def _gain(state: PlanState, i: Instruction, _: int) -> None:
    state.crossbar.load_gain(i["tile"], checks.gain(i), i.choice("scope") == "all")


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
    checks.targets((i["plus"], i["minus"]), state.machine.highest_target)
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
    return digital.constant(out, state.crossbar.convert(i["tile"], i["col"], i["value"]))


Builder = Callable[[PlanState, Instruction, int], Write | Effect | None]

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
    "calibrate": products.calibrate,
    "mvm": products.mvm,
    "capture": products.capture,
    "selftest": _selftest,
    "depthwise": windows.depthwise,
    "poolmax": windows.poolmax,
    "poolsum": windows.poolsum,
    "affine": digital.affine,
    "add": digital.add,
    "mul": digital.mul,
    "lut": digital.lut,
    "softmax": digital.softmax,
    "move": digital.move,
    "fill": digital.fill,
    "matmul": matrices.matmul,
    "norm": matrices.norm,
    "gather": matrices.gather,
    "select": digital.select,
}
"""Instruction -> what it does to the plan's state and the step it becomes; control flow is the walk itself."""


@dataclass(frozen=True)
class Plan:
    """A program's steps in execution order; `largest` is the number of elements of the longest stream read."""

    steps: list[Step]
    largest: int


def plan(program: Program, machine: Machine, noise: Noise | None = None) -> Plan:
    """Return the plan of a program; the first fault of its static facts becomes the last step."""
    walk = _Walk(program, PlanState(program, machine, noise))
    try:
        walk.to_halt()
    except Trap as trap:
        walk.steps.append(Step(walk.index, trap.at(walk.index, program.locations)))
    return Plan(walk.steps, walk.state.largest)


def mixed(exact: Plan, noisy: Plan, chosen: Collection[int]) -> Plan:
    """Return the exact plan of a program with the chosen instructions, and any fault, as in its noisy plan."""
    pairs = zip(exact.steps, noisy.steps, strict=False)
    steps = [b if b.index in chosen or isinstance(b.action, Trap) else a for a, b in pairs]
    return Plan(steps, max(exact.largest, noisy.largest))


class _Walk:
    """The walk from the first instruction to `halt`, loops unrolled."""

    def __init__(self, program: Program, state: PlanState) -> None:
        self.instructions = program.instructions
        self.state = state
        self.steps: list[Step] = []
        self.index = 0
        self.loops: list[tuple[int, int]] = []

    def to_halt(self) -> None:
        for _ in range(LONGEST):
            if self.index >= len(self.instructions):
                raise Trap("CIM0508", "the program has no `halt` where it ends")
            current = self.instructions[self.index]
            if current.name == "halt":
                return
            self.index = self._next(current)
        raise Trap("CIM0519", f"more than {LONGEST} instructions are executed", "run it on the reference interpreter")

    def _next(self, i: Instruction) -> int:
        if i.name == "loop":
            checks.loop(i, len(self.loops))
            self.loops.append((self.index + 1, i["count"]))
        elif i.name == "endloop":
            return self._endloop()
        elif i.name != "nop":
            action = BUILDERS[i.name](self.state, i, self.index)
            if action:
                self.steps.append(Step(self.index, action))
        return self.index + 1

    def _endloop(self) -> int:
        checks.endloop(len(self.loops))
        start, left = self.loops.pop()
        if left == 1:
            return self.index + 1
        self.loops.append((start, left - 1))
        return start
