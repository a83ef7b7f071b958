"""Parts of a program as they are printed: numbered code, and what lies at the addresses of constant memory."""

import pytest

from cimc.isa.author import Author
from cimc.isa.sections import SECTIONS


@pytest.fixture
def program():
    author = Author({"dac": {"bits": 8}}, 64).port("x", (4,), 0).tensor(0, (4,)).tensor(1, (4,), 8)
    author.names = ("first",)
    author.data(2, [1, 2, 3, 4], (4,)).block(3, [[5, 6]], (1, 2, 3))
    table = author.table(range(256), "i16")
    return author.put("lut", in_=0, out=1, table=table, type="i16", first=-128, entries=256).program()


@pytest.mark.parametrize(
    ("section", "lines"),
    [
        ("code", 7),
        ("ports", 1),
        ("target", ['dac {"bits":8}']),
        ("blocks", ["b3  tile 1, rows 2..2, columns 3..4  first@3"]),
        ("constants", ["0x000000  base       read by 2", "0x000008  table      read by 4"]),
    ],
)
def test_sections(program, section, lines):
    found = list(SECTIONS[section](program))
    assert (len(found) if isinstance(lines, int) else found) == lines


def test_instructions_have_the_numbers_that_traps_name(program):
    numbered = [line for line in SECTIONS["code"](program) if not line.startswith(".loc")]
    assert [line.split()[:3] for line in numbered[3:5]] == [["3", "00060", "program"], ["4", "00080", "lut"]]
