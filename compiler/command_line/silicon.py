"""cimc bands and check-silicon: acceptance of measured chips (level L2)."""

import argparse
import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cimc.backends.machine import ports
from cimc.backends.machine.origin import origin
from cimc.backends.silicon.bands import ORIGIN, STATISTICS, Band, bands, differences, judged, layer_codes
from cimc.command_line.compensation_options import calibration_codes
from cimc.command_line.feeding_options import feeding_of, inputs_of
from cimc.command_line.files import keep_inputs, write
from cimc.command_line.measured_layers import other_origin
from cimc.command_line.noise_options import noise_of
from cimc.command_line.progress import Progress
from cimc.diagnostics import fail
from cimc.driving.arrays import load_arrays, to_npz
from cimc.driving.provenance import digest_text, run_facts
from cimc.driving.scoring import compensated_for
from cimc.isa.container import load_program
from cimc.isa.documents import json_value
from cimc.isa.errors import FAILED

FORMAT = 2


def bands_command(options: argparse.Namespace) -> int:
    keep_inputs(options, [options.output])
    first = noise_of(options)
    if first is None:
        raise fail("CIM0003", "bands say what noise does to chips, but there is no --noise", hint="add --noise pcm")
    program, feeding = load_program(options.program), feeding_of(options)
    real = inputs_of(program, options)
    codes = ports.codes_of(program, real)
    exact = layer_codes(program, codes)
    if not exact:
        raise fail("CIM0003", f"{options.program} has no layer on the crossbar: there is nothing to band")
    calibration = calibration_codes(program, options)
    progress, chips = Progress("chips", options.seeds), []
    for seed in range(first.seed, first.seed + options.seeds):
        noise = replace(first, seed=seed)
        chip = compensated_for(program, noise, options.compensation, calibration)
        found = layer_codes(chip, codes, noise)
        chips.append({name: differences(exact[name], found[name]) for name in exact})
        progress.at(len(chips))
    progress.done()
    facts = {
        "format": FORMAT,
        "confidence": options.confidence,
        "chips": options.seeds,
        **run_facts(program, feeding, first, options.compensation),
        "origin": origin(program, codes),
        "statistics": STATISTICS,
    }
    found_bands = bands(exact, chips, options.confidence)
    write(options.output, to_npz(_arrays(facts, found_bands)))
    if options.json:
        print(json.dumps({**facts, "layers": [_limits(band) for band in found_bands]}))
        return 0
    print(f"{len(found_bands)} layers, {options.seeds} chips: bands that {100 * options.confidence:g} % of chips meet")
    return 0


def _limits(band: Band) -> dict[str, Any]:
    """Return the limits of a layer's statistics, by name."""
    pairs = np.stack([band.low, band.high], 1).tolist()
    return {"layer": band.name, **dict(zip(STATISTICS, pairs, strict=True))}


def check_command(options: argparse.Namespace) -> int:
    facts, known = _bands(options.bands)
    measured = load_arrays(options.measured)
    _require_origin(facts["origin"], measured, options)
    present = [band for band in known if band.name in measured]
    if not present:
        names = ", ".join(band.name for band in known)
        raise fail("CIM0201", f"{options.measured} has no array of a layer", hint=f"the layers are {names}")
    verdicts = [one for band in present for one in judged(band, _shaped(band, measured[band.name], options.measured))]
    wrong = [one for one in verdicts if not one.inside]
    if options.json:
        judged_so = [{**asdict(one), "inside": one.inside} for one in verdicts]
        print(json.dumps({"ok": not wrong, **facts, "layers": len(known), "verdicts": judged_so}))
        return FAILED if wrong else 0
    which = digest_text(facts["origin"]["program"])
    for one in wrong:
        print(f"  {one}")
    if wrong:
        print(f"FAILED: {wrong[0].name} is the first layer outside its band, {which}")
        return FAILED
    share = f"{100 * facts['confidence']:g} % of chips of {facts['noise']['profile']}"
    print(f"ok: {which}, {len(present)} of {len(known)} layers measured, all within the bands that {share} meet")
    return 0


def _require_origin(wanted: dict[str, str], measured: Mapping[str, NDArray[Any]], options: argparse.Namespace) -> None:
    """Raise CimcError CIM0210 where the measured layers come from another program or other inputs."""
    if ORIGIN not in measured:
        print(f"  {options.measured} does not say what it was measured on: only its shapes are compared")
        return
    if other := other_origin(wanted, measured, options.measured, "CIM0210"):
        message = f"{options.measured} was measured with {other} than {options.bands} is for"
        raise fail("CIM0210", message, hint="run `cimc bands` with the program and inputs of the measurement")


def _arrays(facts: dict[str, Any], found: list[Band]) -> dict[str, NDArray[Any]]:
    """Return what a bands file holds: facts as JSON, names, limits, and the exact codes of each layer."""
    head = {
        "facts": np.array(json.dumps(facts)),
        "names": np.array([band.name for band in found]),
        "low": np.stack([band.low for band in found]),
        "high": np.stack([band.high for band in found]),
    }
    return {**head, **{f"exact {n}": band.exact for n, band in enumerate(found)}}


def _bands(path: str) -> tuple[dict[str, Any], list[Band]]:
    arrays = load_arrays(path)
    try:
        facts = json_value(str(arrays["facts"]), path)
        rows = zip(arrays["names"], arrays["low"], arrays["high"], strict=True)
        found = [_band(str(name), arrays[f"exact {n}"], low, high) for n, (name, low, high) in enumerate(rows)]
        if not _is_told(facts):
            raise ValueError
    except (KeyError, ValueError, TypeError):
        raise fail("CIM0205", f"{path} is no file of bands", hint="write one with `cimc bands`") from None
    return facts, found


def _band(name: str, exact: NDArray[Any], low: NDArray[Any], high: NDArray[Any]) -> Band:
    """Return a band of a file. Raises ValueError where its arrays are no codes or limits."""
    limits = np.array([low, high])
    if exact.dtype.kind not in "biu" or exact.ndim != 3 or limits.dtype.kind != "f":
        raise ValueError("codes are whole numbers over samples, vectors and columns, limits are real")
    if limits.shape != (2, len(STATISTICS)) or np.isnan(limits).any():
        raise ValueError("each statistic has two limits")
    return Band(name, exact, low, high)


def _is_told(facts: Mapping[str, Any]) -> bool:
    """Say whether the facts of a file of bands are those that its readers need."""
    wanted = facts["origin"]
    told = isinstance(facts["confidence"], float) and isinstance(facts["noise"]["profile"], str)
    placed = isinstance(wanted, dict) and all(isinstance(wanted.get(name), str) for name in ("program", "inputs"))
    return bool(facts["format"] == FORMAT and told and placed)


def _shaped(band: Band, array: NDArray[Any], path: str) -> NDArray[Any]:
    """Return a measured array in the shape of the exact codes. Raises CimcError CIM0202 and CIM0203."""
    if array.size != band.exact.size or array.dtype.kind not in "biuf":
        raise fail(
            "CIM0202",
            f"{path}: {band.name} has shape {array.shape}, the codes of {band.exact.shape} are needed",
            hint="measure the layer on the inputs that the bands were made with: samples, vectors, columns",
        )
    if not np.isfinite(array).all():
        raise fail("CIM0203", f"{path}: {band.name} holds NaN or an infinity", hint="clean the data first")
    return array.reshape(band.exact.shape)
