"""The options of run and eval that fight drift: --compensation, --calib and --calib-limit."""

import argparse
from dataclasses import replace
from typing import TYPE_CHECKING

from cimc.backends.silicon.compensation_mode import MODES
from cimc.command_line.numbers import count
from cimc.diagnostics import fail

if TYPE_CHECKING:
    from cimc.backends.noise.sources import Noise
    from cimc.driving.scoring import Arrays as Codes
    from cimc.isa.program import Program

CHOICES = (*MODES, "refit")
REFIT_SAMPLES = 64


def add_compensation_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that choose how a program makes up for drift."""
    group = parser.add_argument_group("compensation")
    group.add_argument(
        "--compensation",
        choices=CHOICES,
        default="column",
        help="drift factors of the program: none, one per block, one per column (default); refit: gain and offset of "
        "every column fitted on the noisy chip as well",
    )
    group.add_argument("--calib", metavar="DATA.npz", help="inputs, without labels, that refit reads")
    group.add_argument(
        "--calib-limit",
        type=count,
        default=REFIT_SAMPLES,
        metavar="N",
        help=f"first N of them (default {REFIT_SAMPLES})",
    )


def compensate(program: "Program", options: argparse.Namespace, noise: "Noise | None") -> "Program":
    """Return the program as it runs on a chip under the chosen compensation. Raises CimcError CIM0003."""
    from cimc.driving.scoring import compensated_for

    return compensated_for(program, noise, options.compensation, calibration_codes(program, options))


def calibration_codes(program: "Program", options: argparse.Namespace) -> "Codes | None":
    """Return the input codes that refit reads, None for the other compensations. Raises CimcError CIM0003."""
    if options.compensation != "refit":
        return None
    if options.noise is None and options.chip is None:
        raise fail("CIM0003", "--compensation refit needs a noisy chip", hint="add --noise pcm --time 1d, or --chip")
    if options.calib is None:
        raise fail("CIM0003", "--compensation refit needs inputs to refit on", hint="add --calib DATA.npz (no labels)")
    from cimc.backends.machine import ports
    from cimc.command_line.feeding_options import feeding_of
    from cimc.driving.arrays import load_arrays
    from cimc.driving.scoring import program_inputs

    feeding = replace(feeding_of(options), limit=options.calib_limit)
    real = program_inputs(program, load_arrays(options.calib), feeding, options.calib)
    return ports.codes_of(program, real)
