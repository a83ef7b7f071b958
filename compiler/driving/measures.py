"""Measures with bounds as people read them: to the digits that the bounds leave."""

from collections.abc import Iterator, Mapping
from math import floor, log10
from typing import Any

from cimc.backends.cost.counters import DATA
from cimc.backends.cost.estimate import EVERY

Measure = Mapping[str, float]

WORK = {
    "dig_mul": "multiplications",
    "dig_add": "additions",
    "dig_table": "look-ups",
    "dig_div": "divisions and roots",
    "requant": "requantisations",
    "act_read": "activations read",
    "act_write": "activations written",
    "const_read": "constants read",
    "issued": "instructions issued",
    "conversions": "conversions",
    "row_on": "DACs",
    "pulse": "pulses of inputs",
    "charge": "charge through cells",
}
"""Counter that a target may have no price for -> what people call it."""

MOST_DIGITS = 4


def measure(part: Measure, unit: float, name: str) -> str:
    """Return a value with its bounds in a unit so many times larger, to the second digit of what lies between them."""
    value, low, high = (part[key] / unit for key in ("value", "low", "high"))
    if low == high:
        return f"{value:.{MOST_DIGITS}g} {name}"
    places = _places(value, high - low)
    return f"{value:.{places}f} {name} ({low:.{places}f} .. {high:.{places}f})"


def plain(value: float) -> str:
    """Return a number to four digits, and no power of ten where it is large."""
    text = f"{value:.{MOST_DIGITS}g}"
    return f"{float(text):,.0f}" if "e+" in text else text


def _places(value: float, width: float) -> int:
    """Return the decimal places that show two digits of a width, and no more than four of a value."""
    most = MOST_DIGITS - 1 - (floor(log10(abs(value))) if value else 0)
    return max(min(1 - floor(log10(width)), most), 0)


def beside_lines(found: Mapping[str, Any]) -> Iterator[str]:
    """Yield what there is beside time and energy of a sample: power, area, what is paid once, what data drove."""
    if found["power_mw"]:
        yield f"power   {measure(found['power_mw'], 1, 'mW')}, samples one after another"
    if found["area_mm2"]:
        yield f"area    {measure(found['area_mm2'], 1, 'mm2')}: {_parts(found['areas_mm2'])}"
    yield f"once    {_once(found['once'])}"
    if found["driven"]:
        shares = " %, ".join(f"{name} {100 * share:.1f}" for name, share in found["driven"].items())
        yield f"data    {shares} % of all that could be"


def unpriced_names(found: Mapping[str, Any]) -> list[str]:
    """Return what a total leaves out, in words; what has a price and was not counted is said to want inputs."""
    priced = {one["name"] for one in found["constants"] if "value" in one}
    uncounted = [name for name in DATA if EVERY.get(name) in priced and not found["samples"]]
    return [WORK.get(name, name) + " (needs --input)" * (name in uncounted) for name in found["not_modelled"]]


def elsewhere_line(other: Mapping[str, Any]) -> str:
    """Return what another target would make of the same layers."""
    tile = f"{other['rows']} rows and {other['converters']} ADCs a tile"
    return f"{other['target']}, of {tile}: {other['tops_per_w']:.2g} TOPS/W (chip) with the same layers"


def _parts(areas: Mapping[str, Measure | None]) -> str:
    """Return what each part of a chip takes, or the one part that has an area."""
    known = {part: one for part, one in areas.items() if one}
    if len(known) == 1:
        return f"all {next(iter(known))}"
    return ", ".join(f"{part} {one['value']:.3g}" for part, one in known.items())


def _once(once: Mapping[str, Any]) -> str:
    """Return what is done before the first sample, and what it takes where that is priced."""
    parts = [f"{once['programmed']} cells programmed", f"{once['cal_products']} products of drift calibration"]
    if once["energy_pj"]:
        parts.append(measure(once["energy_pj"], 1e6, "uJ"))
    if once["time_ns"]:
        parts.append(measure(once["time_ns"], 1e6, "ms"))
    if once["samples_worth"] is not None:
        parts.append(f"as much energy as {once['samples_worth']:.4g} samples")
    return ", ".join(parts)


def one_line(summary: Mapping[str, Any]) -> str:
    """Return what a program takes in one line: time, energy, rate, efficiency, and what costs most of it."""
    parts = [measure(summary["time_ns"], 1e3, "us"), measure(summary["energy_pj"], 1e6, "uJ")]
    if summary["samples_per_s"]:
        parts.append(f"{plain(summary['samples_per_s'])} inferences/s")
    if summary["chip_tops_per_w"]["value"]:
        parts.append(f"chip {measure(summary['chip_tops_per_w'], 1, 'TOPS/W')}")
    if summary["first_loss"]:
        parts.append(f"most is lost to {summary['first_loss']}")
    return ", ".join(parts)
