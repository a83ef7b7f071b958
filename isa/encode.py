"""Instructions as 32-byte little-endian words, and back; the hash that names the instruction set."""

import hashlib
import json
from collections.abc import Iterable
from functools import cache
from typing import Any

from cimc.isa.errors import IsaError
from cimc.isa.layout import LAYOUT, USED_BITS, Slot
from cimc.isa.program import Instruction, Operand
from cimc.isa.table import (
    BY_NAME,
    BY_OPCODE,
    ELEMENT_TYPES,
    FACTOR_ONE,
    LOOP_DEPTH,
    OPCODE_BITS,
    STREAMS,
    TABLE,
    VERSION,
    WORD_BITS,
    WORD_BYTES,
    Field,
)


def encode(instruction: Instruction) -> bytes:
    """Return the 32-byte word of an instruction. Raises IsaError CIM0402 to CIM0404 on one that is not valid."""
    check_operands(instruction)
    word = instruction.spec.opcode
    for slot, operand in zip(LAYOUT[instruction.name], instruction.operands, strict=True):
        word |= _pack(slot.field, operand) << slot.low
    return word.to_bytes(WORD_BYTES, "little")


def decode(word: bytes) -> Instruction:
    """Return the instruction of a 32-byte word. Raises IsaError CIM0410 to CIM0413 on an invalid one."""
    if len(word) != WORD_BYTES:
        raise IsaError("CIM0413", f"instruction word of {len(word)} bytes, wanted {WORD_BYTES}")
    bits = int.from_bytes(word, "little")
    spec = BY_OPCODE.get(bits & ((1 << OPCODE_BITS) - 1))
    if spec is None:
        raise IsaError("CIM0410", f"opcode 0x{word[0]:02x} is not assigned")
    if bits >> USED_BITS[spec.name]:
        raise IsaError("CIM0412", f"{spec.name} has bits set above bit {USED_BITS[spec.name] - 1}, wanted zeros")
    return Instruction(spec.name, tuple(_unpack(spec.name, slot, bits) for slot in LAYOUT[spec.name]))


def encode_all(instructions: Iterable[Instruction]) -> bytes:
    """Return the words of all instructions. Raises IsaError as `encode` does, placed at "instruction N"."""
    words = []
    for index, instruction in enumerate(instructions):
        try:
            words.append(encode(instruction))
        except IsaError as error:
            raise error.at(f"instruction {index}") from None
    return b"".join(words)


def decode_all(code: bytes) -> tuple[Instruction, ...]:
    """Return the instructions of a code section. Raises IsaError as `decode` does, placed at "instruction N"."""
    if len(code) % WORD_BYTES:
        raise IsaError("CIM0413", f"code of {len(code)} bytes, wanted a multiple of {WORD_BYTES}")
    instructions = []
    for start in range(0, len(code), WORD_BYTES):
        try:
            instructions.append(decode(code[start : start + WORD_BYTES]))
        except IsaError as error:
            raise error.at(f"instruction {start // WORD_BYTES}") from None
    return tuple(instructions)


def check_operands(instruction: Instruction) -> None:
    """Raise IsaError CIM0402 to CIM0404 unless the instruction exists and each operand fits its field."""
    spec = BY_NAME.get(instruction.name)
    if spec is None:
        raise IsaError("CIM0402", f"unknown instruction {instruction.name!r}")
    if len(instruction.operands) != len(spec.fields):
        raise IsaError("CIM0403", f"{spec.name} has {len(instruction.operands)} operands, wanted {len(spec.fields)}")
    for field, operand in zip(spec.fields, instruction.operands, strict=True):
        if not (type(operand) is int and field.count == 1 and field.lowest <= operand <= field.highest):
            check_operand(spec.name, field, operand)  # which finds what is wrong, of the few that are no such number


def check_operand(name: str, field: Field, operand: Operand) -> None:
    """Raise IsaError CIM0404 unless the operand of instruction `name` has the field's count and range."""
    if isinstance(operand, tuple) != (field.count > 1) or (isinstance(operand, tuple) and len(operand) != field.count):
        wanted = f"a list of {field.count} integers" if field.count > 1 else "one integer"
        raise IsaError("CIM0404", f"operand {field.name} of {name} is {operand!r}, wanted {wanted}")
    for value in _values(operand):
        if type(value) is not int:
            raise IsaError(
                "CIM0404", f"operand {field.name} of {name} is {value!r} of type {type(value).__name__}, wanted an int"
            )
        if not field.lowest <= value <= field.highest:
            prefix = field.prefix
            found, wanted = f"{prefix}{value}", f"{prefix}{field.lowest}..{prefix}{field.highest}"
            raise IsaError("CIM0404", f"operand {field.name} of {name} is {found}, wanted {wanted}")


@cache
def isa_hash() -> str:
    """Return the SHA-256 (hexadecimal) over everything that encodings depend on.

    Prose is left out, so that it can be improved: whoever changes a meaning changes VERSION.
    """
    facts: dict[str, Any] = {
        "version": VERSION,
        "word_bits": WORD_BITS,
        "opcode_bits": OPCODE_BITS,
        "streams": STREAMS,
        "loop_depth": LOOP_DEPTH,
        "factor_one": FACTOR_ONE,
        "element_types": [[name, *layout] for name, layout in ELEMENT_TYPES.items()],
        "table": [[spec.name, spec.opcode, [_field_facts(field) for field in spec.fields]] for spec in TABLE],
    }
    return hashlib.sha256(json.dumps(facts, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def check_isa(stated_hash: str) -> None:
    """Raise IsaError CIM0422 unless the hash is the one of this instruction set."""
    if stated_hash != isa_hash():
        message = f"program for the instruction set {stated_hash[:16]}..., this cimc has {isa_hash()[:16]}..."
        raise IsaError("CIM0422", message, "compile the model again, or use the cimc that wrote the program")


def _field_facts(field: Field) -> list[Any]:
    return [field.name, field.bits, field.signed, field.count, field.prefix, field.names]


def _values(operand: Operand) -> tuple[int, ...]:
    return operand if isinstance(operand, tuple) else (operand,)


def _pack(field: Field, operand: Operand) -> int:
    mask = (1 << field.bits) - 1
    if isinstance(operand, int):
        return operand & mask
    return sum((value & mask) << (i * field.bits) for i, value in enumerate(operand))


def _unpack(name: str, slot: Slot, bits: int) -> Operand:
    field = slot.field
    values = tuple(_number(field, bits >> (slot.low + i * field.bits)) for i in range(field.count))
    if field.names and max(values) > field.highest:
        raise IsaError(
            "CIM0411",
            f"operand {field.name} of {name} is {max(values)}, wanted 0..{field.highest} ({', '.join(field.names)})",
        )
    return values if field.count > 1 else values[0]


def _number(field: Field, bits: int) -> int:
    value = bits & ((1 << field.bits) - 1)
    return value - (1 << field.bits) if field.signed and value >> (field.bits - 1) else value
