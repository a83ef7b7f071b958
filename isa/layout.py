"""Where each operand lies in the instruction word: from bit 8 upwards, in table order."""

from collections.abc import Mapping
from typing import NamedTuple

from cimc.isa.table import OPCODE_BITS, TABLE, Field, Spec


class Slot(NamedTuple):
    """One operand and the lowest bit of its field; element i of a list starts i * field.bits higher."""

    field: Field
    low: int

    @property
    def end(self) -> int:
        """One past the highest bit."""
        return self.low + self.field.width


def place(spec: Spec) -> tuple[Slot, ...]:
    """Return the slots of an instruction's operands."""
    slots, low = [], OPCODE_BITS
    for field in spec.fields:
        slots.append(Slot(field, low))
        low += field.width
    return tuple(slots)


def used_bits(spec: Spec) -> int:
    """Return the number of bits, from bit 0, that belong to the opcode or an operand."""
    return OPCODE_BITS + sum(field.width for field in spec.fields)


LAYOUT: Mapping[str, tuple[Slot, ...]] = {spec.name: place(spec) for spec in TABLE}
USED_BITS: Mapping[str, int] = {spec.name: used_bits(spec) for spec in TABLE}
