"""Single changes of a program: a conductance, a constant, or an operand of an instruction."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from random import Random

from cimc.isa.encode import encode
from cimc.isa.errors import IsaError
from cimc.isa.program import Instruction, Operand, Program
from cimc.isa.table import Field

LEVELS = 508


@dataclass(frozen=True)
class Change:
    """A changed program, what was done to it, and a pattern of the name that the comparison must give."""

    program: Program
    what: str
    named: str


def conductance(program: Program, random: Random) -> Change:
    """Ask one device pair for another difference."""
    at = 2 * random.randrange(len(program.conductances) // 2)
    before = int.from_bytes(program.conductances[at : at + 2], "little", signed=True)
    after = random.choice([value for value in range(-LEVELS, LEVELS + 1) if value != before])
    data = program.conductances[:at] + after.to_bytes(2, "little", signed=True) + program.conductances[at + 2 :]
    what = f"conductance at byte {at}: {before} to {after}"
    return Change(
        replace(program, conductances=data), what, rf"cell row \d+, column \d+: expected {before}, found {after}"
    )


def constant(program: Program, random: Random) -> Change:
    """Change one byte of constant memory."""
    at = random.randrange(len(program.constants))
    after = program.constants[at] ^ random.randrange(1, 256)
    data = program.constants[:at] + bytes([after]) + program.constants[at + 1 :]
    named = rf"constant memory byte {at} \(.+\): expected 0x[0-9a-f]+, found {after:#04x}"
    return Change(replace(program, constants=data), f"constant byte {at} to {after}", named)


def operand(program: Program, random: Random) -> Change:
    """Change one operand of one instruction to another value that can be encoded."""
    while True:
        index = random.randrange(len(program.instructions))
        before = program.instructions[index]
        if not before.operands:
            continue
        place = random.randrange(len(before.operands))
        value = _other(before.spec.fields[place], before.operands[place], random)
        after = Instruction(before.name, (*before.operands[:place], value, *before.operands[place + 1 :]))
        if after != before and _can_be_encoded(after):
            instructions = (*program.instructions[:index], after, *program.instructions[index + 1 :])
            what = f"instruction {index}: {before} to {after}"
            return Change(
                replace(program, instructions=instructions), what, rf"instruction {index} \(layer .+\): expected"
            )


def _other(field: Field, value: Operand, random: Random) -> Operand:
    if isinstance(value, tuple):
        at = random.randrange(len(value))
        return (*value[:at], _number(field, value[at], random), *value[at + 1 :])
    return _number(field, value, random)


def _number(field: Field, value: int, random: Random) -> int:
    if field.names:
        return random.randrange(len(field.names))
    return random.choice([value + 1, value - 1, value ^ 1 << random.randrange(8), 0, 1])


def _can_be_encoded(instruction: Instruction) -> bool:
    try:
        encode(instruction)
    except IsaError:
        return False
    return True


CHANGES: Mapping[str, Callable[[Program, Random], Change]] = {
    "conductance": conductance,
    "constant": constant,
    "operand": operand,
}


def changed(program: Program, random: Random) -> Change:
    """Return one random change of the program."""
    return CHANGES[random.choice(sorted(CHANGES))](program, random)
