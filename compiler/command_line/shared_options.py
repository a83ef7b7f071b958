"""Options that commands of several jobs have."""

import argparse

from cimc.command_line.compensation_options import add_compensation_options
from cimc.command_line.feeding_options import add_feeding_options
from cimc.command_line.noise_options import add_noise_options
from cimc.command_line.numbers import count


def add_json(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print the same facts as one JSON object")


def add_model_root(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--model-root", metavar="FOLDER", help="the file may name others anywhere in FOLDER, by any path or link"
    )


def add_target(parser: argparse.ArgumentParser, more: str = "") -> None:
    """Add the choice of a chip; `more` is what its help says behind the default."""
    from cimc.targets import DEFAULT_TARGET  # loads the schema of targets, which not every command needs

    told = f"the chip (default {DEFAULT_TARGET}{more})"
    parser.add_argument("--target", default=DEFAULT_TARGET, metavar="NAME|FILE.toml", help=told)


def add_chip(parser: argparse.ArgumentParser, measured: bool = True) -> None:
    """Add what a run on a chip asks: its noise, what makes up for drift, and what the data are."""
    add_noise_options(parser, measured=measured)
    add_compensation_options(parser)
    add_feeding_options(parser)


def add_threads(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--threads", type=count, metavar="N", help="images go over N threads (default: all cores)")
