"""Reads a binary program as docs/formats.md and docs/isa.md describe it: with struct and json, and nothing of cimc."""

import json
import re
import struct
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

MANUAL = Path(__file__).parents[2] / "docs" / "isa.md"
OPERAND = re.compile(
    r"\| (?P<low>\d+)(?:\.\.\d+)?(?: \((?P<count>\d+) x (?P<bits>\d+)\))? \| `(?P<name>\w+)` \| (?P<values>[^|]*) \|"
)
OPCODE = re.compile(r"\| 0\.\.7 \| opcode \| 0x([0-9a-f]{2}) \|")


@dataclass(frozen=True)
class Operand:
    """A field of an instruction word."""

    name: str
    low: int
    bits: int
    count: int
    signed: bool
    members: tuple[str, ...]

    def read(self, word: int) -> Any:
        values = [self._one(word >> self.low + i * self.bits & (1 << self.bits) - 1) for i in range(self.count)]
        return values if self.count > 1 else values[0]

    def _one(self, value: int) -> Any:
        if self.members:
            return self.members[value]
        return value - (1 << self.bits) if self.signed and value >> self.bits - 1 else value


@cache
def instruction_set() -> dict[int, tuple[str, tuple[Operand, ...]]]:
    """Opcode -> name and operands, from the tables of the manual."""
    found = {}
    for part in re.split(r"\n### ", MANUAL.read_text())[1:]:
        if opcode := OPCODE.search(part):
            found[int(opcode[1], 16)] = (part.split("\n")[0], tuple(map(_operand, OPERAND.finditer(part))))
    return found


def _operand(row: re.Match[str]) -> Operand:
    line = row.group()
    first, last = re.match(r"\| (\d+)(?:\.\.(\d+))?", line).groups()
    width = int(last or first) - int(first) + 1
    count = int(row["count"] or 1)
    members = tuple(re.findall(r"\d+ `(\w+)`", row["values"]))
    return Operand(row["name"], int(first), int(row["bits"] or width), count, "-" in row["values"], members)


@dataclass(frozen=True)
class Program:
    """What a binary program holds: instructions as (name, opcode, operands by name), memories, facts."""

    code: list[tuple[str, int, dict[str, Any]]]
    constants: bytes
    conductances: bytes
    facts: dict[str, Any]


def load(data: bytes) -> Program:
    """Return the program of a file's bytes."""
    sections = {}
    for number in range(struct.unpack_from("<I", data, 12)[0]):
        name, offset, length = struct.unpack_from("<8sQQ", data, 80 + 56 * number)
        sections[name.rstrip(b"\0").decode()] = data[offset : offset + length]
    code = [_decoded(sections["CODE"][at : at + 32]) for at in range(0, len(sections["CODE"]), 32)]
    return Program(code, sections["CONST"], sections["COND"], json.loads(sections["META"]))


def _decoded(word: bytes) -> tuple[str, int, dict[str, Any]]:
    name, operands = instruction_set()[word[0]]
    bits = int.from_bytes(word, "little")
    return name, word[0], {operand.name: operand.read(bits) for operand in operands}
