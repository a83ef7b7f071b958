"""Well-formed random instructions for property tests and hardware simulation, and the bins that measure them."""

import random
from collections.abc import Iterator
from typing import NamedTuple

from cimc.isa import coverage
from cimc.isa.program import Instruction, Operand
from cimc.isa.table import TABLE, Field, Spec


class Bin(NamedTuple):
    """A coverage bin: a boundary value of an operand of an instruction."""

    instruction: str
    field: str
    value: int


def boundary_values(field: Field) -> tuple[int, ...]:
    """Return what coverage wants of a field, and the neighbours of its ends; of an enumeration, all members."""
    wanted = coverage.boundary_values(field)
    return wanted if field.names else tuple(sorted({*wanted, field.lowest + 1, field.highest - 1}))


def bins() -> frozenset[Bin]:
    """Return all coverage bins."""
    return frozenset(
        Bin(spec.name, field.name, value) for spec in TABLE for field in spec.fields for value in boundary_values(field)
    )


def bins_hit(instruction: Instruction) -> frozenset[Bin]:
    """Return the bins that an instruction covers."""
    hit = set()
    for field, operand in zip(instruction.spec.fields, instruction.operands, strict=True):
        values = operand if isinstance(operand, tuple) else (operand,)
        hit |= {Bin(instruction.name, field.name, value) for value in values if value in boundary_values(field)}
    return frozenset(hit)


def random_instructions(seed: int, count: int) -> Iterator[Instruction]:
    """Yield `count` well-formed instructions; the same for the same seed. Half of all operand values are boundaries."""
    generator = random.Random(seed)
    for _ in range(count):
        yield _random_instruction(generator, generator.choice(TABLE))


def boundary_instructions(seed: int) -> Iterator[Instruction]:
    """Yield instructions that together hit every bin; operands not at work are random."""
    generator = random.Random(seed)
    for spec in TABLE:
        values = [boundary_values(field) for field in spec.fields]
        for turn in range(max((len(choices) for choices in values), default=1)):
            operands = [
                _repeated(field, choices[turn % len(choices)])
                for field, choices in zip(spec.fields, values, strict=True)
            ]
            yield Instruction(spec.name, tuple(operands))
        yield _random_instruction(generator, spec)


def _random_instruction(generator: random.Random, spec: Spec) -> Instruction:
    return Instruction(spec.name, tuple(_random_operand(generator, field) for field in spec.fields))


def _random_operand(generator: random.Random, field: Field) -> Operand:
    values = tuple(_random_value(generator, field) for _ in range(field.count))
    return values if field.count > 1 else values[0]


def _random_value(generator: random.Random, field: Field) -> int:
    if generator.random() < 0.5:
        return generator.choice(boundary_values(field))
    return generator.randint(field.lowest, field.highest)


def _repeated(field: Field, value: int) -> Operand:
    return (value,) * field.count if field.count > 1 else value
