"""Options of the commands that make and judge one measured chip."""

import argparse

from cimc.command_line.noise_options import add_noise_options
from cimc.command_line.programs import add_program


def add_read_back(parser: argparse.ArgumentParser) -> None:
    add_program(parser)
    parser.add_argument("-o", "--output", required=True, metavar="CHIP.npz", help="the layout is in docs/formats.md")
    add_noise_options(parser, measured=False)
