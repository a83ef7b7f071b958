"""The page that tells all of a program: one file that asks for nothing from elsewhere."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from itertools import chain
from math import isfinite
from typing import Any, TypeGuard

from cimc.backends.cost.memory_map import Span, memory_map
from cimc.backends.cost.schedule import Schedule
from cimc.backends.silicon.diagnosis import Deviations, Diagnosis
from cimc.backends.silicon.telemetry import LayerUse
from cimc.driving.intervals import LEVEL
from cimc.driving.measures import beside_lines, elsewhere_line, measure, one_line, unpriced_names
from cimc.isa.program import Program
from cimc.report.curves import scores_over_time
from cimc.report.drawings import (
    MOST_OFF,
    Hues,
    Plan,
    bars,
    conductances,
    deviations,
    floor_plan,
    hues_of,
    legend,
    memory_over_time,
    timeline,
)
from cimc.report.markup import Markup, element, joined, table

Facts = Mapping[str, Any]

LAYER_COUNTERS = ("products", "phases", "conversions", "cells", "dig_mul", "requant")
LAYER_BYTES = ("act_read", "act_write", "const_read")
POLICY = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:"
"""The page may ask for nothing, whatever the names in it say."""
LOSSES = ("float_accumulated_db", "float_sensitivity_db", "largest_error", "mean_error", "clips")
MOST_TILES = 16
"""Tiles that are drawn; the table of blocks has all."""


@dataclass(frozen=True)
class Told:
    """What a page tells of: a program by its name, its costs, its schedule, and what runs have shown of it, if any.

    `origin` says in a line which program, how it was fed, and which chip it ran on.
    """

    name: str
    origin: str
    program: Program
    cost: Facts
    schedule: Schedule
    use: Sequence[LayerUse] = ()
    scores: Facts | None = None
    losses: Facts | None = None
    chip: Diagnosis | None = None

    @cached_property
    def spans(self) -> Sequence[Span]:
        """What activation memory holds when."""
        return memory_map(self.schedule, self.program)

    @cached_property
    def hues(self) -> Hues:
        """The colour of each layer, the same in every drawing."""
        parts = ((one.name for one in self.schedule.slices), (one.layer for one in self.program.blocks))
        return hues_of([*chain(*parts), *(one.name for one in self.spans)])


def page(told: Told) -> str:
    """Return the whole page as HTML."""
    found = [(title, body) for title, section in SECTIONS.items() if (body := section(told))]
    links = (element("a", title, href=f"#s{n}") for n, (title, _) in enumerate(found))
    sections = (element("section", element("h2", title), body, id=f"s{n}") for n, (title, body) in enumerate(found))
    title = f"{told.name} on {told.cost['target']}"
    body = element("body", element("h1", title), element("nav", *links), *sections, _script())
    return "<!doctype html>\n" + element("html", _head(title), body, lang="en") + "\n"


def schedule_page(schedule: Schedule, name: str) -> str:
    """Return a page with the schedule alone."""
    hues = hues_of(one.name for one in schedule.slices)
    drawn = _zoomed(timeline(schedule, hues))
    body = element("body", element("h1", f"{name}: {schedule.length / 1e6:g} us"), drawn, legend(hues, hues), _script())
    return "<!doctype html>\n" + element("html", _head(name), body, lang="en") + "\n"


def _head(title: str) -> Markup:
    style = Markup(f"<style>{_asset('style.css')}</style>")
    settings = (
        Markup('<meta charset="utf-8">'),
        Markup('<meta name="viewport" content="width=device-width, initial-scale=1">'),
        Markup(f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'),
        Markup('<link rel="icon" href="data:,">'),
    )
    return element("head", *settings, element("title", title), style)


def _script() -> Markup:
    return Markup(f"<script>{_asset('script.js')}</script>")


def _asset(name: str) -> str:
    return files("cimc.report").joinpath(name).read_text("utf-8")


def _zoomed(picture: Markup) -> Markup:
    """Return a picture with buttons before it that make it larger and smaller; what has no room is scrolled to."""
    named = (("larger", 2), ("smaller", 0.5))
    buttons = (element("button", text, type="button", data_zoom=factor) for text, factor in named)
    return element("div", *buttons, element("div", picture, class_="wide", tabindex="0"), class_="zoom")


def _summary(told: Told) -> Markup:
    basis = f"{told.cost['basis']} prices, " + (
        f"mean of {told.cost['samples']} samples" if told.cost["samples"] else "one sample"
    )
    beside = (element("li", line) for line in beside_lines(told.cost))
    faint = (element("p", line, class_="faint") for line in (basis, told.origin))
    return joined(element("p", one_line(told.cost), class_="big"), element("ul", *beside), *faint)


def _waterfall(told: Told) -> Markup | None:
    if not told.cost["waterfall"]:
        return None
    steps = {"peak": told.cost["peak_tops_per_w"], **{f["step"]: f["tops_per_w"] for f in told.cost["waterfall"]}}
    rows = [
        [f["step"], f["factor"], f["tops_per_w"], f["because"], f.get("advice", "")] for f in told.cost["waterfall"]
    ]
    chip = element("p", f"chip: {measure(told.cost['chip_tops_per_w'], 1, 'TOPS/W')}, of what is priced")
    other = [element("p", elsewhere_line(told.cost["elsewhere"]))] if told.cost["elsewhere"] else []
    return joined(
        bars(steps, "TOPS/W"), chip, *other, table(["step", "factor", "TOPS/W left", "because", "where"], rows)
    )


def _layers(told: Told) -> Markup:
    paid = [name for name, part in told.cost["components_pj"].items() if part["value"]]
    heads = ["layer", "energy nJ", "share %", "time us", "matrix", "tiles", "use %", *(f"{name} nJ" for name in paid)]
    rows = [_layer(row, paid) for row in told.cost["rows"]]
    return table([*heads, *LAYER_COUNTERS, *LAYER_BYTES], rows, sortable=True)


def _layer(row: Facts, paid: Sequence[str]) -> list[object]:
    measures = (row["energy_pj"]["value"] / 1e3, 100 * row["share"], row["time_ns"]["value"] / 1e3)
    components = (row["components_pj"][name] / 1e3 for name in paid)
    return [
        *(row["name"], *measures, row["matrix"], row["tiles"], _percent(row["use"]), *components),
        *(row[name] for name in (*LAYER_COUNTERS, *LAYER_BYTES)),
    ]


def _energy(told: Told) -> Markup:
    return bars({name: part["value"] / 1e3 for name, part in told.cost["components_pj"].items() if part["value"]}, "nJ")


def _floor(told: Told) -> Markup | None:
    array, blocks = told.program.meta["target"]["array"], told.program.blocks
    tiles = sorted({block.tile for block in blocks})
    plans = [Plan(t, array["rows"], array["columns"], [b for b in blocks if b.tile == t]) for t in tiles[:MOST_TILES]]
    drawn = [_tile(plan, told) for plan in plans]
    colours = legend((b.layer for b in blocks), told.hues)
    rows = [[b.layer, b.tile, b.row, b.col, b.rows, b.cols] for b in blocks]
    heads = ["layer", "tile", "row", "column", "rows", "columns"]
    return joined(*drawn, colours, table(heads, [list(row) for row in rows], sortable=True)) if blocks else None


def _tile(plan: Plan, told: Told) -> Markup:
    used = sum(block.rows * block.cols for block in plan.blocks) / (plan.rows * plan.columns)
    title = element("h3", f"tile {plan.tile}: {100 * used:.1f} % of {plan.rows} x {plan.columns} cells")
    heat = _zoomed(conductances(plan, told.program))
    return joined(title, element("div", element("div", floor_plan(plan, told.hues)), heat, class_="pair"))


def _memory(told: Told) -> Markup:
    size = told.program.activation_bytes
    held = memory_over_time(told.spans, told.schedule.length, size, told.hues)
    about = f"{size:,} bytes upwards, {told.schedule.length / 1e6:g} us to the right"
    return joined(element("p", about), held, legend((one.name for one in told.spans), told.hues))


def _schedule(told: Told) -> Markup:
    names = (one.name for one in told.schedule.slices)
    return joined(_zoomed(timeline(told.schedule, told.hues)), legend(names, told.hues))


def _converters(told: Told) -> Markup | None:
    rows = [
        [one.layer, one.conversions, 100 * one.clipped_share, _percent(one.range_share), 100 * one.conductance_share]
        for one in told.use
    ]
    heads = ["layer", "conversions a column", "clipped %", "range of the ADC used %", "conductance used %"]
    return table(heads, [list(row) for row in rows], sortable=True) if rows else None


def _percent(share: float | None) -> float | str:
    return "-" if share is None else 100 * share


def _chip(told: Told) -> Markup | None:
    """Return what is wrong with the measured chip, what each tile's cells are off by, and a verdict for each column."""
    if told.chip is None:
        return None
    faults = [
        [tile, one.kind, one.place, len(one.columns), one.confidence, one.second[0]]
        for tile, each in told.chip.faults.items()
        for one in each
    ]
    heads = ["tile", "fault", "place", "columns", "confidence", "second best"]
    found = table(heads, faults) if faults else element("p", "No fault was found.")
    heats = (_off(tile, cells) for tile, cells in list(told.chip.deviations.items())[:MOST_TILES])
    columns = [
        [v.tile, v.column, v.cause, v.confidence, v.deviation, v.expected, 100 * v.refit_wins]
        for v in told.chip.verdicts
    ]
    heads = ["tile", "column", "verdict", "confidence", "off by (codes)", "usual", "a refit wins %"]
    return joined(found, *heats, table(heads, columns, sortable=True))


def _off(tile: int, off: Deviations) -> Markup:
    place = f"rows {off.rows[0]} to {off.rows[-1]}, columns {off.columns[0]} to {off.columns[-1]}"
    shades = f"what cells are off by, at full contrast from {MOST_OFF} standard deviations on"
    title = element("h3", f"tile {tile}, {place}: {shades}")
    return joined(title, _zoomed(deviations(tile, off.scores)))


def _scores(told: Told) -> Markup | None:
    return None if told.scores is None else table(["what", "value"], [[k, _plain(v)] for k, v in told.scores.items()])


def _over_time(told: Told) -> Markup | None:
    scores = told.scores or {}
    times = _entries(scores, "times", ("seconds", "mean", "low", "high"), ("time",))
    metric, chips = str(scores.get("metric", "score")), scores.get("seeds")
    if len(times) < 2:
        return None
    drawn = f"of {len(chips)} chips" if isinstance(chips, list) else "of chips"
    about = f"{metric} {drawn}: their mean, and the {100 * LEVEL:g} % interval of it"
    rows = [[one["time"], one["mean"], one["low"], one["high"]] for one in times]
    drawn = element("div", scores_over_time(times, metric), class_="wide", tabindex="0")
    return joined(element("p", about), drawn, table(["time", "mean", "low", "high"], rows))


def _losses(told: Told) -> Markup | None:
    layers = _entries(told.losses or {}, "layers", LOSSES[2:], ("tensor",))
    ratios = {one["tensor"]: one.get("float_accumulated_db") for one in layers}
    drawn = bars({name: max(ratio, 0.0) for name, ratio in ratios.items() if _is_number(ratio)}, "dB")
    rows = [[one.get("layer") or "-", one["tensor"], *map(_told, map(one.get, LOSSES))] for one in layers]
    heads = ["layer", "tensor", "accumulated dB", "alone dB", "largest error", "mean error", "clips"]
    return joined(drawn, table(heads, rows, sortable=True)) if rows else None


def _told(value: object) -> object:
    return "-" if value is None else value


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, (int, float)) and isfinite(value)


def _entries(facts: Facts, name: str, numbers: Sequence[str], texts: Sequence[str]) -> list[Facts]:
    """Return the entries of a list in a file of others, none unless each has these numbers and texts."""
    found = facts.get(name)
    entries: list[Facts] = [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []
    sound = all(
        all(_is_number(one.get(key)) for key in numbers) and all(isinstance(one.get(key), str) for key in texts)
        for one in entries
    )
    return entries if sound else []


def _plain(value: Any) -> object:
    return value if isinstance(value, (int, float, str)) else json.dumps(value)


def _not_modelled(told: Told) -> Markup:
    return element("p", ", ".join(unpriced_names(told.cost)))


def _constants(told: Told) -> Markup:
    stated = [one for one in told.cost["constants"] if "value" in one]
    rows = [[one["name"], one["value"], one["low"], one["high"], one["unit"], one["source"]] for one in stated]
    wide = [
        element("li", f"{one['name']}: {100 * one['share']:.0f} % of the bounds' width")
        for one in told.cost["bounds_from"]
    ]
    heads = ["constant", "value", "low", "high", "unit", "source"]
    return joined(element("ul", *wide), table(heads, rows, sortable=True))


def _making(told: Told) -> Markup:
    made = {**told.program.origin, "instructions": len(told.program.instructions), "target": told.cost["target"]}
    return table(["what", "value"], [[key, str(_plain(value))] for key, value in made.items()])


SECTIONS: Mapping[str, Callable[[Told], Markup | None]] = {
    "Summary": _summary,
    "From peak to chip": _waterfall,
    "Layers": _layers,
    "Energy by component": _energy,
    "Schedule": _schedule,
    "Floor plan and conductances": _floor,
    "Activation memory over time": _memory,
    "Use of the ADCs": _converters,
    "Error against the float model": _losses,
    "Score over time": _over_time,
    "The chip": _chip,
    "Scores": _scores,
    "Not modelled": _not_modelled,
    "Constants": _constants,
    "Making": _making,
}
"""Title -> what makes the section, nothing where there is nothing to tell."""
