"""Text cases: commands, the exit status and the output they must give, and the files they must leave.

A command line starts with `$`, its output with `|`; a blank line ends its case. Files of files.py that a command names
are laid beside it; the commands of one case share one folder. An expected line that ends in ` ...` stands for
every line that starts so. A command that begins with `COLUMNS=60` writes to a terminal of that width, others to a pipe.
"""

import contextlib
import io
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from command_line.files import FILES, lay

from cimc.command_line import main

CASES = sorted((Path(__file__).parent / "cases").glob("*.txt"))
ANY = " ..."


class Terminal(io.StringIO):
    """Standard output that is a terminal."""

    def isatty(self) -> bool:
        return True


def run(arguments: list[str], terminal: bool = False) -> tuple[int, str]:
    """Run one command in this process; return its status, and stdout and stderr as one text."""
    output = Terminal() if terminal else io.StringIO()
    errors = io.StringIO() if terminal else output
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(errors):
        try:
            status = main(arguments)
        except SystemExit as exit_:
            status = int(str(exit_.code or 0))
    return status, output.getvalue() + (errors.getvalue() if terminal else "")


def without_usage(output: str) -> Iterator[str]:
    """Yield the lines of an output but for argparse's usage, which differs between versions of Python."""
    usage = False
    for line in output.splitlines():
        usage = line.startswith("usage:") or (usage and line.startswith(" "))
        if not usage:
            yield line.rstrip()


def without_hashes(output: str) -> str:
    """Return an output without the hashes of programs: any change of a compile gives another one."""
    return re.sub(r'(program"?:? +"?)[0-9a-f]{12,64}', r"\1HASH", output)


def result(command: str) -> list[str]:
    """Return the lines to expect behind a command."""
    place, *arguments = shlex.split(command)
    width = place.removeprefix("COLUMNS=") if place.startswith("COLUMNS=") else ""
    arguments = arguments[bool(width) :]
    for name in {Path(argument).name for argument in arguments} & set(FILES):
        if not Path(name).exists():
            lay(name, Path())
    before = set(Path().rglob("*"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", width or "100")
        status, output = run(arguments, terminal=bool(width))
    lines = [f"exit {status}", *(f"| {line}".rstrip() for line in without_usage(without_hashes(output)))]
    left = sorted(str(path) for path in set(Path().rglob("*")) - before)
    return lines + ([f"leaves {' '.join(left)}"] if left else [])


def compared(found: list[str], expected: list[str]) -> Iterator[str]:
    """Yield the lines found, with the expected ` ...` line in place of those that it stands for."""
    for index, line in enumerate(found):
        wanted = expected[index] if index < len(expected) else ""
        yield wanted if wanted.endswith(ANY) and line.startswith(wanted.removesuffix(ANY)) else line


def played(blocks: list[str], folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Yield every block with the results that its commands give now."""
    for number, block in enumerate(blocks):
        place = folder / str(number)
        place.mkdir()
        monkeypatch.chdir(place)
        heads, parts = [], block.split("\n$ ")
        if not parts[0].startswith("$ "):
            heads.append(parts.pop(0))
        for part in parts:
            command, *expected = part.removeprefix("$ ").split("\n")
            heads.append("\n".join([f"$ {command}", *compared(result(command), expected)]))
        yield "\n".join(heads)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_case(case: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bless: bool) -> None:
    expected = case.read_text()
    found = "\n\n".join(played(expected.rstrip("\n").split("\n\n"), tmp_path, monkeypatch)) + "\n"
    if bless:
        case.write_text(found)
    assert "Traceback" not in found
    assert found == expected, "run pytest --bless if the new output is right"


def test_there_are_cases() -> None:
    assert CASES
