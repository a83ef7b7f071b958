"""Numbers on the command line: each function is the `type` of an option, and says what it does not take."""

import argparse
import math
from collections.abc import Callable

MOST_CHIPS = 100000


def whole(text: str) -> int:
    """Return a whole number, 0 or more."""
    value = _integer(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"{value} is negative")
    return value


def count(text: str) -> int:
    """Return a whole number, 1 or more."""
    value = _integer(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{value} is not a positive number")
    return value


def span(text: str) -> range:
    """Return the samples FIRST:END, or one alone."""
    first, colon, end = text.partition(":")
    start = whole(first)
    found = range(start, whole(end) if colon else start + 1)
    if not found:
        raise argparse.ArgumentTypeError(f"{text} holds no sample, write FIRST:END with END above FIRST")
    return found


def chips(least: int) -> Callable[[str], int]:
    """Return the type of a number of chips, `least` to MOST_CHIPS."""

    def number(text: str) -> int:
        value = _integer(text)
        if not least <= value <= MOST_CHIPS:
            raise argparse.ArgumentTypeError(f"{value} chips, {least} to {MOST_CHIPS} are possible")
        return value

    return number


def finite(text: str) -> float:
    """Return a number that is no infinity."""
    try:
        value = float(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number") from None
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"{text} is not a finite number")
    return value


def factor(text: str) -> float:
    """Return a number that is not zero."""
    value = finite(text)
    if value == 0.0:
        raise argparse.ArgumentTypeError("0 would make all data zero")
    return value


def share(text: str) -> float:
    """Return a number between 0 and 1."""
    value = finite(text)
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"{value} is not between 0 and 1")
    return value


def percent(text: str) -> float:
    """Return a number from 0 to 100."""
    value = finite(text)
    if not 0 <= value <= 100:
        raise argparse.ArgumentTypeError(f"{value:g} is not from 0 to 100")
    return value


def _integer(text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number") from None
