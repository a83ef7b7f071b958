"""cimc conformance: directed programs for a target, their inputs and traces, and what they cover."""

import argparse
import io
from pathlib import Path

from cimc.bringup.conformance import Case, cases
from cimc.bringup.tracing import Tracing
from cimc.command_line.files import writing
from cimc.driving.arrays import to_npz
from cimc.driving.tables import tabulate, terminal_width
from cimc.isa.atomic import write_files
from cimc.isa.binary import to_parts
from cimc.isa.container import load_program
from cimc.isa.coverage import covered
from cimc.targets import load_target


def conformance_command(options: argparse.Namespace) -> int:
    if options.coverage:
        found = covered(map(load_program, options.coverage))
    else:
        made = list(cases(load_target(options.target).sections()))
        if options.output:
            _write(made, Path(options.output))
        found = covered(case.program for case in made)
    print("\n".join(tabulate([("instruction", "values seen", "not seen"), *found.rows()], terminal_width())))
    return 0


def _write(made: list[Case], folder: Path) -> None:
    """Write NAME.cimb and NAME.trace of each case, and the one input of all."""
    files: dict[Path, tuple[bytes, ...]] = {folder / "input.npz": (to_npz({"x": made[0].codes["x"][None]}),)}
    for case in made:
        files[folder / f"{case.name}.cimb"] = to_parts(case.program)
        files[folder / f"{case.name}.trace"] = (_trace(case),)
    with writing(folder / "input.npz"):
        folder.mkdir(parents=True, exist_ok=True)
        write_files(files)


def _trace(case: Case) -> bytes:
    tracing, codes = Tracing(case.program), {name: array[None] for name, array in case.codes.items()}
    text = io.StringIO()
    text.write(f"{tracing.head(codes)}\n")
    text.writelines(f"{line}\n" for line in tracing.lines(codes))
    return text.getvalue().encode()
