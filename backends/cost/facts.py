"""The facts of an estimate as plain values: what text, JSON, CSV and reports all print."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from fractions import Fraction
from typing import Any

from cimc.backends.cost.advice import advice
from cimc.backends.cost.counters import DATA, NAMES, ONCE, Counters, total
from cimc.backends.cost.elsewhere import better
from cimc.backends.cost.estimate import (
    COMPONENTS,
    CONVERTERS_AND_CELLS,
    EACH,
    LEAK,
    PULSES,
    Charge,
    Estimate,
    Pricing,
    charge,
    charges_of,
    overlaps,
)
from cimc.backends.cost.layout import NOWHERE, Layout, layouts
from cimc.backends.cost.once import PROGRAMMING, once, samples_worth
from cimc.backends.cost.rows import rows
from cimc.backends.cost.waterfall import efficiency, peak, use, waterfall
from cimc.isa.program import Program
from cimc.targets.areas import area, areas
from cimc.targets.prices import BOTTOM_UP, PUBLISHED, TECH_SCALE, Interval, constant, summed
from cimc.targets.schema import CONSTANTS
from cimc.targets.target import Target

FORMAT = "cimc-cost 4"
WIDTH_TOLD = 0.9
"""Constants are named until they make up this share of the bounds' width."""
PHASES = ("timing.phase", "timing.phase_6", "timing.phase_4", "timing.clock", "digital.cycle")
ARRAY = ("energy.array_power", "energy.product_fixed", "energy.idle_rows")
NEVER = "wires"
"""What no target can price: no figure with a source was found."""
BESIDE_MODELS = "references, drivers and clocks of tiles"
"""What a sum of component models leaves out of an array."""
LINE_BUFFER = "line buffer"


def facts(estimate: Estimate, program: Program, by: str) -> dict[str, Any]:
    """Return everything that is known of a program's cost, for one sample: ns, pJ, TOPS/W; bounds beside values."""
    counted, lines = estimate.counters, advice(estimate, program)
    placed = layouts(program) if by == "layer" else None
    return {
        "format": FORMAT,
        **summary(estimate),
        "overlap": overlaps(estimate.target),
        "power_mw": _known(estimate.power_mw),
        "area_mm2": _known(area(estimate.target)),
        "areas_mm2": {part: _known(one) for part, one in areas(estimate.target).items()},
        "once": _once(estimate),
        "components_pj": {name: bounded(estimate.component(name)) for name in COMPONENTS},
        "counters": shown(counted, estimate),
        "driven": driven(estimate, counted),
        "waterfall": [
            {"step": fall.name, "factor": float(fall.factor), "tops_per_w": float(fall.left), "because": fall.fact}
            | ({"advice": lines[fall.name]} if fall.name in lines else {})
            for fall in waterfall(estimate)
        ],
        "elsewhere": _elsewhere(estimate, program),
        "not_modelled": not_modelled(estimate),
        "bounds_from": [{"name": key, "share": share} for key, share in widening(estimate, program)],
        "constants": [_constant(estimate.target, key) for key in (*used(estimate.pricing), *PROGRAMMING)],
        "by": by,
        "rows": [_row(*pair, estimate, placed) for pair in rows(estimate, program, by).items()],
    }


def _elsewhere(estimate: Estimate, program: Program) -> dict[str, Any] | None:
    """Return the target that would do more with a watt, None where none of ours would."""
    found = better(estimate, program)
    if found is None:
        return None
    size = {"rows": found.target.rows, "converters": found.target.converters}
    return {"target": found.target.name, "tops_per_w": float(found.tops_per_w), **size}


def not_modelled(estimate: Estimate) -> list[str]:
    """Return what a total leaves out because its target has no price for it."""
    target, bottom_up = estimate.target, estimate.pricing.basis == BOTTOM_UP
    left_out = {
        BESIDE_MODELS: bottom_up,
        NEVER: True,
        LINE_BUFFER: bool(target.constants.get("memory.line_buffer")),
        "idle tiles": LEAK not in target.constants,
        "programming": not once(estimate).energy_pj,
    }
    return [*estimate.missing, *(name for name, is_so in left_out.items() if is_so)]


def _once(estimate: Estimate) -> dict[str, Any]:
    """Return what is done and paid before the first sample; None where it has no price."""
    paid, worth = once(estimate), samples_worth(estimate)
    return {
        **{name: _plain(getattr(estimate.counters, name)) for name in ONCE},
        "energy_pj": _known(paid.energy_pj),
        "time_ns": _known(paid.time_ns),
        "samples_worth": None if worth is None else float(worth),
    }


def _known(interval: Interval | None) -> dict[str, float] | None:
    return bounded(interval) if interval else None


def summary(estimate: Estimate) -> dict[str, Any]:
    """Return what a program takes in a few numbers."""
    falls = waterfall(estimate)
    time = estimate.time_ns.value
    return {
        "target": estimate.target.name,
        "basis": estimate.pricing.basis,
        "samples": estimate.samples,
        "time_ns": bounded(estimate.time_ns),
        "energy_pj": bounded(estimate.energy_pj),
        "samples_per_s": float(10**9 / time) if time else None,
        "chip_tops_per_w": bounded(efficiency(estimate)),
        "peak_tops_per_w": float(peak(estimate.target).value) if falls else None,
        "first_loss": min(falls, key=lambda fall: fall.factor).name if falls else None,
    }


def shown(counters: Counters, estimate: Estimate) -> dict[str, int | float]:
    """Return the counters that are known, by name: whole numbers, means of data as numbers with a point."""
    known = (name for name in NAMES if name not in DATA or estimate.pricing.counted)
    return {name: _plain(getattr(counters, name)) for name in known}


def driven(estimate: Estimate, counted: Counters) -> dict[str, float]:
    """Return what data made of the arrays by the most that there could be, or nothing."""
    if not estimate.pricing.counted or not counted.row_slots:
        return {}
    longest = estimate.target.dac_range.high
    return {
        "rows driven": float(counted.row_on / Fraction(counted.row_slots)),
        "pulses": float(counted.pulse / Fraction(counted.row_slots * longest)),
        "charge": float(counted.charge / Fraction(max(counted.conductance, 1) * longest)),
    }


def _plain(number: int | Fraction) -> int | float:
    return int(number) if Fraction(number).denominator == 1 else float(number)


def used(pricing: Pricing) -> tuple[str, ...]:
    """Return the constants that a total may depend on, whether the target has them or not."""
    array = (*ARRAY, *PULSES.values()) if pricing.basis == PUBLISHED else tuple(CONVERTERS_AND_CELLS.values())
    return (*PHASES, *array, *EACH.values(), TECH_SCALE, LEAK)


def widening(estimate: Estimate, program: Program) -> list[tuple[str, float]]:
    """Return the constants that widen the bounds of the energy, widest first, and by what share: 90 % of the width."""
    pricing, found = estimate.pricing, []
    whole = _width(estimate, pricing, program)
    for key in (key for key in used(pricing) if key in estimate.target.constants):
        left = _width(estimate, _certain(pricing, key), program)
        found.append((key, float((whole - left) / whole) if whole else 0.0))
    found.sort(key=lambda pair: -pair[1])
    told = [sum(share for _, share in found[:n]) for n in range(len(found))]
    return [pair for pair, before in zip(found, told, strict=True) if pair[1] > 0 and before < WIDTH_TOLD]


def _certain(pricing: Pricing, key: str) -> Pricing:
    """Return the same prices with one constant known exactly."""
    target, value = pricing.target, float(pricing.target.constants[key])
    return replace(pricing, target=replace(target, bounds={**target.bounds, key: (value, value)}))


def _width(estimate: Estimate, pricing: Pricing, program: Program) -> Fraction:
    """Return the width of the energy's bounds at other prices: where tiles leak, by when each instruction runs."""
    if LEAK in pricing.target.constants:
        energy = summed(one.energy_pj for one in charges_of(program, pricing, estimate.works, estimate.bits))
    else:
        work = estimate.by_bits().items()
        energy = summed(charge(pricing, counters, bits).energy_pj for bits, counters in work)
    return energy.high - energy.low


def bounded(interval: Interval) -> dict[str, float]:
    return {"value": float(interval.value), "low": float(interval.low), "high": float(interval.high)}


def _row(
    name: str, charges: Iterable[Charge], estimate: Estimate, placed: Mapping[str, Layout] | None
) -> dict[str, Any]:
    """Return what a row takes; a layer's also where it lies, `placed` being the layers on arrays."""
    charges, whole = list(charges), estimate.energy_pj.value
    energy, done = summed(one.energy_pj for one in charges), total(one.counters for one in charges)
    used = use(estimate.target, done)
    return {
        "name": name,
        "time_ns": bounded(summed(one.time_ns for one in charges)),
        "energy_pj": bounded(energy),
        "share": float(energy.value / whole) if whole else 0.0,
        **({} if placed is None else _lies(placed.get(name, NOWHERE))),
        "use": None if used is None else float(used),
        "components_pj": {c: float(summed(one.energy.get(c, Interval()) for one in charges).value) for c in COMPONENTS},
        **shown(done, estimate),
    }


def _lies(layout: Layout) -> dict[str, Any]:
    return {"matrix": layout.matrix, "tiles": layout.tiles}


def _constant(target: Target, key: str) -> dict[str, Any]:
    found = constant(target, key)
    return {
        "name": key,
        "unit": CONSTANTS[key].unit,
        **({"source": target.sources[key], **bounded(found)} if found else {}),
    }
