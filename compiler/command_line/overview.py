"""What `cimc` says of itself: its help, written from the table of commands, and its version.

Without argparse, which would take longer than all else, and prints otherwise in each version of Python.
"""

from collections.abc import Iterable, Iterator

from cimc import __version__
from cimc.command_line.commands import COMMANDS, PROGRAM
from cimc.driving.terminal import columns

DESCRIPTION = "Compile trained ONNX models to programs for analog compute-in-memory tiles, run and verify them."
OPTIONS = {
    "-h, --help": "show this help message and exit",
    "--version": "show program's version number and exit",
}
LEAST = 11
"""No text is made narrower."""


def version() -> str:
    """Return the answer to `cimc --version`."""
    return f"{PROGRAM} {__version__}"


def overview() -> str:
    """Return the answer to `cimc --help`, as wide as the terminal."""
    width = columns() - 2
    start = min(max(len(command.name) for command in COMMANDS) + 4, max(width - 20, 4))
    lines = [
        f"usage: {PROGRAM} [-h] [--version] COMMAND ...",
        "",
        *wrapped(DESCRIPTION, width),
        "",
        "options:",
        *(line for name, text in OPTIONS.items() for line in _row(f"  {name}", text, start, width)),
        "",
        "commands:",
        "  COMMAND",
        *(line for one in COMMANDS for line in _row(f"    {one.name}", one.summary, start, width)),
    ]
    return "\n".join(lines)


def _row(name: str, text: str, start: int, width: int) -> Iterator[str]:
    """Yield the lines of a name and what it is for, which begins in a column of its own: one line lower if need be."""
    first, *rest = wrapped(text, width - start)
    if len(name) <= start - 2:
        yield f"{name:<{start}}{first}"
    else:
        yield name
        rest = [first, *rest]
    yield from (" " * start + line for line in rest)


def wrapped(text: str, width: int) -> Iterable[str]:
    """Return the lines of a text, none longer than `width` where words allow it."""
    lines = [""]
    for word in text.split():
        line = f"{lines[-1]} {word}".lstrip()
        if len(line) <= max(width, LEAST):
            lines[-1] = line
        else:
            lines.append(word)
    return lines
