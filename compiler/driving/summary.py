"""The one-screen summary of a compile, as text and as one JSON object."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from xdsl.ir import Operation

from cimc.backends.cost.estimate import Estimate, estimate
from cimc.backends.cost.facts import summary
from cimc.backends.noise.converters import common_range
from cimc.driving.driver import Compilation
from cimc.driving.feeding import Feeding, feeding_text
from cimc.driving.measures import one_line
from cimc.driving.provenance import SHORT
from cimc.driving.tables import tabulate
from cimc.ir.attributes import int_values
from cimc.ir.loop import runs_of
from cimc.ir.types import code_of, shape_of
from cimc.ir.xbar import DepthwiseOp, MvmOp
from cimc.isa.binary import program_digest
from cimc.isa.program import Program
from cimc.passes.costs import Cost, depthwise_price, layer_cost, vectors_of
from cimc.passes.layer_bits import FULL
from cimc.targets import Target

SHOWN_LAYERS = 12
LAYER_HEADS = ("layer", "matrix", "blocks", "tiles", "vectors")


def summarise(compilation: Compilation, target: Target) -> dict[str, Any]:
    """Return the facts of a compile: `utilisation` is a share from 0 to 1, `mvms` counts for one sample."""
    layers = [op for op in compilation.graph.operations if isinstance(op, MvmOp)]
    tenants = Counter(tile for op in layers if op.shares is None for tile in set(int_values(op.blocks)[::3]))
    used = set(tenants)
    cells = sum(math.prod(op.matrix) * op.copies for op in layers if op.shares is None)
    alone = sum((layer_cost(target, op, 1) for op in layers), Cost(0.0, 0.0))
    program = compilation.emission.program
    names = program.layer_names
    cost = estimate(program)
    return {
        "layers": len(layers),
        "tiles": len(used),
        **({"chips": -(-len(used) // target.tiles_a_chip)} if target.tiles_a_chip else {}),
        "utilisation": round(cells / max(len(used) * target.rows * target.columns, 1), 4),
        "static_instructions": len(program.instructions),
        "mvms": sum(_products(op) for op in layers),
        "activation_bytes": program.activation_bytes,
        "payload_bytes": len(program.constants) + len(program.conductances),
        "crossbar_weights": sum(math.prod(op.matrix) for op in layers),
        "adc": common_range(program),
        "most_layers_in_a_tile": max(tenants.values(), default=0),
        "devices": _devices(program, cost) * int(target.constants["array.pairs_per_weight"]),
        "conversions": sum(_conversions(op) for op in layers),
        "array_us": round(float(cost.array_ns.value) / 1e3, 3),
        "array_uj": round(float(cost.component("array").value) / 1e6, 3),
        "array_us_alone": round(alone.time_ns / 1000, 3),
        "replicas": {names[op.label.data]: op.copies for op in layers if op.copies > 1},
        "shared": {names[op.label.data]: names[op.shares.data] for op in layers if op.shares is not None},
        "cost": summary(cost),
        "depthwise": [_priced(op, target, names) for op in compilation.graph.operations if is_depthwise(op)],
        "every_layer": [_layer_facts(op, names) for op in layers],
        "program": program_digest(program),
        "preprocessing": {one.name: one.preprocessing.facts() for one in program.inputs if one.preprocessing},
        "calibration": {name: seen.to_json() for name, seen in compilation.ranges.inputs.items()},
    }


def render_summary(
    compilation: Compilation,
    facts: Mapping[str, Any],
    target: Target,
    output: str,
    width: int | None = None,
    most: int | None = SHOWN_LAYERS,
) -> str:
    """Return what `summarise` has found, for people.

    The table fits into `width` characters and shows `most` layers (None: all).
    """
    layers = [op for op in compilation.graph.operations if isinstance(op, MvmOp)]
    tiles = "unbounded" if target.tiles is None else str(target.tiles)
    lines = [
        f"{compilation.graph.name} -> {output}",
        f"  program                  {facts['program'][:SHORT]}, {_fed(compilation)}",
        f"  target                   {target.name}: {tiles} x ({target.rows} x {target.columns}), {target.summary}",
        f"  layers on the crossbar   {facts['layers']}, {_depthwise(compilation)} depthwise on the digital unit",
        f"  tiles used               {facts['tiles']} of {tiles}{_chips(facts)}, "
        f"array utilisation {100 * facts['utilisation']:.1f} %{_together(facts['most_layers_in_a_tile'])}",
        f"  static instructions      {facts['static_instructions']}",
        f"  matrix-vector products   {facts['mvms']} a sample{_estimate(facts)}",
        f"  estimated cost           {one_line(facts['cost'])}",
        f"  activation memory        {facts['activation_bytes']} bytes",
        f"  payload                  {facts['payload_bytes']} bytes (conductance targets and constants)",
        *_range(facts["adc"]),
        *_precision(compilation, layers),
        *_mapping_lines(facts),
        *_depthwise_lines(facts["depthwise"]),
        "",
        *_layer_table(facts["every_layer"], width, most),
    ]
    return "\n".join(lines)


def _fed(compilation: Compilation) -> str:
    """Return what the program makes of raw data."""
    return feeding_text(compilation.emission.program, Feeding())


def _chips(facts: Mapping[str, Any]) -> str:
    """Return how many chips the tiles make, where --tiles put several together."""
    count = facts.get("chips")
    return f" = {count} chip{'' if count == 1 else 's'}" if count else ""


def _together(layers: int) -> str:
    """Return how many layers are packed into one tile, where it is more than one."""
    return f", up to {layers} layers in one" if layers > 1 else ""


def _estimate(facts: Mapping[str, Any]) -> str:
    """Return what the array is estimated to take, where the target has the constants for it."""
    if not facts["array_us"]:
        return ""
    return f", the array takes about {facts['array_us']:.1f} us and {facts['array_uj']:.1f} uJ"


def _mapping_lines(facts: Mapping[str, Any]) -> list[str]:
    """Return which layers have copies and which share blocks, where any do."""
    lines = []
    if facts["replicas"]:
        counts = facts["replicas"].values()
        copies = f"{len(counts)} layers have {min(counts)} to {max(counts)} copies of their blocks"
        lines.append(f"  replicas                 {copies}; one of each would take {facts['array_us_alone']:.1f} us")
    if facts["shared"]:
        shown = ", ".join(f"{label} as {owner}" for label, owner in facts["shared"].items())
        lines.append(f"  blocks shared            {shown}")
    return lines


def is_depthwise(op: Operation) -> bool:
    """Return whether an operation was a depthwise layer, wherever it runs."""
    return isinstance(op, DepthwiseOp) or (isinstance(op, MvmOp) and op.diagonal is not None)


def _priced(op: Any, target: Target, names: Mapping[str, str]) -> dict[str, Any]:
    """Return where a depthwise layer runs, what it costs there and what it would cost at the other place."""
    window, (height, width, outputs) = int_values(op.window), shape_of(op.out)
    channels, taps = shape_of(op.x)[-1], window[0] * window[1]
    price = depthwise_price(target, taps, channels, outputs // channels, height * width)
    return {
        "layer": names[op.label.data],
        "where": "digital" if isinstance(op, DepthwiseOp) else "array",
        "digital_us": round(price.digital.time_ns / 1000, 3),
        "digital_uj": round(price.digital.energy_nj / 1000, 3),
        "array_us": round(price.array.time_ns / 1000, 3),
        "array_uj": round(price.array.energy_nj / 1000, 3),
        "array_cells": price.cells,
        "array_cells_unused": price.cells - price.used,
    }


def _depthwise_lines(prices: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the price of all depthwise layers at each place; the cells beside the diagonals stay unprogrammed."""
    if not prices:
        return []
    total = {key: sum(price[key] for price in prices) for key in prices[0] if key not in ("layer", "where")}
    count = Counter(price["where"] for price in prices)
    placed = " and ".join(f"{count[where]} {where}" for where in ("digital", "array") if count[where])
    unused = 100 * total["array_cells_unused"] / total["array_cells"]
    return [
        f"  depthwise layers         {placed}; estimates for all of them:",
        f"    on the digital unit    {total['digital_us']:.1f} us, {total['digital_uj']:.1f} uJ",
        f"    in the array           {total['array_us']:.1f} us, {total['array_uj']:.1f} uJ, "
        f"{total['array_cells']} cells, {unused:.1f} % of them unused",
    ]


def _devices(program: Program, cost: Estimate) -> int:
    """Return the devices of a pair that are programmed: both sides of each cell, or the one with a target alone."""
    charged = zip(program.instructions, cost.charges, strict=True)
    writes = ((one.counters.programmed, i.choice("zeros")) for i, one in charged if i.name == "program")
    return sum(cells if zeros == "skip" else 2 * cells for cells, zeros in writes)


def _conversions(op: MvmOp) -> int:
    """Return the ADC conversions of one sample."""
    group, _, cols = op.matrix
    return _vectors(op) * group * cols * (len(int_values(op.row_cuts)) - 1)


def _products(op: MvmOp) -> int:
    blocks = len(int_values(op.blocks)) // 3 // op.copies
    return _vectors(op) * blocks


def _vectors(op: MvmOp) -> int:
    """Return the vectors that one sample streams through a layer."""
    return vectors_of(op) * runs_of(op)


def _depthwise(compilation: Compilation) -> int:
    return sum(isinstance(op, DepthwiseOp) for op in compilation.graph.operations)


def _range(adc: Mapping[str, float] | None) -> list[str]:
    """Return what full scale the ADCs share."""
    return [f"  range of the ADCs        {adc['s']:.3g} rows at full input and conductance"] if adc else []


def _precision(compilation: Compilation, layers: Sequence[MvmOp]) -> list[str]:
    """Return how many layers run at which bits, where any was lowered."""
    lowered = compilation.ranges.bits
    if not lowered:
        return []
    inputs = Counter(code_of(op.x).bits.data for op in layers)
    weights = Counter(_weight_bits(compilation, op) for op in layers)
    taps = Counter(_weight_bits(compilation, op) for op in compilation.graph.operations if isinstance(op, DepthwiseOp))
    return [
        f"  inputs of layers         {_counts(inputs)}",
        f"  weights of layers        {_counts(weights)}",
        *([f"  taps of digital layers   {_counts(taps)}"] if min(taps, default=FULL) < FULL else []),
    ]


def _weight_bits(compilation: Compilation, op: MvmOp | DepthwiseOp) -> int:
    return compilation.ranges.bits.get(op.label.data, (FULL, FULL))[1]


def _counts(bits: Counter[int]) -> str:
    return ", ".join(f"{count} x {width} bits" for width, count in sorted(bits.items(), reverse=True))


def _layer_table(layers: Sequence[Mapping[str, Any]], width: int | None, most: int | None) -> list[str]:
    rows = layers[:most]
    lines = tabulate([LAYER_HEADS, *(tuple(map(str, row.values())) for row in rows)], width)
    if len(layers) > len(rows):
        lines.append(f"  ... and {len(layers) - len(rows)} more: --all-layers")
    return lines


def _layer_facts(op: MvmOp, names: Mapping[str, str]) -> dict[str, Any]:
    """Return where a layer lies: its matrix, how it is cut into blocks, in how many tiles, vectors of one sample."""
    group, *sides = op.matrix
    spots = int_values(op.blocks)
    copies = f"{op.copies} x " if op.copies > 1 else ""
    cells = (
        names[op.label.data],
        " x ".join(map(str, sides if group == 1 else op.matrix)),
        f"{copies}{len(spots) // 3 // op.copies}{_cut(op)}",
        len(set(spots[::3])),
        _vectors(op),
    )
    return dict(zip(LAYER_HEADS, cells, strict=True))


def _cut(op: MvmOp) -> str:
    """Return how a layer was cut, where it was: row blocks x column blocks, and the largest of them."""
    rows, cols = (np.diff(int_values(cuts)) for cuts in (op.row_cuts, op.col_cuts))
    if len(rows) == len(cols) == 1:
        return ""
    return f": {len(rows)} x {len(cols)} of {rows.max()} x {cols.max()}"
