"""Lowers `xbar.mvm`: im2col vectors, block products, ADC, digital epilogue.

Every intermediate is an integer, or an integer times a power of two, below the bounds checked here. So no rewrite of
onnxruntime's optimiser (scales folded into products, other orders of summation) can change a bit.
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import TypeVar

import numpy as np
from xdsl.ir import Attribute

from cimc.diagnostics import fail
from cimc.evaluate import bounds, layout
from cimc.evaluate.builder import Array, Builder, Lowerings
from cimc.evaluate.codes import clip, quantise, rescale
from cimc.evaluate.nn_float import real
from cimc.evaluate.window import XbarWindow, im2col
from cimc.ir import xbar
from cimc.ir.attributes import int_value, int_values
from cimc.ir.types import code_of, shape_of
from cimc.isa.limits import ACCUMULATOR_LIMIT, PRODUCT_LIMIT, SUM_LIMIT

Given = TypeVar("Given", bound=Attribute)


def mvm(b: Builder, op: xbar.MvmOp) -> str:
    return _simulated(b, op) if op.conductance is None else _crossbar(b, op)


@dataclass(frozen=True)
class Adc:
    """code = clip(round(sum * multiplier / 2^shift))."""

    multiplier: int
    shift: int
    low: int
    high: int

    @staticmethod
    def of(op: xbar.MvmOp) -> "Adc":
        given = (op.adc_multiplier, op.adc_shift, op.adc_low, op.adc_high)
        return Adc(*(int_value(_required(op, part)) for part in given))

    def convert(self, b: Builder, sums: str) -> str:
        """Return double codes of double sums."""
        scaled = b.node("Mul", sums, b.double(self.multiplier * 2.0**-self.shift))
        return clip(b, b.node("Round", scaled), self.low, self.high)

    def reach(self, sums: Array) -> Array:
        """Return the largest magnitude of the codes of sums up to `sums`, per column."""
        unclipped = (sums * self.multiplier >> self.shift) + 1
        return np.asarray(np.minimum(unclipped, max(abs(self.low), abs(self.high))))


def _simulated(b: Builder, op: xbar.MvmOp) -> str:
    """The layer before it has conductances: real weights on the real values of x."""
    weight = b.real_weights(_required(op, op.weight))
    vectors = _vectors(b, op, real(b, op.x), 0.0)
    y = _merged(b, op, b.node("MatMul", vectors, b.single(_of_groups(weight))))
    y = y if op.bias is None else b.node("Add", y, b.single(b.real_weights(op.bias)))
    return quantise(b, y, code_of(op.out), (int_value(op.low), int_value(op.high)))


def _crossbar(b: Builder, op: xbar.MvmOp) -> str:
    refs = (op.conductance, op.scale, op.offset)
    conductance, scale, offset = (b.integers(_required(op, ref)) for ref in refs)
    offset = offset.reshape(conductance.shape[0], -1)
    vectors = _vectors(b, op, b.names[op.x], code_of(op.x).zero.data)
    blocks = _row_blocks(op)
    _check_accumulator(op, conductance, scale, offset)
    terms = []
    for number, (first, last) in enumerate(blocks):
        part = vectors if len(blocks) == 1 else layout.cut(b, vectors, (first,), (last - first,), (1,), _row_axis(op))
        codes = _codes(b, op, part, conductance[:, first:last])
        terms.append(b.node("Mul", codes, b.double(_of_groups(scale[:, number, None]))))
    total = terms[0] if len(terms) == 1 else b.node("Sum", *terms)
    total = b.node("Add", total, b.double(_of_groups(offset[:, None])))
    return _merged(b, op, rescale(b, total, int_value(_required(op, op.shift)), int_value(op.low), int_value(op.high)))


def _codes(b: Builder, op: xbar.MvmOp, vectors: str, block: Array) -> str:
    """Return the codes of products, joined of those of their read phases."""
    adc, phases = Adc.of(op), _read_phases(op)
    if phases == 1:
        return adc.convert(b, _exact_product(b, op, vectors, block))
    sides = [block] if phases == 2 else [np.maximum(block, 0), np.maximum(-block, 0)]
    codes = []
    for number, inputs in enumerate(_by_sign(b, op, vectors)):
        for side, matrix in enumerate(sides):
            code = adc.convert(b, _exact_product(b, op, inputs, matrix))
            codes.append(code if number == side else b.node("Neg", code))
    return codes[0] if len(codes) == 1 else b.node("Sum", *codes)


def _by_sign(b: Builder, op: xbar.MvmOp, vectors: str) -> list[str]:
    """Return the positive part of vectors and, where their codes can be negative, the negative part."""
    if code_of(op.x).low.data >= 0:
        return [vectors]
    return [b.node("Relu", vectors), b.node("Relu", b.node("Neg", vectors))]


def _read_phases(op: xbar.MvmOp) -> int:
    return 1 if op.read_phases is None else int_value(op.read_phases)


def _required(op: xbar.MvmOp, attribute: Given | None) -> Given:
    if attribute is None:
        wanted = "a weight, or a conductance with ADC, scale, offset and shift"
        raise fail("CIM0306", f"the mvm of '{op.label.data}' is half described: it needs {wanted}", operator=op.name)
    return attribute


def _exact_product(b: Builder, op: xbar.MvmOp, vectors: str, block: Array) -> str:
    """Return the array sums in double, multiplied in float32 where no partial sum can leave its exact integers."""
    reach = bounds.largest(_sums(op, block))
    if reach < bounds.SINGLE:
        return b.to_double(b.node("MatMul", vectors, b.single(_of_groups(block))))
    return b.node("MatMul", b.to_double(vectors), b.double(_of_groups(block)))


def _check_accumulator(op: xbar.MvmOp, conductance: Array, scale: Array, offset: Array) -> None:
    adc = Adc.of(op)
    sums = [_sums(op, conductance[:, first:last]) for first, last in _row_blocks(op)]
    reach = max(bounds.largest(part) for part in sums)
    bounds.require(op, "array sum", reach, SUM_LIMIT)
    bounds.require(op, "product of array sum and ADC multiplier", reach * adc.multiplier, PRODUCT_LIMIT)
    signs = 2 if _read_phases(op) > 1 and code_of(op.x).low.data < 0 else 1
    codes = [adc.reach(part) * signs for part in sums]
    total = bounds.weighted(codes, [scale[:, number] for number in range(len(sums))], offset)
    bounds.require(op, "accumulator", total, ACCUMULATOR_LIMIT)


def _sums(op: xbar.MvmOp, block: Array) -> Array:
    """Return the largest magnitude of the array sums, and of any part of them, per group and column."""
    return np.asarray(np.abs(block).sum(axis=1) * bounds.magnitude(op.x))


def _row_blocks(op: xbar.MvmOp) -> list[tuple[int, int]]:
    """Return first and last row of the blocks; the ends may or may not be among the cuts."""
    edges = sorted({0, op.matrix[1], *int_values(op.row_cuts)})
    return list(pairwise(edges))


def _vectors(b: Builder, op: xbar.MvmOp, x: str, fill: float) -> str:
    """Return (..., rows), or with more than one group (group, vectors, rows)."""
    group, rows, _ = op.matrix
    shape = shape_of(op.x)
    taps, lead = 1, shape[:-1]
    if op.window is not None:
        window = XbarWindow.of(op.window)
        taps, lead = window.taps, window.positions
        x = im2col(b, x, shape, window, fill)
    if group == 1:
        return x
    apart = layout.reshape(b, x, (int(np.prod(lead)), taps, group, rows // taps))
    return layout.reshape(b, layout.transpose(b, apart, (2, 0, 1, 3)), (group, int(np.prod(lead)), rows))


def _merged(b: Builder, op: xbar.MvmOp, y: str) -> str:
    """Return the result's shape from (..., cols) or (group, vectors, cols)."""
    return y if op.matrix[0] == 1 else layout.reshape(b, layout.transpose(b, y, (1, 0, 2)), shape_of(op.out))


def _of_groups(table: Array) -> Array:
    return table[0] if table.shape[0] == 1 else table


def _row_axis(op: xbar.MvmOp) -> int:
    return 2 if op.matrix[0] > 1 else len(shape_of(op.out)) - 1


STORED: Lowerings = {
    xbar.MvmOp: mvm,
}
