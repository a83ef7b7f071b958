"""The program that a command names, on the chip that it says or that bare text is given."""

import argparse
from dataclasses import replace
from typing import TYPE_CHECKING

from cimc.diagnostics import fail

if TYPE_CHECKING:
    from cimc.isa.program import Program


def add_program(parser: argparse.ArgumentParser, metavar: str = "prog.asm") -> None:
    """Add the program, and the target that text written by hand may leave out."""
    parser.add_argument("program", metavar=metavar)
    parser.add_argument("--target", metavar="NAME|FILE.toml", help="the chip, for program text that does not say one")


def program_of(options: argparse.Namespace) -> "Program":
    """Return the program with its target. Raises CimcError, CIM0003 where it has one and another is given."""
    from cimc.isa.container import load_program

    program = load_program(options.program)
    if getattr(options, "target", None) is None:
        return program
    if program.meta.get("target") is not None:
        message = f"{options.program} says its own target, and --target {options.target} is given"
        raise fail("CIM0003", message, hint="leave out --target; to change chips, compile the model again")
    from cimc.targets import load_target

    return replace(program, meta={**program.meta, "target": load_target(options.target).sections()})
