"""The linter: walks a program without data, loops unrolled, and reports what must or may go wrong on any machine."""

from cimc.isa.lint_rules import RULES
from cimc.isa.lint_state import Finding, State, port_run
from cimc.isa.operands import operand_faults
from cimc.isa.program import Program
from cimc.isa.table import LOOP_DEPTH

__all__ = ["Finding", "lint"]

UNENCODABLE = ("CIM0402", "CIM0403", "CIM0404")
"""Codes of instructions that no word holds."""
STEP_LIMIT = 50_000
"""Executed instructions after which the linter stops by default."""
WORK_LIMIT = 20_000_000
"""Pieces of memory looked at, numbers read and blocks walked (some seconds) after which it stops as well."""


def lint(program: Program, steps: int = STEP_LIMIT) -> list[Finding]:
    """Return what is wrong with a program, in order; of each code, one finding an instruction.

    The walk stops after so many executed instructions, or when it took too long, and a finding CIM0447 says so.
    """
    state = State(program)
    if _operands_fit(state):
        ends = _loops(state)
        _check_halt(state)
        _check_capacity(state)
        _walk(state, ends, steps)
        _check_outputs(state)
    return sorted(
        state.findings.values(),
        key=lambda found: (len(program.instructions) if found.index is None else found.index, found.code),
    )


def _operands_fit(state: State) -> bool:
    """Report what is wrong with single operands; return whether each fits its field, without which no rule holds."""
    for index, instruction in enumerate(state.program.instructions):
        state.index = index
        for fault in operand_faults(instruction):
            state.report(fault.code, fault.message)
    state.index = None
    return not any(code in UNENCODABLE for code, _, _ in state.findings)


def _loops(state: State) -> dict[int, int]:
    """Return the index of the `loop` that each `endloop` closes; nothing, and findings, if they do not match."""
    open_loops: list[int] = []
    starts: dict[int, int] = {}
    for index, instruction in enumerate(state.program.instructions):
        state.index = index
        if instruction.name == "loop":
            open_loops.append(index)
            if len(open_loops) > LOOP_DEPTH:
                state.report("CIM0438", f"loops nest {len(open_loops)} deep, wanted at most {LOOP_DEPTH}")
        elif instruction.name == "endloop" and open_loops:
            starts[index] = open_loops.pop()
        elif instruction.name == "endloop":
            state.report("CIM0438", "endloop without a loop")
    for state.index in open_loops:
        state.report("CIM0438", "loop without an endloop")
    state.index = None
    return {} if any(code == "CIM0438" for code, _, _ in state.findings) else starts


def _check_halt(state: State) -> None:
    names = [instruction.name for instruction in state.program.instructions]
    if not names or names[-1] != "halt":
        state.report("CIM0439", "the program does not end with halt")
    for state.index, name in enumerate(names[:-1]):
        if name == "halt":
            state.report("CIM0439", f"halt at instruction {state.index} of {len(names)}, wanted at the end only")
    state.index = None


def _check_capacity(state: State) -> None:
    program = state.program
    for name, used in (("activation_bytes", program.activation_bytes), ("constant_bytes", len(program.constants))):
        size = state.target("memory", name)
        if size is not None and used > size:
            state.report("CIM0443", f"{name.replace('_', ' ')} are {used}, the target has {size}")


def _walk(state: State, loop_starts: dict[int, int], limit: int) -> None:
    instructions = state.program.instructions
    left: dict[int, int] = {}
    at = steps = 0
    while at < len(instructions) and instructions[at].name != "halt":
        instruction, state.index = instructions[at], at
        if steps == limit or state.work > WORK_LIMIT:
            state.give_up(f"the walk stopped here after {steps} steps")
            break
        RULES[instruction.name](state, instruction)
        steps += 1
        start = loop_starts.get(at)
        if start is not None:
            left[start] = left.get(start, instructions[start]["count"]) - 1
            at = start if left[start] else at
            if not left[start]:
                del left[start]
        at += 1
    state.index = None


def _check_outputs(state: State) -> None:
    for port in state.program.outputs:
        if state.inside(port_run(port), "act", f"output {port.name!r}"):
            state.check_written([port_run(port)], f"output {port.name!r} has", "CIM0441")
