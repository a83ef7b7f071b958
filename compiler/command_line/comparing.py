"""cimc compare: what a program loses against the float model, tensor by tensor, as a table, JSON or CSV."""

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from cimc.backends.interpreter import Interpreter
from cimc.backends.noise.sources import Noise
from cimc.command_line.compensation_options import compensate
from cimc.command_line.feeding_options import feeding_of, inputs_of
from cimc.command_line.files import csv_text, keep_inputs, require_suffix, write
from cimc.command_line.noise_options import noise_of
from cimc.command_line.progress import Progress
from cimc.driving.provenance import chip_text, run_facts, run_text
from cimc.driving.scoring import samples_of
from cimc.driving.tables import tabulate, terminal_width
from cimc.isa.container import load_program
from cimc.isa.errors import FAILED
from cimc.isa.program import Program
from cimc.proof.layer_losses import Comparison, LayerLoss
from cimc.proof.verdict import recompiled

HEADS = (
    *("layer", "tensor", "unit", "accumulated dB", "alone dB", "largest error", "mean error"),
    *("beyond range %", "codes used", "clips"),
)


def compare_command(options: argparse.Namespace) -> int:
    keep_inputs(options, [options.output])
    if options.output:
        require_suffix(options.output, (".json", ".csv"), "a report is", "report.json")
    program = load_program(options.program)
    compilation, difference = recompiled(options.model, program)
    if compilation is None or difference:
        print(f"FAILED: {options.program} is not what {options.model} compiles to\n  {difference}")
        return FAILED
    inputs = inputs_of(program, options)
    noise = noise_of(options)
    chip = Interpreter(compensate(program, options, noise), noise=noise)
    losses = _losses(Comparison(options.model, compilation), inputs, chip)
    print("\n".join(_table(losses)))
    print(run_text(program, feeding_of(options), chip_text(noise, options.compensation)))
    if options.output:
        write(options.output, _report(options, program, noise, losses, samples_of(inputs)).encode())
    return 0


def _losses(comparison: Comparison, inputs: dict[str, Any], chip: Interpreter) -> list[LayerLoss]:
    progress, found = Progress("comparing", len(comparison.labels)), []
    for loss in comparison.losses(inputs, chip):
        found.append(loss)
        progress.at(len(found))
    progress.done()
    return found


def _table(losses: Sequence[LayerLoss]) -> list[str]:
    return tabulate([HEADS, *map(_row, losses)], terminal_width())


def _row(loss: LayerLoss) -> tuple[str, ...]:
    ratios = (_shown(loss.float_accumulated_db), _shown(loss.float_sensitivity_db))
    errors = (f"{loss.largest_error:.4g}", f"{loss.mean_error:.4g}", _shown(100 * loss.beyond_share))
    used = (f"{loss.codes_used} of {loss.codes}", str(loss.clips))
    return (loss.layer or "-", loss.tensor, loss.unit, *ratios, *errors, *used)


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


def _report(
    options: argparse.Namespace, program: Program, noise: Noise | None, losses: Sequence[LayerLoss], samples: int
) -> str:
    if Path(options.output).suffix == ".csv":
        return _csv(losses)
    facts = {"samples": samples, **run_facts(program, feeding_of(options), noise, options.compensation)}
    return json.dumps({**facts, "layers": [asdict(loss) for loss in losses]}, indent=1) + "\n"


def _csv(losses: Sequence[LayerLoss]) -> str:
    return csv_text([[field.name for field in fields(LayerLoss)], *(asdict(loss).values() for loss in losses)])
