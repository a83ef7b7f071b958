"""A compile that is bound to a quality: what is raised for it, what people are told of that, and the status."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cimc.command_line.bound_options import bound_of
from cimc.diagnostics import fail
from cimc.driving.driver import Compilation, Request, compile_model
from cimc.isa.errors import FAILED

if TYPE_CHECKING:
    from cimc.driving.raising import Raised


def require_whole_compile(options: argparse.Namespace) -> None:
    """Refuse a bound where nothing can be measured or raised. Raises CimcError CIM0003."""
    unfit = {"--ranges": options.ranges, "--from": options.start, "--compile-to": options.compile_to != "program"}
    found = [option for option, given in unfit.items() if given]
    if bound_of(options).asks and found:
        message = f"--min-sqnr and --min-top1 measure a model's whole program, and {found[0]} gives something else"
        raise fail("CIM0003", message, hint=f"leave out {found[0]}, or hold the program to a bound with `cimc verify`")


def within_bound(options: argparse.Namespace, request: Request) -> "tuple[Compilation, Raised | None]":
    """Compile a model, with what the bound takes where one is asked for."""
    path, bound = Path(options.model), bound_of(options)
    if not bound.asks:
        return compile_model(path, request), None
    from cimc.driving.raising import raised

    found = raised(path, request, bound)
    return found.compilation, found


def facts_of(found: "Raised | None") -> dict[str, Any]:
    """Return what JSON says of a search: nothing where no bound was asked for."""
    return {"raised": found.facts()} if found else {}


def print_lines(found: "Raised | None") -> None:
    """Print what was raised, what it gives and what it costs."""
    for line in found.lines() if found else ():
        print(f"  {line}")


def judged(found: "Raised | None", options: argparse.Namespace) -> int:
    """Return the status of a compile, and say on which outputs a bound is missed."""
    missed = found.missed(bound_of(options)) if found else []
    for one in missed:
        print(f"FAILED: {one}", file=sys.stderr if options.json else sys.stdout)
    return FAILED if missed else 0
