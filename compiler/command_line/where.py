"""cimc where: the places of a weight, the owner of a cell, all of them as a table."""

import argparse
from collections.abc import Sequence
from pathlib import Path

from cimc.command_line.files import csv_text, keep_inputs, require_suffix, write
from cimc.command_line.noise_options import noise_of
from cimc.diagnostics import fail
from cimc.driving.provenance import chip_text, program_text
from cimc.isa.container import load_program
from cimc.isa.program import Program
from cimc.proof.programs import Difference, other_model
from cimc.provenance.answers import HEAD, Answers
from cimc.provenance.cells import places
from cimc.provenance.chip import Chip
from cimc.targets.target import target_of

CELL = ("tile", "row", "col")
TEXTS, REALS = ("initialiser", "index", "kind", "layer", "side"), ("target_us", "real", "float")


def where_command(options: argparse.Namespace) -> int:
    asked = [name for name in CELL if getattr(options, name) is not None]
    if asked and len(asked) < len(CELL):
        raise fail("CIM0003", f"--{asked[0]} names no cell alone", hint="a cell is --tile T --row R --col C")
    if not options.weight and not asked and not options.output:
        raise fail("CIM0003", "nothing is asked", hint="name 'INITIALISER[index]', a cell, or -o ALL.csv")
    if options.output:
        require_suffix(options.output, (".csv", ".parquet"), "places are", "all.csv")
    keep_inputs(options, [options.output])
    program = load_program(options.program)
    _require_same(other_model(options.model, program))
    noise = noise_of(options)
    chip = Chip(program, noise) if noise else None
    answers = Answers(places(Path(options.model), program), program, _us_per_unit(program), chip)
    print("; ".join([program_text(program), *(chip_text(noise, "none")[:1] if noise else [])]))
    if options.weight:
        print("\n".join(answers.weight(options.weight)))
    if asked:
        print("\n".join(answers.cell(options.tile, options.row, options.col)))
    if options.output:
        _write(answers, options.output)
    return 0


def _require_same(difference: Difference | None) -> None:
    if difference:
        raise fail("CIM0003", f"the program was compiled from another model: {difference}", hint="give that model")


def _us_per_unit(program: Program) -> float:
    """Return the conductance of one unit of a code, in microsiemens."""
    target = target_of(program.meta["target"])
    return float(target.constants["array.g_max"]) / target.full_conductance


def _write(answers: Answers, path: str) -> None:
    if Path(path).suffix == ".csv":
        write(path, csv_text([HEAD, *answers.table()]).encode())
        return
    # pyarrow takes a moment to load, and only this file needs it
    from cimc.sweep.store import to_parquet

    write(path, to_parquet([_typed(row) for row in answers.table()], {name: _kind(name) for name in HEAD}))


def _kind(name: str) -> str:
    """Return the type in pyarrow of a column of the table of places."""
    return "string" if name in TEXTS else "float64" if name in REALS else "int64"


def _typed(row: Sequence[str]) -> dict[str, str | float | None]:
    """Return a row by column: numbers as such, None where a place has none."""
    types = {"string": str, "float64": float, "int64": int}
    return {name: types[_kind(name)](told) if told else None for name, told in zip(HEAD, row, strict=True)}
