"""cimc report: all of a program as a page, or range telemetry as JSON or CSV."""

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from cimc.backends.cost.estimate import estimate
from cimc.backends.cost.facts import facts
from cimc.backends.cost.schedule import schedule
from cimc.backends.machine import ports
from cimc.backends.noise.converters import common_range
from cimc.backends.noise.sources import Noise
from cimc.backends.silicon.diagnosis import Diagnosis, diagnosis, judge_of
from cimc.backends.silicon.telemetry import ColumnUse, LayerUse, Telemetry
from cimc.command_line.compensation_options import compensate
from cimc.command_line.costing import counted
from cimc.command_line.feeding_options import feeding_of, inputs_of
from cimc.command_line.files import csv_text, keep_inputs, require_suffix, write
from cimc.command_line.noise_options import noise_of
from cimc.command_line.progress import Progress
from cimc.diagnostics import fail
from cimc.driving.feeding import feeding_text
from cimc.driving.json_files import read_json
from cimc.driving.provenance import chip_text, program_text, run_facts, run_text
from cimc.driving.scoring import cores, samples_of
from cimc.driving.tables import tabulate, terminal_width
from cimc.isa.container import load_program
from cimc.isa.program import Program
from cimc.report.page import Told, page

LAYER_FIELDS = (
    *(
        "instruction",
        "layer",
        "clipped_share",
        "range_share",
        "conductance_share",
        "exact_sensitivity_db",
        "exact_accumulated_db",
    ),
    *("block", "tile", "row", "rows"),
)
SHOWN = ("clipped_share", "range_share", "conductance_share", "exact_sensitivity_db", "exact_accumulated_db")

JSON_HINT = "give what `cimc eval --json` or `cimc compare -o X.json` wrote"


def report_command(options: argparse.Namespace) -> int:
    keep_inputs(options, [options.output])
    kind = require_suffix(options.output, (".html", ".json", ".csv"), "a report is", "report.html")
    if kind == ".html":
        return _page(options)
    if not options.input or options.eval or options.compare:
        message = f"-o {options.output} tells what inputs do to the ADCs, and nothing of scores or losses"
        hint = "give --input X.npz without --eval and --compare, or name it report.html"
        raise fail("CIM0003", message, hint=hint)
    return _telemetry(options, kind)


def _page(options: argparse.Namespace) -> int:
    """Write the page; with inputs it counts what data decide, and tells of the ADCs."""
    program = load_program(options.program)
    scores, losses = (_object(path) if path else None for path in (options.eval, options.compare))
    codes = ports.codes_of(program, inputs_of(program, options)) if options.input else None
    cost = estimate(program, None if codes is None else counted(program, codes))
    noise = noise_of(options)
    use = [] if codes is None else list(_observed(program, codes, options, noise).layers())
    name, costs = Path(options.program).name, facts(cost, program, "layer")
    fed = [feeding_text(program, feeding_of(options))] if codes else []
    chip = chip_text(noise, options.compensation) if codes or noise else []
    origin = "; ".join([program_text(program), *fed, *chip])
    told = Told(name, origin, program, costs, schedule(cost, program), use, scores, losses, _diagnosed(program, noise))
    write(options.output, page(told).encode())
    return 0


def _diagnosed(program: Program, noise: Noise | None) -> Diagnosis | None:
    """Return what is wrong with the measured chip, None without one, or where it names no profile to judge it by."""
    judge = judge_of(noise.chip) if noise and noise.chip else None
    return diagnosis(program, noise.chip, judge) if noise and noise.chip and judge else None


def _object(path: str) -> dict[str, Any]:
    """Return the object of a JSON file. Raises CimcError CIM0201."""
    found = read_json(path, "CIM0201", JSON_HINT)
    if not isinstance(found, dict):
        raise fail("CIM0201", f"{path} is not a JSON object", hint=JSON_HINT)
    return found


def _observed(
    program: Program, codes: Mapping[str, NDArray[Any]], options: argparse.Namespace, noise: Noise | None
) -> Telemetry:
    return Telemetry(program, codes, noise, options.threads or cores(), compensate(program, options, noise))


def _telemetry(options: argparse.Namespace, kind: str) -> int:
    """Write what inputs do to the ADCs as JSON or CSV."""
    program, feeding = load_program(options.program), feeding_of(options)
    real = inputs_of(program, options)
    noise = noise_of(options)
    telemetry = _observed(program, ports.codes_of(program, real), options, noise)
    progress = Progress("layers", sum(one.spec.is_product for one in program.instructions))
    layers = []
    for layer in telemetry.layers():
        layers.append(layer)
        progress.at(len(layers))
    progress.done()
    print("\n".join(_table(layers)))
    print(run_text(program, feeding, chip_text(noise, options.compensation)))
    if kind == ".csv":
        write(options.output, _csv(layers).encode())
        return 0
    whole = {
        "samples": samples_of(real),
        **run_facts(program, feeding, noise, options.compensation),
        "adc": common_range(program),
        "exact_outputs_db": telemetry.outputs_db,
        "layers": [asdict(layer) for layer in layers],
    }
    write(options.output, json.dumps(whole, indent=1).encode(), b"\n")
    return 0


def _table(layers: Sequence[LayerUse]) -> list[str]:
    """Return one line a layer: shares in %, ratios in dB."""
    rows = [["layer", "clipped %", "ADC range %", "conductance %", "alone to exact dB", "accumulated to exact dB"]]
    for layer in layers:
        values = (getattr(layer, key) for key in SHOWN)
        rows.append([layer.layer, *(_shown(value, 100 if n < 3 else 1) for n, value in enumerate(values))])
    return tabulate(rows, terminal_width())


def _shown(value: float | None, factor: int) -> str:
    return "-" if value is None else f"{factor * value:.2f}"


def _csv(layers: Sequence[LayerUse]) -> str:
    """Return one line for each ADC column of each block, with its layer's facts."""
    columns = [field.name for field in fields(ColumnUse)]
    return csv_text(
        [[*LAYER_FIELDS, "conversions", *columns], *(row for layer in layers for row in _rows(layer, columns))]
    )


def _rows(layer: LayerUse, columns: Sequence[str]) -> Iterator[list[object]]:
    for block in layer.blocks:
        facts = {**vars(layer), **vars(block)}
        for column in block.columns:
            yield [*(facts[name] for name in LAYER_FIELDS), layer.conversions, *(getattr(column, c) for c in columns)]
