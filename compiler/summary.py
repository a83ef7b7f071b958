"""The one-screen summary of a compile, as text and as one JSON object."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from cimc.backends.conversion import common_range
from cimc.diagnostics import Diagnostic
from cimc.driver import Compilation
from cimc.ir.attributes import int_values
from cimc.ir.location import names_of
from cimc.ir.loops import runs_of
from cimc.ir.types import code_of, shape_of
from cimc.ir.xbar import DepthwiseOp, MvmOp
from cimc.passes.mixed_precision import FULL
from cimc.targets import Target

SHOWN_LAYERS = 12


def summarise(compilation: Compilation, target: Target) -> dict[str, Any]:
    """Return the facts of a compile: `utilisation` is a share from 0 to 1, `mvms` counts for one sample."""
    layers = [op for op in compilation.graph.operations if isinstance(op, MvmOp)]
    used = {spot for op in layers for spot in int_values(op.blocks)[::3]}
    cells = sum(math.prod(op.matrix) for op in layers)
    program = compilation.emission.program
    return {
        "layers": len(layers),
        "tiles": len(used),
        **({"chips": -(-len(used) // target.tiles_a_chip)} if target.tiles_a_chip else {}),
        "utilisation": round(cells / max(len(used) * target.rows * target.columns, 1), 4),
        "static_instructions": len(program.instructions),
        "mvms": sum(_products(op) for op in layers),
        "activation_bytes": program.activation_bytes,
        "payload_bytes": len(program.constants) + len(program.conductances),
        "crossbar_weights": cells,
        "adc": common_range(program),
    }


def render_summary(compilation: Compilation, target: Target, output: str) -> str:
    """Return the summary for people."""
    facts = summarise(compilation, target)
    layers = [op for op in compilation.graph.operations if isinstance(op, MvmOp)]
    tiles = "unbounded" if target.tiles is None else str(target.tiles)
    lines = [
        f"{compilation.graph.name} -> {output}",
        f"  target                   {target.name}: {tiles} x ({target.rows} x {target.columns}), {target.summary}",
        f"  layers on the crossbar   {facts['layers']}, {_depthwise(compilation)} depthwise on the digital unit",
        f"  tiles used               {facts['tiles']} of {tiles}{_chips(facts)}, "
        f"array utilisation {100 * facts['utilisation']:.1f} %",
        f"  static instructions      {facts['static_instructions']}",
        f"  matrix-vector products   {facts['mvms']} a sample",
        f"  activation memory        {facts['activation_bytes']} bytes",
        f"  payload                  {facts['payload_bytes']} bytes (conductance targets and constants)",
        *_range(facts["adc"]),
        *_precision(compilation, layers),
        "",
        *_layer_table(layers),
    ]
    return "\n".join(lines)


def synthetic_warning() -> Diagnostic:
    """Return the loud warning for ranges that come from made-up data."""
    hint = "give real inputs with --calib DATA.npz, or stored ranges with --ranges FILE"
    return Diagnostic(
        "CIM0204", "NO CALIBRATION DATA: ranges come from seeded random inputs, accuracy means nothing", hint=hint
    )


def _chips(facts: Mapping[str, Any]) -> str:
    """Return how many chips the tiles make, where --tiles put several together."""
    count = facts.get("chips")
    return f" = {count} chip{'' if count == 1 else 's'}" if count else ""


def _products(op: MvmOp) -> int:
    blocks = len(int_values(op.blocks)) // 3
    return _vectors(op) * blocks


def _vectors(op: MvmOp) -> int:
    """Return the vectors that one sample streams through a layer."""
    return math.prod(shape_of(op.out)[:-1]) * runs_of(op)


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
    weights = Counter(lowered[op.label.data][1] if op.label.data in lowered else FULL for op in layers)
    return [f"  inputs of layers         {_counts(inputs)}", f"  weights of layers        {_counts(weights)}"]


def _counts(bits: Counter[int]) -> str:
    return ", ".join(f"{count} x {width} bits" for width, count in sorted(bits.items(), reverse=True))


def _layer_table(layers: Sequence[MvmOp]) -> list[str]:
    rows = [("layer", "matrix", "blocks", "tiles", "vectors")]
    for op in layers[:SHOWN_LAYERS]:
        group, height, width = op.matrix
        matrix = f"{height} x {width}" if group == 1 else f"{group} x {height} x {width}"
        spots = int_values(op.blocks)
        name = (names_of(op.location) or (op.label.data,))[0]
        name = name if len(name) <= 40 else "..." + name[-37:]
        rows.append((name, matrix, str(len(spots) // 3), str(len(set(spots[::3]))), str(_vectors(op))))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    ]
    if len(layers) > SHOWN_LAYERS:
        lines.append(f"  ... and {len(layers) - SHOWN_LAYERS} more")
    return lines
