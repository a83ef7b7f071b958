"""docs/formats.md is true: a program is read by its tables alone, with nothing of ours."""

import hashlib
import json
import re
import struct
from inspect import getsource
from pathlib import Path

import pytest

from cimc.backends.machine.facts import machine
from cimc.isa.author import Author
from cimc.isa.binary import to_parts

PAGE = (Path(__file__).parents[2] / "docs" / "formats.md").read_text()
KINDS = ("of META", "of a port")
FORMS = {"u32": "<I", "u64": "<Q"}


def table(last_head: str) -> list[list[str]]:
    """The rows of the page's table whose last column has this head."""
    lines = PAGE.split("\n")
    start = next(n for n, line in enumerate(lines) if line.startswith("|") and line.endswith(f"| {last_head} |"))
    rows = lines[start + 2 : next(n for n in range(start, len(lines)) if not lines[n].startswith("|"))]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


def fields(data: bytes, name: str) -> dict[str, bytes | int]:
    """What a table of offsets reads from bytes, by the first word of each meaning."""
    found: dict[str, bytes | int] = {}
    for offset, size, kind, meaning in table(name):
        part = data[int(offset) : int(offset) + int(size)]
        found[re.split("[ :,]", meaning)[0] + offset] = struct.unpack(FORMS[kind], part)[0] if kind in FORMS else part
    return found


@pytest.fixture(scope="module")
def program():
    target = {"array": {"tiles": 1}, "dac": {"bits": 8}}
    author = Author(target, 64).port("x", (4,), 0).port("y", (2, 2), 8, output=True).tensor(0, (4,)).tensor(1, (4,), 8)
    author.data(2, [1, 2, 3, -4], (4,), "i16")
    author.block(0, [[3, -5], [1, 0]])
    return author.put("add", a=0, b=2, out=1, ma=1, mb=1, bias=0, shift=0, low=-128, high=127).program()


@pytest.fixture(scope="module")
def sections(program):
    data = b"".join(to_parts(program))
    header = fields(data, "header")
    assert header["magic0"] == bytes.fromhex("89 43 49 4d 42 0d 0a 1a")
    assert header["SHA-256304"] == hashlib.sha256(data[:304]).digest()
    found, entries, end = {}, header["the80"], 336
    assert len(entries) == 56 * header["number12"]
    for start in range(0, len(entries), 56):
        entry = fields(entries[start : start + 56], "entry of the section table")
        assert entry["offset8"] == -(-end // 64) * 64 and not any(data[end : entry["offset8"]])
        content = data[entry["offset8"] :][: entry["length16"]]
        end = entry["offset8"] + entry["length16"]
        assert hashlib.sha256(content).digest() == entry["SHA-25624"]
        found[entry["name0"].rstrip(b"\0").decode()] = content
    assert list(found) == [row[0] for row in table("holds")]
    assert end == len(data)
    assert header["SHA-25648"] == hashlib.sha256(canonical(json.loads(found["META"])["meta"]["target"])).digest()
    return found


def canonical(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def test_sections(program, sections):
    assert sections["CONST"] == struct.pack("<4h", 1, 2, 3, -4)
    assert sections["COND"] == struct.pack("<4h", 3, -5, 1, 0)
    assert len(sections["CODE"]) == 32 * len(program.instructions)
    assert [word[0] for word in struct.iter_unpack("<B31x", sections["CODE"])] == [0x10, 0x10, 0x10, 0x21, 0x44, 0x01]


def test_meta_is_canonical_and_has_the_members_of_the_page(sections):
    facts = json.loads(sections["META"])
    assert canonical(facts) == sections["META"]
    members, of_ports = ({name for row in table(kind) for name in re.findall("`([a-z_]+)`", row[0])} for kind in KINDS)
    assert set(facts) == members - {"layers"}
    assert all(set(port) == of_ports - {"whole", "preprocessing"} for port in (*facts["inputs"], *facts["outputs"]))


def test_every_fact_of_a_machine_is_on_the_page():
    named = set(re.findall(r'_(?:integer|choice)\([^,]+(?:\}, )?[^"]*"([a-z_]+)"', getsource(machine)))
    assert len(named) == 13
    rows = " ".join(row[0] for row in table("decides"))
    assert {name for name in named if not re.search(rf"\.{name}\b", rows)} == set()
