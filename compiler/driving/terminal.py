"""How wide the terminal is, by the environment or by the system."""

import os
import sys

USUAL = 80
"""Columns where neither says."""


def columns() -> int:
    """Return how many characters a line of the terminal has: COLUMNS, what the system says of stdout, or 80."""
    stated = os.environ.get("COLUMNS", "")
    return (int(stated) if stated.isdecimal() else 0) or _measured() or USUAL


def _measured() -> int:
    """Return what the system says of the process's own stdout, 0 where that is no terminal."""
    try:
        return os.get_terminal_size(sys.__stdout__.fileno()).columns if sys.__stdout__ else 0
    except (OSError, ValueError):
        return 0
