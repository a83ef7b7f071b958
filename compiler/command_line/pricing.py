"""What `cimc cost` says beside a program's own costs: peaks, the terms of a sum, and the validation."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from fractions import Fraction
from typing import Any

from cimc.backends.cost.estimate import Estimate
from cimc.backends.cost.facts import bounded
from cimc.backends.cost.validation.page import TABLE, all_rows, cells
from cimc.backends.cost.validation.row import FAILS
from cimc.backends.cost.waterfall import peak, peak_rate, per
from cimc.backends.cost.why import terms
from cimc.diagnostics import fail
from cimc.driving.measures import measure
from cimc.driving.tables import tabulate, terminal_width
from cimc.isa.names import did_you_mean
from cimc.targets import Target, built_in_names, load_target
from cimc.targets.areas import area
from cimc.targets.macro import Macro, is_macro, load_macro, macro_names
from cimc.targets.prices import Interval

PEAK, WHY, CHECK = "cimc-peak 1", "cimc-why 1", "cimc-check 1"
"""Formats of what is told as JSON."""
TERA = Fraction(1, 1000)
"""TOPS in an operation per ns."""


def peak_facts(name: str) -> dict[str, Any]:
    """Return what a target or a macro does at its peak, each by name or file, None where there is no price.

    Raises CimcError CIM0001, CIM0301, CIM0302.
    """
    if is_macro(name):
        return _macro_facts(load_macro(name))
    _require_known(name)
    return _target_facts(load_target(name))


def _require_known(name: str) -> None:
    """Raise CimcError CIM0302 where a name is no target's, nor that of a file with one: macros have a peak as well."""
    known = [*built_in_names(), *macro_names()]
    base = name.partition(",")[0]
    if base not in known and not base.endswith(".toml"):
        hint = did_you_mean(base, known, f"known: {', '.join(known)}")
        raise fail("CIM0302", f"there is no target or macro named {base!r}", hint=hint)


def _target_facts(target: Target) -> dict[str, Any]:
    chip = {"name": target.name, "summary": target.summary, "compiles": True, "tiles": target.tiles}
    room = _room(peak_rate(target), area(target))
    return {"format": PEAK, **chip, **_peaks(peak_rate(target), peak(target)), **room}


def _macro_facts(macro: Macro) -> dict[str, Any]:
    done, macros = macro.full(), int(macro.constants["array.macros"])
    rate, efficiency = per(macro.operations * macros, macro.time_ns(done)), per(macro.operations, macro.energy_pj(done))
    chip = {"name": macro.name, "summary": macro.summary, "compiles": False, "tiles": macros}
    return {"format": PEAK, **chip, **_peaks(rate, efficiency), **_room(rate, macro.area_mm2)}


def _room(rate: Interval, taken: Interval | None) -> dict[str, Any]:
    """Return an area and the TOPS in a mm2 of it, None for what is not known."""
    density = rate.times(TERA) / taken if taken and taken.low and rate.value else None
    return {"area_mm2": taken and bounded(taken), "tops_per_mm2": density and bounded(density)}


def _peaks(rate: Interval, efficiency: Interval) -> dict[str, Any]:
    """Return operations per ns and per pJ as TOPS and TOPS/W, None for either that is not known."""
    known = {"peak_tops": rate.times(TERA), "peak_tops_per_w": efficiency}
    return {name: bounded(interval) if interval.value else None for name, interval in known.items()}


def peak_lines(found: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is known of a peak."""
    apart = "" if found["compiles"] else "priced only, nothing compiles for it"
    yield f"{found['name']}: {'; '.join(filter(None, (found['summary'], apart)))}"
    if not found["peak_tops_per_w"]:
        yield "  no phase of the array has a price"
        return
    rate = measure(found["peak_tops"], 1, "TOPS") if found["peak_tops"] else "no time is published"
    yield f"  peak {_whose(found)}  {rate}, {measure(found['peak_tops_per_w'], 1, 'TOPS/W')}"
    if found["tops_per_mm2"]:
        yield f"  area {measure(found['area_mm2'], 1, 'mm2')}, {measure(found['tops_per_mm2'], 1, 'TOPS/mm2')}"


def _whose(found: Mapping[str, Any]) -> str:
    if not found["compiles"]:
        return "with every row at work"
    number = found["tiles"]
    tiles = "a tile" if number is None else f"{number} tile{'s' * (number > 1)}"
    return f"of {tiles}, every row and ADC at work"


def why_facts(estimate: Estimate, what: str) -> dict[str, Any]:
    """Return the terms of an energy, largest first."""
    found = [asdict(term) | {"energy_pj": bounded(term.energy)} for term in terms(estimate, what)]
    return {"format": WHY, "energy": what, "terms": [{k: v for k, v in one.items() if k != "energy"} for one in found]}


def why_lines(estimate: Estimate, what: str) -> list[str]:
    """Return the terms of an energy as a table, largest first."""
    heads = ["counter", "number", "price", "each", "source", "energy nJ", "lowest", "highest"]
    rows = [
        [
            term.counter,
            f"{term.count:g}",
            term.price,
            f"{term.value:g} {term.unit}",
            term.source,
            *(f"{float(part) / 1000:.3f}" for part in (term.energy.value, term.energy.low, term.energy.high)),
        ]
        for term in terms(estimate, what)
    ]
    return tabulate([heads, *rows], terminal_width())


def check_facts() -> dict[str, Any]:
    """Return the rows of the validation with every figure; `sound` says whether each is as it should be."""
    rows = all_rows()
    sound = all(row.verdict != FAILS for row in rows)
    return {"format": CHECK, "sound": sound, "rows": [asdict(row) | {"verdict": row.verdict} for row in rows]}


def check_lines() -> list[str]:
    """Return the rows of the validation as a table."""
    return tabulate([TABLE, *map(cells, all_rows())], terminal_width())
