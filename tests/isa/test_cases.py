"""Text cases: each file in cases/ is a program, a command on its first line, and the expected output at its end."""

import io
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from cimc.isa.assemble import parse
from cimc.isa.disassemble import render_instruction
from cimc.isa.encode import encode
from cimc.isa.errors import IsaError
from cimc.isa.lint import lint
from cimc.isa.program import Program

CASES = sorted((Path(__file__).parent / "cases").glob("*.asm"))
EXPECT = "; expect:"


def payload(name: str) -> io.BytesIO:
    """Open a payload named after its content: `05x64` is 64 bytes of value 5, joined by `-`."""
    parts = (part.split("x") for part in name.split("-"))
    return io.BytesIO(b"".join(bytes.fromhex(value) * int(count) for value, count in parts))


def _words(program: Program) -> str:
    return "\n".join(encode(instruction).hex() for instruction in program.instructions)


def _body(program: Program) -> str:
    return "\n".join(render_instruction(instruction) for instruction in program.instructions)


def _lint(program: Program) -> str:
    return "\n".join(map(str, lint(program))) or "clean"


COMMANDS: Mapping[str, Callable[[Program], str]] = {"encode": _words, "print": _body, "lint": _lint}


def _run(case: Path) -> str:
    command = case.read_text().partition("\n")[0].removeprefix("; run: ")
    try:
        return COMMANDS[command](parse(case.read_text(), payload, case.name))
    except IsaError as error:
        return str(error)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_case(case: Path, bless: bool) -> None:
    source, _, expected = case.read_text().partition(f"\n{EXPECT}\n")
    found = "".join(f"; {line}\n" for line in _run(case).splitlines())
    if bless:
        case.write_text(f"{source.rstrip()}\n\n{EXPECT}\n{found}")
    else:
        assert found == expected, "run pytest --bless if the new output is right"


def test_there_are_cases() -> None:
    assert CASES
