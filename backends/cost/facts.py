"""The facts of an estimate as plain values: what text, JSON and CSV all print."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from fractions import Fraction
from typing import Any

from cimc.backends.cost.counters import Counters
from cimc.backends.cost.counting import total
from cimc.backends.cost.estimate import COMPONENTS, EACH, Charge, Estimate, charge
from cimc.backends.cost.waterfall import efficiency, peak, waterfall
from cimc.isa.program import Program
from cimc.targets.prices import Interval, constant, summed
from cimc.targets.schema import CONSTANTS
from cimc.targets.target import Target

FORMAT = "cimc-cost 1"
BASIS = "published"
"""Prices fitted to what a chip's makers publish; a sum of component models would be another basis."""
WIDTH_TOLD = 0.9
"""Constants are named until they make up this share of the bounds' width."""
PRICED = ("timing.phase", "energy.array_power", "energy.product_fixed", "energy.idle_rows", "digital.cycle")

Key = Callable[[int, Program], str]

GROUPS: Mapping[str, Key] = {
    "layer": lambda index, program: ", ".join(program.locations[index]),
    "instruction": lambda index, program: f"{index} {program.instructions[index].name}",
}
"""What the rows of a table may stand for -> the name of the row that an instruction belongs to."""


def facts(estimate: Estimate, program: Program, by: str) -> dict[str, Any]:
    """Return everything that is known of a program's cost, for one sample: ns, pJ, TOPS/W; bounds beside values."""
    counted = total(one.counters for one in estimate.charges)
    return {
        "format": FORMAT,
        "target": estimate.target.name,
        "basis": BASIS,
        "time_ns": bounded(estimate.time_ns),
        "energy_pj": bounded(estimate.energy_pj),
        "chip_tops_per_w": bounded(efficiency(estimate)),
        "peak_tops_per_w": float(peak(estimate)) if estimate.component("array").value else None,
        "components_pj": {name: bounded(estimate.component(name)) for name in COMPONENTS},
        "counters": counted.to_json(),
        "waterfall": [
            {"step": fall.name, "factor": float(fall.factor), "tops_per_w": float(fall.left), "because": fall.fact}
            for fall in waterfall(estimate)
        ],
        "not_modelled": list(estimate.missing),
        "bounds_from": [{"name": key, "share": share} for key, share in widening(estimate)],
        "constants": [_constant(estimate.target, key) for key in (*PRICED, *EACH.values())],
        "by": by,
        "rows": [_row(name, charges, estimate.energy_pj) for name, charges in grouped(estimate, program, by).items()],
    }


def grouped(estimate: Estimate, program: Program, by: str) -> dict[str, list[Charge]]:
    """Return the charges of each row, in program order; what does nothing that is counted has none."""
    rows: dict[str, list[Charge]] = {}
    for index, one in enumerate(estimate.charges):
        if any(one.counters.values()[1:]):
            rows.setdefault(GROUPS[by](index, program), []).append(one)
    return rows


def widening(estimate: Estimate) -> list[tuple[str, float]]:
    """Return the constants that widen the bounds of the energy, widest first, and by what share: 90 % of the width."""
    work = total(one.counters for one in estimate.charges)
    whole, found = _width(estimate.target, work), []
    for key in (key for key in (*PRICED, *EACH.values()) if key in estimate.target.constants):
        value = float(estimate.target.constants[key])
        certain = replace(estimate.target, bounds={**estimate.target.bounds, key: (value, value)})
        found.append((key, float((whole - _width(certain, work)) / whole) if whole else 0.0))
    found.sort(key=lambda pair: -pair[1])
    told = [sum(share for _, share in found[:n]) for n in range(len(found))]
    return [pair for pair, before in zip(found, told, strict=True) if pair[1] > 0 and before < WIDTH_TOLD]


def _width(target: Target, work: Counters) -> Fraction:
    energy = charge(target, work).energy_pj
    return energy.high - energy.low


def bounded(interval: Interval) -> dict[str, float]:
    return {"value": float(interval.value), "low": float(interval.low), "high": float(interval.high)}


def _row(name: str, charges: Iterable[Charge], whole: Interval) -> dict[str, Any]:
    charges = list(charges)
    counted = total(one.counters for one in charges)
    energy = summed(one.energy_pj for one in charges)
    return {
        "name": name,
        "time_ns": bounded(summed(one.time_ns for one in charges)),
        "energy_pj": bounded(energy),
        "share": float(energy.value / whole.value) if whole.value else 0.0,
        **counted.to_json(),
    }


def _constant(target: Target, key: str) -> dict[str, Any]:
    found = constant(target, key)
    return {
        "name": key,
        "unit": CONSTANTS[key].unit,
        **({"source": target.sources[key], **bounded(found)} if found else {}),
    }
