"""Depthwise layers whose taps have more than 8 bits: the digital unit runs twice, on high and on low digits of them."""

import numpy as np
from numpy.typing import NDArray
from xdsl.ir import Operation

from cimc.diagnostics import fail
from cimc.ir.attributes import Floats, int_value, text
from cimc.ir.graph import Graph
from cimc.ir.nn import ConvOp
from cimc.ir.types import CodeType, code_of, code_tensor, shape_of
from cimc.ir.xbar import DepthwiseOp, window_of
from cimc.passes.requantise import Integers, clamp_of, multipliers_and_offsets, rounding_of
from cimc.passes.slices import PARTIAL_BITS, Digits, partial_code, rounded_sum

Part = tuple[Integers, Integers, Integers]
"""Digits of taps (taps, outputs), multipliers and offsets of the outputs."""


def fine_taps(graph: Graph, op: ConvOp, digits: Digits) -> list[Operation]:
    """Return the two runs of a depthwise layer on the digits of its taps, and the addition that rounds once.

    A tap is a code radix h + l of its output channel, the largest one -most or most. Partial sums are cut as those of
    slices. Raises CimcError CIM0304.
    """
    label, y = op.label.data, code_of(op.out)
    parts, shift = _parts(graph, op, digits)
    cut = _cut(parts, code_of(op.x))
    if cut > shift:
        message = f"value '{label}': sums of taps of more than 8 bits leave 32 bits"
        raise fail("CIM0304", message, hint="set im2col{tap_bits=8}, or check the ranges of this value")
    runs = [
        run_of_taps(graph, op, f"{label}.taps.{name}", part, cut, partial_code(y, shift - cut))
        for name, part in zip(("high", "low"), parts, strict=True)
    ]
    return [*runs, rounded_sum(label, runs[0].out, runs[1].out, y, shift - cut, clamp_of(y, op.clamp))]


def _parts(graph: Graph, op: ConvOp, digits: Digits) -> tuple[list[Part], int]:
    """Return what runs on the high and on the low digits, and the shift that both have in common."""
    x, y = code_of(op.x), code_of(op.out)
    weight = graph.weights.reals(op.weight)
    largest = np.max(np.abs(weight), axis=(0, 1, 2))
    steps = np.where(largest > 0.0, largest, 1.0) / digits.most
    codes = np.rint(weight / steps).astype(np.int64).reshape(-1, weight.shape[-1])
    high = np.rint(codes / digits.radix).astype(np.int64)
    ratio = x.scale.data * steps / y.scale.data
    added = graph.bias_of(op) / y.scale.data
    ratios = np.stack([ratio * digits.radix, ratio])
    scales, offset, shift = multipliers_and_offsets(ratios, added, op.label.data)
    biases = [offset, np.zeros(len(steps), np.int64)]
    taps = [high, codes - digits.radix * high]
    return [
        (own, scale, offset - x.zero.data * own.sum(axis=0) * scale)
        for own, scale, offset in zip(taps, scales, biases, strict=True)
    ], shift


def _cut(parts: list[Part], x: CodeType) -> int:
    """Return how many bits of the accumulators are rounded away so that the partial sums fit into memory."""
    most = max(abs(x.low.data), abs(x.high.data))
    reach: NDArray[np.object_] = sum(
        np.abs(taps).sum(axis=0).astype(object) * most * np.abs(scale) + np.abs(offset) for taps, scale, offset in parts
    )
    return max(int(max(reach, default=0)).bit_length() - PARTIAL_BITS, 0)


def run_of_taps(
    graph: Graph, op: ConvOp, label: str, part: Part, shift: int, out: CodeType, clamp: Floats | None = None
) -> DepthwiseOp:
    """Return one run of a depthwise layer on taps of 8 bits, whose accumulators are rounded by a shift to codes."""
    taps, scale, offset = part
    channels, (height, width) = int_value(op.group), op.weight.dims[:2]
    apart = taps.reshape(height * width, channels, -1).astype(np.int8)
    return DepthwiseOp.create(
        operands=[op.x],
        result_types=[code_tensor(shape_of(op.out), out)],
        properties={
            "label": text(label),
            "window": window_of(op, (height, width)),
            "weights": graph.weights.add(f"{label}.taps", apart),
            **rounding_of(graph, label, scale, offset, shift),
            **clamp_of(out, clamp),
        },
    )
