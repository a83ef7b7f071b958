"""The text of a trace: its head, one line for each record, vectors on request. docs/formats.md is its description."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from cimc.backends.machine.traps import Refusal

VERSION = 1
FIRST = f"cimc-trace {VERSION}"
HEAD = ("program", "target", "isa", "inputs", "noise", "seed", "time", "only")
"""The words that start the lines of a head, in their order, behind the first line."""
SAMPLE = "sample "
VECTOR = "v "
UNCOUNTED = "- -"
"""In place of the two counts of clips where an instruction has no conversions that can clip."""

LINE = re.compile(
    r"(?P<sequence>[0-9a-f]+) (?P<index>[0-9a-f]+) (?P<turns>-|[0-9a-f]+(?:\.[0-9a-f]+)*) (?P<opcode>[0-9a-f]+) "
    r"(?P<space>act|tile[0-9a-f]+|factor|gain|time|stream|end|trap) (?P<low>[0-9a-f]+)\.\.(?P<high>[0-9a-f]+) "
    r"(?P<count>[0-9a-f]+) (?P<crc>[0-9a-f]{8}|CIM[0-9]{4}) (?P<clips>- -|[0-9a-f]+ [0-9a-f]+)"
)


@dataclass(frozen=True)
class Prefix:
    """What a record says before any datum is known, all but its CRC and clips."""

    sequence: int
    index: int
    turns: tuple[int, ...]
    opcode: int
    space: str
    low: int
    high: int
    count: int

    @property
    def moment(self) -> tuple[int, int, tuple[int, ...]]:
        """When in a run it was: instructions retired before, its number, the turns done around it."""
        return self.sequence, self.index, self.turns

    def __str__(self) -> str:
        where = f"{self.sequence:x} {self.index:x} {dotted(self.turns)} {self.opcode:x}"
        return f"{where} {self.space} {self.low:x}..{self.high:x} {self.count:x}"


class Record(NamedTuple):
    """One retired instruction: what it wrote where, the CRC of it or the code of a trap, and the clips of its ADCs."""

    prefix: Prefix
    crc: str
    clips: str


def dotted(turns: Iterable[int]) -> str:
    """Return the turns done of the loops around an instruction, outermost first, as a trace writes them."""
    return ".".join(f"{turn:x}" for turn in turns) or "-"


def record_of(line: str) -> Record:
    """Return the record of a line. Raises Refusal CIM0560 where it is none."""
    found = LINE.fullmatch(line)
    if found is None:
        raise damaged(f"{line[:80]!r} is no record")
    turns = () if found["turns"] == "-" else tuple(int(turn, 16) for turn in found["turns"].split("."))
    sequence, index, opcode = (int(found[name], 16) for name in ("sequence", "index", "opcode"))
    low, high, count = (int(found[name], 16) for name in ("low", "high", "count"))
    return Record(
        Prefix(sequence, index, turns, opcode, found["space"], low, high, count), found["crc"], found["clips"]
    )


@dataclass(frozen=True)
class Head:
    """What a trace is a trace of, by the words of HEAD; `noise` and `only` are "-" where there is none."""

    facts: Mapping[str, str]

    def __str__(self) -> str:
        return "\n".join((FIRST, *(f"{name} {self.facts[name]}" for name in HEAD)))


def head_of(lines: list[str]) -> Head:
    """Return the head of a trace's first lines. Raises Refusal CIM0560, CIM0561 where they are none of ours."""
    if not lines or not lines[0].startswith("cimc-trace "):
        raise damaged("it does not start as a trace")
    if lines[0] != FIRST:
        raise Refusal("CIM0561", f"{lines[0]!r:.60}, this cimc reads {FIRST!r}", "trace again with this cimc")
    words = [line.partition(" ") for line in lines[1:]]
    if [word for word, _, _ in words] != list(HEAD):
        raise damaged(f"its head has not the lines {', '.join(HEAD)}")
    return Head({word: rest for word, _, rest in words})


def damaged(message: str) -> Refusal:
    """Return the refusal of a file that is no whole trace."""
    return Refusal("CIM0560", message, "write the trace again; docs/formats.md has its form")
