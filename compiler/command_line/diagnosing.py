"""cimc diagnose and twin: what is wrong with a measured chip, and a chip from its codes alone."""

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from cimc.backends.machine import ports
from cimc.backends.machine.origin import origin
from cimc.backends.noise.chip import Chip
from cimc.backends.noise.profiles import load_profile
from cimc.backends.noise.sources import Noise
from cimc.backends.noise.table import DEFAULTS
from cimc.backends.silicon.bands import ORIGIN
from cimc.backends.silicon.compensation_mode import compensated
from cimc.backends.silicon.diagnosis import Deviations, Diagnosis, Verdict, diagnosis, judge_of
from cimc.backends.silicon.layer_equations import Equations, layer_equations
from cimc.backends.silicon.twin import ColumnEstimate, twin
from cimc.command_line.chips import snapping_text
from cimc.command_line.feeding_options import inputs_of
from cimc.command_line.files import csv_text, keep_inputs, require_suffix, write
from cimc.command_line.measured_layers import other_origin
from cimc.command_line.programs import program_of
from cimc.diagnostics import fail
from cimc.driving.arrays import load_arrays, to_npz
from cimc.driving.chip_files import chip_arrays, load_chip
from cimc.driving.durations import seconds, written
from cimc.driving.provenance import SHORT, program_text
from cimc.isa.binary import program_digest
from cimc.isa.errors import FAILED
from cimc.isa.program import Program

Arrays = Mapping[str, NDArray[Any]]


def diagnose_command(options: argparse.Namespace) -> int:
    """Tell of every fault; exit status 1 where there is one."""
    keep_inputs(options, [options.output])
    if options.output:
        require_suffix(options.output, (".json", ".csv"), "verdicts are", "verdicts.json")
    program = program_of(options)
    chip = load_chip(options.chip, program)
    judge = _judge(chip, options)
    equations = _equations(program, options, Noise.of_chip(chip)) if options.measured else None
    found = diagnosis(program, chip, judge, equations)
    facts = {"program": program_digest(program), "chip": chip.digest, **_facts(found, judge)}
    which = f"{program_text(program)}; measured chip {chip.digest[:SHORT]}"
    print(json.dumps(facts) if options.json else "\n".join([which, *_told(found, judge)]))
    if options.output:
        write(options.output, _verdicts(found, facts, Path(options.output).suffix).encode())
    return FAILED if any(found.faults.values()) else 0


def _judge(chip: Chip, options: argparse.Namespace) -> Noise:
    """Return the noise that healthy devices have: that of --noise, or of the chip's own profile."""
    known = judge_of(chip)
    if options.noise is not None:
        return Noise(load_profile(options.noise), time_s=chip.read_s, sources=frozenset({*DEFAULTS, "adc"}))
    if known is None:
        hint = "add --noise pcm, or the profile of your devices"
        raise fail("CIM0003", f"{options.chip} names no profile to judge its devices by", hint=hint)
    return known


def _equations(program: Program, options: argparse.Namespace, noise: Noise | None) -> Iterator[Equations]:
    """Return what the measured codes say of columns. Raises CimcError CIM0003, CIM0535 and those of data files."""
    if not options.input:
        hint = "add --input X.npz, the data that the chip ran on"
        raise fail("CIM0003", "--measured are codes of inputs, but there is no --input", hint=hint)
    codes, measured = ports.codes_of(program, inputs_of(program, options)), load_arrays(options.measured)
    _require_origin(program, codes, measured, options.measured)
    layers = {name: measured[name] for name in measured if measured[name].dtype.kind in "iu"}
    return layer_equations(compensated(program, options.compensation), codes, layers, noise)


def _require_origin(program: Program, codes: Arrays, measured: Arrays, path: str) -> None:
    """Raise CimcError CIM0216 where measured layers say that they come from another program or other inputs."""
    if ORIGIN not in measured:
        return
    if other := other_origin(origin(program, codes), measured, path, "CIM0216"):
        hint = "give program, input and --limit of the measurement"
        raise fail("CIM0216", f"{path} was measured with {other}", hint=hint)


def _told(found: Diagnosis, judge: Noise) -> Iterator[str]:
    for tile, faults in found.faults.items():
        for fault in faults:
            other, weight = fault.second
            ahead = f"confidence {fault.confidence:.4f}, {fault.weight - weight:.0f} nats ahead of {other}"
            yield f"tile {tile}: {fault.kind}, {fault.place} ({len(fault.columns)} columns): {ahead}"
    causes = [one for one in found.verdicts if one.cause != "healthy"]
    good = f"chips of {judge.profile.name} after {written(judge.time_s)}"
    if not causes:
        yield f"ok: {len(found.verdicts)} columns are as those of {good}"
        return
    yield f"FAILED: {len(causes)} of {len(found.verdicts)} columns are not as those of {good}"
    won = sum(one.refit_wins for one in causes) / len(causes)
    yield f"a refit wins back {100 * won:.0f} % of what they are off by (mean square)"


def _facts(found: Diagnosis, judge: Noise) -> dict[str, Any]:
    faults = [
        {
            "tile": tile,
            "kind": fault.kind,
            "place": fault.place,
            "columns": fault.columns,
            "confidence": fault.confidence,
            "second": fault.second[0],
            "margin": fault.weight - fault.second[1],
        }
        for tile, each in found.faults.items()
        for fault in each
    ]
    about = {"profile": judge.profile.name, "seconds": judge.time_s, "columns": len(found.verdicts)}
    return {"ok": not faults, **about, "faults": faults}


def _verdicts(found: Diagnosis, facts: Mapping[str, Any], kind: str) -> str:
    """Return faults, verdicts and the deviation of every cell in use as JSON, or a line for each column as CSV."""
    if kind == ".csv":
        rows = (asdict(one).values() for one in found.verdicts)
        return csv_text([[field.name for field in fields(Verdict)], *rows])
    maps = {tile: _map(off) for tile, off in found.deviations.items()}
    return json.dumps({**facts, "verdicts": [asdict(one) for one in found.verdicts], "deviations": maps}) + "\n"


def _map(off: Deviations) -> dict[str, Any]:
    scores = [[_number(one) for one in row] for row in off.scores.tolist()]
    return {"rows": off.rows.tolist(), "columns": off.columns.tolist(), "scores": scores}


def _number(value: float) -> float | None:
    return None if value != value else round(float(value), 3)


def twin_command(options: argparse.Namespace) -> int:
    keep_inputs(options, [options.output])
    program, profile = program_of(options), load_profile(options.noise) if options.noise else None
    found = twin(program, _equations(program, options, None), seconds(options.time))
    chip = found.chip if profile is None else replace(found.chip, profile=profile, sources=frozenset(DEFAULTS))
    write(options.output, to_npz(chip_arrays(chip)))
    if options.json:
        facts = {"program": program_digest(program), "chip": chip.digest}
        print(json.dumps({**facts, "columns": [asdict(one) for one in found.columns]}))
        return 0
    print(f"{program_text(program)}; chip {chip.digest[:SHORT]}")
    print("\n".join(_identified(found.columns)))
    print(snapping_text(chip))
    return 0


def _identified(columns: Sequence[ColumnEstimate]) -> Iterator[str]:
    """Yield how many columns are identified, and each that is not, those of one reason and layer together."""
    open_ = [one for one in columns if one.reason]
    yield f"{len(columns) - len(open_)} of {len(columns)} columns are identified"
    for layer, reason in dict.fromkeys((one.layer, one.reason) for one in open_):
        which = [f"{one.tile}:{one.column}" for one in open_ if (one.layer, one.reason) == (layer, reason)]
        yield f"  {layer}: {reason}: columns {', '.join(which)} (tile:column)"
