"""How weights become conductances: as differences, with an offset, in slices of a few bits, or several times.

The choices of Xiao et al., "On the accuracy of analog neural network inference accelerators" (arXiv 2109.01262), as
rewrites of the float graph: what follows, proof included, needs to know nothing of them.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from xdsl.ir import Operation, SSAValue

from cimc.diagnostics import fail
from cimc.ir import build, nn
from cimc.ir.attributes import int_value, text
from cimc.ir.build import Window, again
from cimc.ir.facts import APART, AVERAGED, SKIP_ZEROS
from cimc.ir.graph import Graph
from cimc.ir.location import replace
from cimc.ir.types import WeightRef, shape_of
from cimc.passes.choices import require_choice

WEIGHT_LEVELS = 127
"""Levels of a weight's magnitude in 8-bit symmetric codes."""
WEIGHT_BITS = 7
"""Bits of a weight's magnitude."""
MOST_COLUMNS = 64
"""Of one column: an average pool over so many is exact."""


ROUNDINGS = ("alike", "apart")
"""What the option `rounding` may say."""


@dataclass(frozen=True)
class WeightMapping:
    """Map the weights of dense layers and convolutions; depthwise layers stay as they are.

    `weights` is differential: a pair of devices holds a weight's sign and magnitude; offset: one device holds weight +
    offset, and a further column of offsets is subtracted from every output (layers of one group); sliced: `slices`
    differential columns hold digits of the 8-bit weight, joined behind their ADCs by powers of two; averaged: each
    column stands `columns` times, and the mean of what their ADCs give counts (layers of one group, of at most `rows`
    rows where that is not 0: few rows average few errors). With rounding=apart a constant row shifts what each copy
    converts by a part of an ADC code, so that the mean has `columns` times as fine steps (passes/dither.py).
    """

    name: ClassVar[str] = "weight-mapping"
    weights: str = "differential"
    slices: int = 2
    columns: int = 2
    rows: int = 0
    rounding: str = "alike"

    def __call__(self, graph: Graph) -> Graph:
        require_choice(self.name, "weights", self.weights, WAYS)
        require_choice(self.name, "rounding", self.rounding, ROUNDINGS)
        for option, most in (("slices", WEIGHT_BITS), ("columns", MOST_COLUMNS)):
            if not 1 <= (found := getattr(self, option)) <= most:
                raise fail("CIM0305", f"weight-mapping{{{option}}} is {found}", hint=f"1 to {most} are possible")
        if self.rows < 0:
            raise fail("CIM0305", f"weight-mapping{{rows}} is {self.rows}", hint="0, which is all layers, is the least")
        for op in graph.operations:
            if isinstance(op, nn.Layer) and not op.is_depthwise:
                WAYS[self.weights](graph, op, self)
        return graph


def _differential(graph: Graph, op: nn.Layer, how: WeightMapping) -> None:
    """Leave a layer as it is: conductances are differences unless something else is asked for."""


def _offset(graph: Graph, op: nn.Layer, how: WeightMapping) -> None:
    """W x = (W + m) x - m x, with m the largest magnitude of W and the last product in a column of its own."""
    if isinstance(op, nn.ConvOp) and int_value(op.group) > 1:
        return
    label, outputs = op.label.data, op.weight.dims[-1]
    weight = graph.weights.reals(op.weight)
    most = float(np.abs(weight).max(initial=0.0))
    column = np.full((*weight.shape[:-1], 1), most)
    held = graph.weights.add(f"{label}.offset", np.concatenate([weight + most, column], axis=-1).astype(np.float32))
    bias = op.bias and graph.weights.add(f"{label}.offset_bias", np.append(graph.weights.get(op.bias), np.float32(0)))
    shape = shape_of(op.out)
    raw = _layer(op, f"{label}.raw", held, bias, (*shape[:-1], outputs + 1))
    SKIP_ZEROS.note(raw, True)
    zeros, ones = [0] * len(shape), [1] * len(shape)
    sums = build.slice_(raw.out, zeros, ones, shape, f"{label}.sums")
    reference = build.slice_(raw.out, [*zeros[:-1], outputs], ones, (*shape[:-1], 1), f"{label}.reference")
    _finish(op, [raw, sums, reference], build.sub(sums.out, reference.out, label))


def _averaged(graph: Graph, op: nn.Layer, how: WeightMapping) -> None:
    """Every column so many times, side by side, and an average pool over them: devices' errors average as well."""
    many_rows = 0 < how.rows < math.prod(op.weight.dims[:-1])
    if many_rows or (isinstance(op, nn.ConvOp) and int_value(op.group) > 1):
        return
    label, outputs, count, shape = op.label.data, op.weight.dims[-1], how.columns, shape_of(op.out)
    held, bias = _repeated(graph, op.weight, count), op.bias and _repeated(graph, op.bias, count)
    columns = _layer(op, columns_of(label), held, bias, (*shape[:-1], count * outputs))
    AVERAGED.note(columns, label)
    if how.rounding == "apart" and count > 1:
        APART.note(columns, count)
    apart = build.reshape(columns.out, (math.prod(shape[:-1]), count, outputs), f"{label}.apart")
    mean = build.avg_pool(apart.out, Window((1, count), (1, count)), (0, 0, 0, 0), f"{label}.mean")
    if op.clamp is not None:
        mean.properties["clamp"] = op.clamp
    replace(op, [columns, apart, mean, build.reshape(mean.out, shape, label)])


def columns_of(label: str) -> str:
    """Return the label of the product that has a layer's columns several times."""
    return f"{label}.columns"


def _repeated(graph: Graph, ref: WeightRef, count: int) -> WeightRef:
    array = graph.weights.get(ref)
    return graph.weights.add(f"{ref.key.data}.columns", np.concatenate([array] * count, axis=-1))


def _sliced(graph: Graph, op: nn.Layer, how: WeightMapping) -> None:
    """W = sum of digits of its 8-bit codes times powers of two, each digit's layer on its own."""
    label = op.label.data
    parts = [part for part in _digits(graph.weights.get(op.weight), how.slices) if part.any()]
    if len(parts) < 2:
        return
    made: list[Operation] = []
    total: SSAValue | None = None
    for number, part in enumerate(parts):
        last = number == len(parts) - 1
        held = graph.weights.add(f"{label}.digits{number}", part.astype(np.float32))
        one = _layer(op, f"{label}.slice{number}", held, op.bias if last else None, shape_of(op.out))
        made.append(one)
        if total is None:
            total = one.out
        elif last:
            _finish(op, made, build.add(total, one.out, label))
        else:
            made.append(build.add(total, one.out, f"{label}.joined{number}"))
            total = made[-1].results[0]


def _digits(weight: NDArray[np.generic], slices: int) -> list[NDArray[np.float64]]:
    """Return the parts of 8-bit weights, lowest digits first, in real units."""
    real = np.asarray(weight, np.float64)
    step = np.abs(real).max(axis=tuple(range(real.ndim - 1))) / WEIGHT_LEVELS
    codes = np.rint(real / np.where(step > 0.0, step, 1.0)).astype(np.int64)
    bits = math.ceil(WEIGHT_BITS / slices)
    mask = (1 << bits) - 1
    digits = [(np.abs(codes) >> (bits * place) & mask) << (bits * place) for place in range(slices)]
    return [np.sign(codes) * digit * step for digit in digits]


def _layer(op: nn.Layer, label: str, weight: WeightRef, bias: WeightRef | None, shape: tuple[int, ...]) -> nn.Computed:
    """Return a layer like `op`, without its activation."""
    return again(op, [op.x], shape, label=text(label), weight=weight, bias=bias, clamp=None, steps=None)


def _finish(op: nn.Layer, made: list[Operation], last: nn.AddOp | nn.SubOp) -> None:
    """Put the operations in place of the layer, whose activation the last one takes over."""
    if op.clamp is not None:
        last.properties["clamp"] = op.clamp
    replace(op, [*made, last])


WAYS: Mapping[str, Callable[[Graph, Any, WeightMapping], None]] = {
    "differential": _differential,
    "offset": _offset,
    "sliced": _sliced,
    "averaged": _averaged,
}
"""What the option `weights` may say."""
