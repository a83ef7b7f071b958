"""--min-sqnr and --min-top1: what every output shall reach."""

import argparse
from typing import TYPE_CHECKING

from cimc.command_line.numbers import finite, percent

if TYPE_CHECKING:
    from cimc.driving.distances import Bound


def add_bound_options(parser: argparse.ArgumentParser, does: str) -> None:
    """Add the options; `does` is what happens where an output does not reach the bound."""
    parser.add_argument("--min-sqnr", type=finite, metavar="DB", help=f"{does} where an output's quality is below this")
    parser.add_argument(
        "--min-top1",
        type=percent,
        metavar="PERCENT",
        help=f"{does} where fewer samples have the float model's top-1",
    )


def bound_of(options: argparse.Namespace) -> "Bound":
    """Return what the options ask of every output."""
    from cimc.driving.distances import Bound

    return Bound(options.min_sqnr, options.min_top1)
