"""cimc cost: what a program takes on its target, with bounds, and where its operations per watt went."""

import argparse
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from numpy.typing import NDArray

from cimc.backends.cost.estimate import estimate
from cimc.backends.cost.facts import facts
from cimc.backends.cost.observed import DataCounting, together
from cimc.backends.interpreter import Interpreter, on_processor
from cimc.backends.machine import ports
from cimc.command_line.feeding_options import feeding_of, inputs_of
from cimc.command_line.files import csv_text
from cimc.command_line.pricing import check_facts, check_lines, peak_facts, peak_lines, why_facts, why_lines
from cimc.diagnostics import fail
from cimc.driving.feeding import feeding_facts
from cimc.driving.measures import beside_lines, elsewhere_line, measure, unpriced_names
from cimc.driving.provenance import program_text
from cimc.driving.tables import fitting, tabulate, terminal_width
from cimc.isa.binary import program_digest
from cimc.isa.container import load_program
from cimc.isa.errors import FAILED
from cimc.isa.program import Program

Facts = Mapping[str, Any]

COUNTED = {
    "phases": "phases",
    "conversions": "conversions",
    "dig_mul": "digital multiplications",
    "act_read": "bytes read",
}
"""Counters that the table for people shows, and how it calls them."""


PLACES = ("matrix", "tiles", "use %")
"""Where a layer lies, and what its phases use of rows and ADCs; other rows have the last alone."""
LEAST = 4
"""Columns that are shown in the narrowest terminal: name, energy, share, time."""


def cost_command(options: argparse.Namespace) -> int:
    _require_csv_of_rows(options)
    if options.check:
        checked = check_facts()
        _tell(options, checked, check_lines())
        return 0 if checked["sound"] else FAILED
    if options.peak:
        found = peak_facts(options.peak)
        _tell(options, found, peak_lines(found))
        return 0
    if not options.program:
        raise fail("CIM0003", "no program to cost was named", hint="name one, or use --peak TARGET or --check")
    return _cost_of_program(options)


def _require_csv_of_rows(options: argparse.Namespace) -> None:
    """Raise CimcError CIM0003 where --csv is asked for what has no rows of counters."""
    other = next((f"--{name}" for name in ("check", "peak", "why") if getattr(options, name)), None)
    if options.csv and other:
        raise fail("CIM0003", f"--csv writes the rows of a program's costs, {other} has none", hint="use --json")


def _tell(options: argparse.Namespace, found: Facts, lines: Iterable[str]) -> None:
    print(json.dumps(found, indent=1) if options.json else "\n".join(lines))


def _cost_of_program(options: argparse.Namespace) -> int:
    program = load_program(options.program)
    data = counted(program, ports.codes_of(program, inputs_of(program, options))) if options.input else None
    cost = estimate(program, data, options.basis)
    if options.why:
        _tell(options, why_facts(cost, options.why), why_lines(cost, options.why))
        return 0
    found = facts(cost, program, options.by)
    if options.json:
        fed = feeding_facts(program, feeding_of(options)) if options.input else None
        print(json.dumps({"program": program_digest(program), "feeding": fed, **found}, indent=1))
    elif options.csv:
        sys.stdout.write(_csv(found["rows"]))
    else:
        print("\n".join(_text(found, f"{options.program}, {program_text(program)},")))
    return 0


def counted(program: Program, codes: Mapping[str, NDArray[Any]]) -> DataCounting:
    """Return what data decide of a program's work: it runs on these input codes."""
    counting = DataCounting(program)
    has_kernels = on_processor()[-1] != "numpy"
    Interpreter(program, chunk=together(program) if has_kernels else None).run(codes, counting)
    return counting


def _text(found: Facts, name: str) -> Iterator[str]:
    mean = f"the mean of {found['samples']} samples" if found["samples"] else "one sample"
    yield f"{name} on {found['target']}, {mean}; prices {found['basis']}, bounds in brackets"
    turns = "at the same time" if found["overlap"] else "one after the other"
    yield f"  time    {measure(found['time_ns'], 1e3, 'us')}, array and digital unit {turns}"
    yield f"  energy  {measure(found['energy_pj'], 1e6, 'uJ')}"
    for component, part in found["components_pj"].items():
        if part["value"]:
            yield f"    {component:8} {measure(part, 1e6, 'uJ')}"
    yield from (f"  {line}" for line in beside_lines(found))
    yield ""
    yield from _waterfall(found)
    yield ""
    yield from _table(found)
    yield ""
    yield f"  not modelled, as {found['target']} has no price for it: {', '.join(unpriced_names(found))}"
    yield from _why_wide(found)


def _waterfall(found: Facts) -> Iterator[str]:
    if not found["waterfall"]:
        yield "  no phase of the array has a price: nothing can be said of operations per watt"
        return
    yield f"  {found['peak_tops_per_w']:8.4g} TOPS/W  peak: every row and every ADC of a tile at work"
    for fall in found["waterfall"]:
        yield f"  {fall['tops_per_w']:8.4g}         {fall['step']} x {fall['factor']:.4g}: {fall['because']}"
        if "advice" in fall:
            yield f"{'':19}{fall['advice']}"
    chip = found["chip_tops_per_w"]
    yield f"  {chip['value']:8.4g} TOPS/W  chip: {measure(chip, 1, 'TOPS/W')}, of what is priced, nothing else"
    if found["elsewhere"]:
        yield f"{'':19}{elsewhere_line(found['elsewhere'])}"


def _table(found: Facts) -> list[str]:
    """Return a line for each row that takes energy or time, dearest first; counters give way in a narrow terminal."""
    rows, width = _cells(found), terminal_width()
    shown = fitting(rows, width, LEAST)
    table, missing = tabulate([row[:shown] for row in rows], width), rows[0][shown:]
    return [*table, f"  no room for {', '.join(missing)}: --csv and --json have all"] if missing else table


def _cells(found: Facts) -> list[list[str]]:
    """Return the heads of the table, and its rows."""
    places = PLACES if found["by"] == "layer" else PLACES[-1:]
    rows = [[found["by"], "energy nJ", "share %", "time us", *places, *COUNTED.values()]]
    dear = [row for row in found["rows"] if row["energy_pj"]["value"] or row["time_ns"]["value"]]
    for row in sorted(dear, key=lambda row: -float(row["energy_pj"]["value"])):
        measures = (row["energy_pj"]["value"] / 1e3, 100 * row["share"], row["time_ns"]["value"] / 1e3)
        counts = (str(row[name]) for name in COUNTED)
        rows.append([row["name"], *(f"{one:.2f}" for one in measures), *_place(row), *counts])
    return rows


def _place(row: Facts) -> Iterator[str]:
    """Yield where a layer lies and how full the phases of a row are, blank where there are none."""
    if "matrix" in row:
        yield row["matrix"]
        yield str(row["tiles"] or "")
    yield "" if row["use"] is None else f"{100 * row['use']:.2f}"


def _csv(rows: Sequence[Facts]) -> str:
    """Return one line a row: name, time and energy with bounds, share, every counter."""
    flat = [_flat(row) for row in rows]
    return csv_text([flat[0] if flat else (), *(row.values() for row in flat)])


def _flat(row: Facts) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in row.items():
        if isinstance(value, Mapping):
            flat |= {key if name == "value" else f"{key}_{name}": part for name, part in value.items()}
        else:
            flat[key] = value
    return flat


def _why_wide(found: Facts) -> Iterator[str]:
    """Yield which constants make up most of the width of the bounds."""
    constants = {one["name"]: one for one in found["constants"]}
    for wide in found["bounds_from"]:
        one = constants[wide["name"]]
        within = f"{one['low']:.4g} .. {one['high']:.4g} {one['unit']}"
        yield f"  {100 * wide['share']:.0f} % of the bounds' width: {one['name']}, {one['source']}, {within}"
