"""The one layout of tables for people: columns in line, two blanks between them, no wider than the terminal."""

import re
import sys
import textwrap
from collections.abc import Sequence
from itertools import zip_longest

from cimc.driving.terminal import columns
from cimc.isa.names import shown

INDENT = GAP = "  "
ELLIPSIS = "..."

LEAST = 11
"""No column is made narrower: four characters of each end still tell most names apart."""


def terminal_width() -> int | None:
    """Return the characters in a line of the terminal behind stdout; None for a pipe or a file."""
    return columns() if sys.stdout.isatty() else None


def tabulate(rows: Sequence[Sequence[str]], width: int | None = None) -> list[str]:
    """Return the lines of a table, whose first row is its heads, in at most `width` characters (None: any number).

    Where that is too narrow, the widest columns give way: names are cut in the middle, sentences go on in the next
    line. Columns of decimal fractions end in line, all others start in line.
    """
    rows = [[shown(cell) for cell in row] for row in rows]
    widths = _widths(rows, width)
    ends = [all(re.fullmatch(r"-|-?\d+\.\d+", cell) for cell in column[1:]) for column in zip(*rows, strict=True)]
    return [line for row in rows for line in _lines(row, widths, ends)]


def fitting(rows: Sequence[Sequence[str]], width: int | None, least: int) -> int:
    """Return how many of the first columns stand in `width` characters as they are, `least` at any rate."""
    reach, fits = len(INDENT) - len(GAP), 0
    for column in zip(*rows, strict=True):
        reach += len(GAP) + max(map(len, column))
        fits += width is None or reach <= width
    return max(fits, least)


def _widths(rows: Sequence[Sequence[str]], width: int | None) -> list[int]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    room = sum(widths) if width is None else width - len(INDENT) - len(GAP) * (len(widths) - 1)
    while sum(widths) > room and max(widths) > LEAST:
        widths[widths.index(max(widths))] -= 1
    return widths


def _lines(row: Sequence[str], widths: Sequence[int], ends: Sequence[bool]) -> list[str]:
    """Return the lines of one row, as many as its longest cell needs."""
    cells = [_fitted(cell, width) for cell, width in zip(row, widths, strict=True)]
    return [
        INDENT
        + GAP.join(f"{p:>{w}}" if e else f"{p:<{w}}" for p, w, e in zip(parts, widths, ends, strict=True)).rstrip()
        for parts in zip_longest(*cells, fillvalue="")
    ]


def _fitted(cell: str, width: int) -> list[str]:
    """Return the lines of one cell: a sentence in several, a name cut."""
    return [
        _cut(line, width) for line in textwrap.wrap(cell, width, break_long_words=False, break_on_hyphens=False) or [""]
    ]


def _cut(name: str, width: int) -> str:
    """Return a name with its middle left out where it is longer than `width`."""
    if len(name) <= width:
        return name
    kept = width - len(ELLIPSIS)
    return name[: kept // 2] + ELLIPSIS + name[len(name) - (kept + 1) // 2 :]
