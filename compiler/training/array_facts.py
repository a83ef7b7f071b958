"""What the compiler decides about a layer on the array: codes read, blocks of rows, conductance ranges, the ADC."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from cimc.diagnostics import fail
from cimc.driving.driver import Request, run_pipeline
from cimc.ir import nn
from cimc.ir.attributes import int_values
from cimc.ir.facts import APART, AVERAGED, GAIN, PEAKS, ROWS
from cimc.ir.graph import Graph
from cimc.ir.location import names_of
from cimc.ir.types import code_of, shape_of
from cimc.ir.xbar import DepthwiseOp, MvmOp
from cimc.passes.calibrate import ranges_read
from cimc.passes.chosen import Chosen
from cimc.passes.dither import constant_channels, driven
from cimc.passes.layer_bits import FULL
from cimc.passes.pipeline import behind_stage, bits_budget, up_to_pass
from cimc.passes.row_copies import code_read


class Codes(NamedTuple):
    """Codes as arrays for jax: what one is worth, and the lowest and the highest, counted from the zero point."""

    scale: Any
    low: Any
    high: Any


class Converters(NamedTuple):
    """Of one layer, as arrays for jax: the codes that it reads, and how its columns are scaled.

    `peak` (row block, column) is the largest |array sum| that a column's conductance range has room for, codes x
    conductance at full conductance; `gain` is the ADC's. Columns that stand several times lie copy by copy, and give
    codes `averaged`, of which the mean is taken; a constant row adds `apart` (columns) ADC codes to what each converts.
    Where each row stands `rows` times, a code is spread over them.
    """

    scale: Any
    zero: Any
    low: Any
    high: Any
    peak: Any
    gain: Any
    averaged: Codes | None = None
    rows: Any = np.float32(1.0)
    apart: Any = np.float32(0.0)

    def copies(self, outputs: int) -> int:
        """Return how often each column of a layer with so many outputs stands."""
        return int(self.peak.shape[1]) // outputs


class Product(NamedTuple):
    """What a layer is in the tile graph: the label of its product, and how many groups that has."""

    label: str
    groups: int


@dataclass(frozen=True)
class ArrayFacts:
    """Of every layer on the array, by label: converters, where its rows are cut, its product; of the chip: its codes.

    `reach` is the largest |input| of every layer, the digital ones included. `coded`: label of a value, where all that
    read it read the codes of a layer -> that layer. `skips`: zeros are not programmed.
    """

    converters: Mapping[str, Converters]
    cuts: Mapping[str, tuple[tuple[int, int], ...]]
    products: Mapping[str, Product]
    reach: Mapping[str, float]
    coded: Mapping[str, str]
    full: int
    adc: tuple[int, int]
    skips: bool = False


def measured(graph: Graph, request: Request) -> ArrayFacts:
    """Return the facts of a graph at stage `graph`, which the passes change; the request holds all passes and data.

    Raises CimcError CIM0121 where the passes map a layer to anything but one product, on whose devices it would learn,
    or the mean of a product's columns, where weights were chosen to have fewer bits, and where passes choose bits.
    """
    _require_settled_bits(request)
    _require_whole_weights(request.chosen)
    wanted, reads = [op for op in graph.operations if isinstance(op, nn.Layer)], ranges_read(graph, request.target)
    found = run_pipeline(graph, replace(request, pipeline=_up_to(request.pipeline), start="graph", observer=None))
    target = request.target
    layers = [op for op in found.operations if isinstance(op, MvmOp)]
    _require_products(wanted, found)
    return ArrayFacts(
        {_layer_of(op): _converters(found, op, target.full_conductance) for op in layers},
        {_layer_of(op): _cuts(op) for op in layers},
        {_layer_of(op): Product(op.label.data, op.matrix[0]) for op in layers},
        {_layer_of(op): _reach(op) for op in found.operations if isinstance(op, MvmOp | DepthwiseOp)},
        _coded(found, {_layer_of(op): op for op in layers}, reads),
        target.full_conductance,
        (target.adc_range[0], target.adc_range[1]),
        any(op.skip_zeros is not None for op in layers if op.diagonal is None),
    )


def _require_settled_bits(request: Request) -> None:
    budget = bits_budget(request.pipeline, request.target)
    if budget > 0.0:
        message = (
            f"mixed-precision{{budget={budget:g}}} chooses bits by the weights, anew whenever training changes them"
        )
        hint = "choose them before, with `cimc tune --within ns=SHARE`, and give what that writes with --ranges"
        raise fail("CIM0121", message, hint=hint)


def _require_whole_weights(chosen: Chosen) -> None:
    for label, (_, bits) in chosen.bits.items():
        if bits < FULL:
            message = f"training does not round the weights of {label!r} to {bits} bits, as its ranges say"
            hint = "train with the bits of inputs alone, those of `cimc tune --within ns=SHARE` or nJ=SHARE"
            raise fail("CIM0121", message, hint=hint)


def _require_products(wanted: Sequence[nn.Layer], found: Graph) -> None:
    known = {_layer_of(op) for op in found.operations if isinstance(op, MvmOp | DepthwiseOp)}
    for op in wanted:
        if op.label.data not in known:
            hint = "leave raised bits, slices and offsets out of --set, and give them to `cimc compile` alone"
            message = (
                f"training does not know how chips compute {op.label.data!r}, which is no product of its own there"
            )
            raise fail("CIM0121", message, node=", ".join(names_of(op.location)), hint=hint)


def _coded(graph: Graph, layers: Mapping[str, MvmOp], reads: Mapping[str, str]) -> dict[str, str]:
    """Return the layer whose codes a value has itself; one requantised for its layers, or relabelled, is left out."""
    values = {op.label.data: op.out for op in graph.operations if isinstance(op, nn.Computed)}
    read = ((label, reads[label]) for label in layers if reads.get(label) in values)
    return {value: label for label, value in read if code_of(values[value]) == code_read(layers[label])}


def _layer_of(op: MvmOp | DepthwiseOp) -> str:
    """Return the label of the layer that a product computes, in the graph that is trained."""
    return AVERAGED.get(op) or op.label.data


def _up_to(pipeline: str) -> str:
    """Return what a pipeline runs behind stage `graph`, up to column-ranges: there all facts are found."""
    return up_to_pass(behind_stage(pipeline, "graph"), "column-ranges")


def _cuts(op: MvmOp) -> tuple[tuple[int, int], ...]:
    """Return the first row of each row block, and the one behind it; with further rows of its own, all are in one."""
    channels, count = shape_of(op.x)[-1], ROWS.get(op) or 1
    given = channels - constant_channels(op)
    cuts = [cut * given // (channels * count) for cut in int_values(op.row_cuts)]
    return tuple(pairwise(cuts))


def _converters(graph: Graph, op: MvmOp, full: int) -> Converters:
    """Return the converters of a layer; its gain is its tile's, or that of the whole chip."""
    code = code_read(op)
    multiplier, shift = GAIN.get(op) or GAIN.of(graph.module)
    gain = multiplier / 2.0**shift
    peaks = np.asarray(graph.weights.get(PEAKS.of(op)), np.float64)
    outputs = np.moveaxis(peaks, 1, 0).reshape(peaks.shape[1], -1)
    scale, zero, low, high = (np.float32(one.data) for one in (code.scale, code.zero, code.low, code.high))
    averaged = _codes(op) if AVERAGED.get(op) else None
    rows = np.float32(ROWS.get(op) or 1)
    peak, gain_of_adc = outputs.astype(np.float32), np.float32(gain)
    return Converters(scale, zero, low, high, peak, gain_of_adc, averaged, rows, _apart(op, gain, full))


def _apart(op: MvmOp, gain: float, full: int) -> Any:
    """Return what a constant row adds to each column, in ADC codes; 0 where there is none."""
    copies = APART.get(op)
    if copies is None:
        return np.float32(0.0)
    drive, held = driven(copies, code_of(op.x), 1.0 / gain, full)
    return np.repeat(drive * held * gain, op.matrix[2] // copies).astype(np.float32)


def _codes(op: MvmOp) -> Codes:
    """Return the codes of a product's results."""
    code = code_of(op.out)
    low, high = (np.float32(end.data - code.zero.data) for end in (code.low, code.high))
    return Codes(np.float32(code.scale.data), low, high)


def _reach(op: MvmOp | DepthwiseOp) -> float:
    code = code_read(op) if isinstance(op, MvmOp) else code_of(op.x)
    return float(code.scale.data * max(code.high.data - code.zero.data, code.zero.data - code.low.data))
