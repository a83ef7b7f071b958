"""Directed programs for every instruction: each field at its ends, each member, each rule at its limits, each trap."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from cimc.bringup.directed import INPUT, begun
from cimc.bringup.plain import INSTRUCTIONS
from cimc.bringup.rules import RULES
from cimc.bringup.spoiling import spoiled
from cimc.bringup.trapping import TRAPS
from cimc.isa.author import Author
from cimc.isa.coverage import boundary_values
from cimc.isa.program import Instruction, Program
from cimc.isa.table import TABLE

Array = NDArray[Any]

EXCLUDED = {("loop", "count", (1 << 24) - 1): "16,777,215 turns: how many an executor takes on is its own budget"}
"""Instruction, field and value that no program holds, and why."""


@dataclass(frozen=True)
class Case:
    """A program, what it is about, and the codes of its one sample by port."""

    name: str
    program: Program
    codes: Mapping[str, Array]


def cases(target: Mapping[str, Any]) -> Iterator[Case]:
    """Yield every directed program for a target, given by its sections."""
    for name, write in (*INSTRUCTIONS.items(), *RULES.items(), *TRAPS.items()):
        yield _case(name, write(begun(target)))
    for spec in TABLE:
        yield from _fields(target, spec.name)
        yield from _spoiled(target, spec.name)


def _spoiled(target: Mapping[str, Any], name: str) -> Iterator[Case]:
    """Yield the plain program of an instruction with an output that cannot take what is written, trap by trap."""
    program = INSTRUCTIONS[name](begun(target)).program()
    index = max(n for n, one in enumerate(program.instructions) if one.name == name)
    for code, changed in spoiled(program, index):
        yield Case(f"trap.{code}.{name}", changed, {"x": INPUT})


def _fields(target: Mapping[str, Any], name: str) -> Iterator[Case]:
    """Yield programs in which one field of an instruction has one of its values; all else is as in the plain one."""
    author = INSTRUCTIONS[name](begun(target))
    index = max(n for n, one in enumerate(author.instructions) if one.name == name)
    plain = author.instructions[index]
    for number, field in enumerate(plain.spec.fields):
        for place in range(field.count):
            for value in boundary_values(field):
                if (name, field.name, value) in EXCLUDED:
                    continue
                author.instructions[index] = _with(plain, number, place, value)
                at = f"[{place}]" if field.count > 1 else ""
                yield _case(f"{name}.{field.name}{at}={value}", author)
    author.instructions[index] = plain


def _with(plain: Instruction, number: int, place: int, value: int) -> Instruction:
    operands = list(plain.operands)
    old = operands[number]
    operands[number] = tuple(value if n == place else v for n, v in enumerate(old)) if isinstance(old, tuple) else value
    return Instruction(plain.name, tuple(operands))


def _case(name: str, author: Author) -> Case:
    return Case(name, author.program(), {"x": INPUT})
