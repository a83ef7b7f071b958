"""One line for each step from peak to chip: the layer that loses most there, from facts of the program alone."""

from collections.abc import Callable, Mapping
from fractions import Fraction

from cimc.backends.cost.counters import Counters, total
from cimc.backends.cost.estimate import Estimate
from cimc.backends.cost.rows import rows
from cimc.backends.cost.waterfall import UNPROGRAMMED
from cimc.isa.program import Program
from cimc.targets.prices import summed
from cimc.targets.target import Target

Layers = Mapping[str, Counters]


def advice(estimate: Estimate, program: Program) -> Mapping[str, str]:
    """Return step -> its line, for steps that lose anything; empty where no layer loses anything."""
    charges = rows(estimate, program, "layer")
    layers = {name: total(one.counters for one in parts) for name, parts in charges.items()}
    found = {step: _lost(lose(estimate.target, layers), says, layers) for step, (lose, says) in ARRAY_STEPS.items()}
    tallest = max((block.rows for block in program.blocks), default=0)
    if found["rows"]:
        found["rows"] += f"; the tallest block has {tallest}"
    for name, says in COMPONENT_STEPS.items():
        spent = {layer: summed(one.energy[name] for one in parts).value for layer, parts in charges.items()}
        found[name] = _lost(spent, says, layers)
    return {step: line for step, line in found.items() if line}


def _lost(losses: Mapping[str, Fraction], says: Callable[[Counters], str], layers: Layers) -> str:
    """Return which layer loses most, its share of all that is lost, and what it has."""
    whole = sum(losses.values())
    if not whole:
        return ""
    worst = max(losses, key=lambda name: losses[name])
    return f"{float(100 * losses[worst] / whole):.0f} % of it in {worst or 'no layer'}: {says(layers[worst])}"


def _rows(target: Target, layers: Layers) -> Mapping[str, Fraction]:
    """Return the rows left idle, over all phases."""
    return {name: Fraction(one.phases * target.rows - one.row_slots) for name, one in layers.items()}


def _converters(target: Target, layers: Layers) -> Mapping[str, Fraction]:
    """Return the cells before ADCs without a column, over all phases."""
    reads = int(target.constants["read_phases"])
    return {name: Fraction(one.row_slots * target.converters - one.cells * reads) for name, one in layers.items()}


def _unprogrammed(_: Target, layers: Layers) -> Mapping[str, Fraction]:
    return {name: Fraction(one.cells - one.macs) for name, one in layers.items()}


def _mean(number: float, of: int) -> str:
    return f"{float(number) / of:.0f}"


ARRAY_STEPS: Mapping[str, tuple[Callable[[Target, Layers], Mapping[str, Fraction]], Callable[[Counters], str]]] = {
    "rows": (_rows, lambda one: f"{_mean(one.row_slots, one.phases)} rows, one for each weight of a column"),
    "converters": (_converters, lambda one: f"{_mean(one.conversions, one.products)} columns, one an output channel"),
    UNPROGRAMMED: (
        _unprogrammed,
        lambda one: f"weights in {float(100 * one.macs) / one.cells:.1f} % of the cells of its blocks",
    ),
}
"""Step of the array -> what each layer loses there, and what is told of the one that loses most."""
COMPONENT_STEPS: Mapping[str, Callable[[Counters], str]] = {
    "digital": lambda one: f"{one.dig_mul} multiplications, {one.dig_add} additions, {one.dig_table} look-ups",
    "requant": lambda one: f"{one.requant} results requantised",
    "memory": lambda one: f"{one.act_read + one.const_read} bytes read, {one.act_write} written",
    "control": lambda one: f"{one.issued} instructions",
}
"""Component beside the array -> what is told of the layer that takes most there."""
