"""Options of the commands that make and judge one measured chip."""

import argparse

from cimc.backends.silicon.compensation_mode import MODES
from cimc.command_line.feeding_options import add_feeding_options
from cimc.command_line.noise_options import add_noise_options
from cimc.command_line.programs import add_program
from cimc.command_line.shared_options import add_json


def add_read_back(parser: argparse.ArgumentParser) -> None:
    add_program(parser)
    parser.add_argument("-o", "--output", required=True, metavar="CHIP.npz", help="the layout is in docs/formats.md")
    add_noise_options(parser, measured=False)


def _measured(parser: argparse.ArgumentParser, required: bool) -> None:
    """Add what says how codes were measured."""
    parser.add_argument(
        "--measured", required=required, metavar="CODES.npz", help="codes by layer, of `cimc run --layers --adc`"
    )
    parser.add_argument("--input", required=required, metavar="X.npz", help="what they were measured on")
    parser.add_argument(
        "--compensation", choices=MODES, default="column", help="drift factors that the chip ran with (default column)"
    )


def add_diagnose(parser: argparse.ArgumentParser) -> None:
    add_program(parser)
    parser.add_argument("--chip", required=True, metavar="CHIP.npz", help="the chip: docs/formats.md has the layout")
    _measured(parser, required=False)
    parser.add_argument("--noise", metavar="PROFILE", help="what healthy devices are like (default: the chip's own)")
    parser.add_argument("-o", "--output", metavar="OUT.json|.csv", help="write a verdict for every column")
    add_json(parser)
    add_feeding_options(parser)


def add_twin(parser: argparse.ArgumentParser) -> None:
    add_program(parser)
    _measured(parser, required=True)
    parser.add_argument("--time", default="0s", metavar="T", help="when they were measured (default 0s)")
    parser.add_argument("--noise", metavar="PROFILE", help="how its devices drift on (default: unknown)")
    parser.add_argument("-o", "--output", required=True, metavar="CHIP.npz", help="the chip, for --chip")
    add_json(parser)
    add_feeding_options(parser)
