"""Options of the commands that take programs as files."""

import argparse

from cimc.command_line.programs import add_program
from cimc.command_line.shared_options import add_json
from cimc.isa.sections import SECTIONS


def add_asm(parser: argparse.ArgumentParser) -> None:
    add_program(parser)
    parser.add_argument("-o", "--output", required=True, metavar="prog.cimb")
    parser.add_argument("--json", action="store_true", help="print what was written, with the program's hash, as JSON")


def add_objdump(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("program", metavar="prog.cimb")
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("-o", "--output", metavar="prog.asm", help="write text and payload files instead of printing")
    kind.add_argument(
        "--numbers", action="store_true", help="the code, with the number and address of each instruction"
    )
    kind.add_argument("--section", choices=SECTIONS, help="one part: ports, target, code, constants or blocks")


def add_lint(parser: argparse.ArgumentParser) -> None:
    add_program(parser)
    add_json(parser)
