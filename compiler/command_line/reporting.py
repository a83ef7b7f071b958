"""cimc report: range telemetry of a program as JSON or CSV."""

import argparse
import csv
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, fields
from pathlib import Path

from cimc.backends.machine import ports
from cimc.backends.noise.converters import common_range
from cimc.backends.silicon.telemetry import ColumnUse, LayerUse, Telemetry
from cimc.command_line.compensation_options import compensate
from cimc.command_line.feeding_options import feeding_of
from cimc.command_line.files import keep_inputs, write
from cimc.command_line.noise_options import noise_of
from cimc.command_line.progress import Progress
from cimc.diagnostics import fail
from cimc.driving.arrays import load_arrays
from cimc.driving.provenance import chip_text, run_facts, run_text
from cimc.driving.scoring import cores, program_inputs
from cimc.driving.tables import tabulate, terminal_width
from cimc.isa.container import load_program

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


def report_command(options: argparse.Namespace) -> int:
    keep_inputs([options.output], [options.program, options.input])
    kind = Path(options.output).suffix
    if kind not in (".json", ".csv"):
        raise fail("CIM0003", f"-o {options.output}: a report is a .json or .csv file", hint="name it report.json")
    program, feeding = load_program(options.program), feeding_of(options)
    real = program_inputs(program, load_arrays(options.input), feeding, options.input)
    codes = {port.name: ports.quantise(port, real[port.name]) for port in program.inputs}
    noise = noise_of(options)
    chip = compensate(program, options)
    telemetry = Telemetry(program, codes, noise, options.threads or cores(), chip)
    progress = Progress("layers", sum(one.name in ("mvm", "capture") for one in program.instructions))
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
    facts = {
        "samples": len(next(iter(real.values()))),
        **run_facts(program, feeding, noise, options.compensation),
        "adc": common_range(program),
        "exact_outputs_db": telemetry.outputs_db,
        "layers": [asdict(layer) for layer in layers],
    }
    write(options.output, json.dumps(facts, indent=1).encode(), b"\n")
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
    text = io.StringIO()
    columns = [field.name for field in fields(ColumnUse)]
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*LAYER_FIELDS, "conversions", *columns])
    writer.writerows(row for layer in layers for row in _rows(layer, columns))
    return text.getvalue()


def _rows(layer: LayerUse, columns: Sequence[str]) -> Iterator[list[object]]:
    for block in layer.blocks:
        facts = {**vars(layer), **vars(block)}
        for column in block.columns:
            yield [*(facts[name] for name in LAYER_FIELDS), layer.conversions, *(getattr(column, c) for c in columns)]
