"""What `cimc cost` says beside a program's own costs: peaks, the terms of a sum, and the validation."""

from collections.abc import Iterator

from cimc.backends.cost.estimate import Estimate
from cimc.backends.cost.facts import bounded
from cimc.backends.cost.validation.page import TABLE, all_rows, cells
from cimc.backends.cost.validation.row import FAILS
from cimc.backends.cost.waterfall import peak, peak_rate, per
from cimc.backends.cost.why import terms
from cimc.driving.measures import measure
from cimc.driving.tables import tabulate, terminal_width
from cimc.targets import load_target
from cimc.targets.macro import Macro, load_macro, macro_names
from cimc.targets.prices import area


def peak_lines(name: str) -> Iterator[str]:
    """Yield what a target or a macro does at its peak. Raises CimcError CIM0301, CIM0302."""
    if name in macro_names():
        yield from _macro_lines(load_macro(name))
        return
    target = load_target(name)
    yield f"{target.name}: {target.summary}"
    rate, efficiency = bounded(peak_rate(target)), bounded(peak(target))
    if not efficiency["value"]:
        yield "  no phase of the array has a price"
        return
    tiles = "a tile" if target.tiles is None else f"{target.tiles} tile{'s' * (target.tiles > 1)}"
    figures = f"{measure(rate, 1e3, 'TOPS')}, {measure(efficiency, 1, 'TOPS/W')}"
    yield f"  peak of {tiles}, every row and ADC at work  {figures}"
    if (taken := area(target)) and taken.low:
        density = bounded(peak_rate(target) / taken)
        yield f"  area {measure(bounded(taken), 1, 'mm2')}, {measure(density, 1e3, 'TOPS/mm2')}"


def _macro_lines(macro: Macro) -> Iterator[str]:
    yield f"{macro.name}: {macro.summary}; priced only, nothing compiles for it"
    done, all_macros = macro.full(), macro.operations * int(macro.constants["array.macros"])
    rate, efficiency = per(all_macros, macro.time_ns(done)), per(macro.operations, macro.energy_pj(done))
    fast = measure(bounded(rate), 1e3, "TOPS") if rate.value else "no time is published"
    yield f"  peak, every row at work  {fast}, {measure(bounded(efficiency), 1, 'TOPS/W')}"


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


def check_lines() -> tuple[list[str], bool]:
    """Return the rows of the validation as a table, and whether each is as it should be."""
    rows = all_rows()
    return tabulate([TABLE, *map(cells, rows)], terminal_width()), all(row.verdict != FAILS for row in rows)
