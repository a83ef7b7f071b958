"""Map everything that is not a matrix product to integer operations of the digital unit."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from xdsl.ir import Attribute, Operation

from cimc.ir import functions, nn, xbar
from cimc.ir.attributes import float_value, float_values, int_value, int_values, integer, integers, text
from cimc.ir.facts import EXACT
from cimc.ir.graph import Graph
from cimc.ir.location import replace
from cimc.ir.types import code_of, shape_of
from cimc.passes.digital import matrices
from cimc.passes.digital.strided import dense, strided, transposed
from cimc.passes.requantise import (
    clamp_of,
    multipliers_and_offsets,
    quantised,
    quotient_multiplier,
    rounding_of,
    stored,
)
from cimc.passes.windows import places

EXPONENTIAL_BITS = 20
"""Softmax sums stay below 2^35 for vectors up to 2^15 long, so that a double division rounds as the exact one."""

Made = list[Operation]


@dataclass(frozen=True)
class Digital:
    """Every `nn` operation left after im2col -> `xbar` operations with integer parameters."""

    name: ClassVar[str] = "digital"

    def __call__(self, graph: Graph) -> Graph:
        for op in graph.operations:
            lower = LOWERINGS.get(type(op))
            if lower is not None:
                replace(op, lower(graph, op))
        return graph


def _made(kind: type[nn.Computed], op: nn.Computed, **properties: Attribute) -> Made:
    """Return the one operation that takes over operands, result and label of `op`."""
    properties["label"] = text(op.label.data)
    return [kind.create(operands=list(op.operands), result_types=[op.out.type], properties=properties)]


def _clamped(op: Any) -> Mapping[str, Attribute]:
    return clamp_of(code_of(op.out), op.clamp)


def _with_zero(op: nn.Computed, ratios: NDArray[np.float64]) -> tuple[NDArray[np.int64], int, int]:
    """Return the multipliers of ratios, their shift, and the zero point of the result as part of B."""
    zero = np.array(float(code_of(op.out).zero.data))
    factors, offset, shift = multipliers_and_offsets(ratios, zero, op.label.data)
    return factors, shift, int(offset)


def _affine_constants(
    graph: Graph, op: nn.Computed, scale: NDArray[np.float64], bias: NDArray[np.float64]
) -> Mapping[str, Attribute]:
    x, y = code_of(op.operands[0]), code_of(op.out)
    added = bias / y.scale.data + y.zero.data
    factors, offset, shift = multipliers_and_offsets(scale * x.scale.data / y.scale.data, added, op.label.data)
    return rounding_of(graph, op.label.data, factors, offset - x.zero.data * factors, shift)


def _requantise(graph: Graph, op: nn.RequantiseOp) -> Made:
    constants = _affine_constants(graph, op, np.ones(1), np.zeros(1))
    return _made(xbar.AffineOp, op, **clamp_of(code_of(op.out)), **constants)


def _clamp(graph: Graph, op: nn.ClampOp) -> Made:
    code = code_of(op.out)
    low, high = (int(bound) for bound in quantised(np.array([float_value(op.low), float_value(op.high)]), code))
    constants = _affine_constants(graph, op, np.ones(1), np.zeros(1))
    return _made(xbar.AffineOp, op, **integers(low=low, high=high), **constants)


def _affine(graph: Graph, op: nn.AffineOp) -> Made:
    scale, bias = (graph.weights.reals(ref) for ref in (op.scale, op.bias))
    scale, bias = np.broadcast_arrays(scale, bias)
    inner = next((axis for axis, size in enumerate(scale.shape) if size > 1), scale.ndim)
    period = shape_of(op.x)[inner:]
    flat = [np.broadcast_to(constant.reshape(constant.shape[inner:]), period).ravel() for constant in (scale, bias)]
    return _made(xbar.AffineOp, op, **_clamped(op), **_affine_constants(graph, op, flat[0], flat[1]))


def _sum(graph: Graph, op: nn.AddOp | nn.SubOp) -> Made:
    a, b, y = code_of(op.a), code_of(op.b), code_of(op.out)
    sign = -1.0 if isinstance(op, nn.SubOp) else 1.0
    factors, shift, zero = _with_zero(op, np.array([a.scale.data, sign * b.scale.data]) / y.scale.data)
    ma, mb = int(factors[0]), int(factors[1])
    bias = zero - a.zero.data * ma - b.zero.data * mb
    return _made(xbar.AddOp, op, **_clamped(op), **integers(ma=ma, mb=mb, bias=bias, shift=shift))


def _product(graph: Graph, op: nn.MulOp) -> Made:
    a, b, y = code_of(op.a), code_of(op.b), code_of(op.out)
    factors, shift, bias = _with_zero(op, np.array([a.scale.data * b.scale.data / y.scale.data]))
    constants = integers(za=a.zero.data, zb=b.zero.data, m=int(factors[0]), bias=bias, shift=shift)
    return _made(xbar.MulOp, op, **_clamped(op), **constants)


def _quotient(graph: Graph, op: nn.DivOp) -> Made:
    a, b, y = code_of(op.a), code_of(op.b), code_of(op.out)
    m, shift = quotient_multiplier(a.scale.data / b.scale.data / y.scale.data, op.label.data)
    constants = integers(za=a.zero.data, zb=b.zero.data, m=m, zero=y.zero.data, shift=shift)
    return _made(xbar.DivOp, op, **_clamped(op), **constants)


def _arg_max(graph: Graph, op: nn.ArgMaxOp) -> Made:
    return _made(xbar.ArgMaxOp, op, which=op.which, tie=op.tie)


def _max_pool(graph: Graph, op: nn.MaxPoolOp) -> Made:
    kernel = int_values(op.kernel)
    return _made(xbar.PoolMaxOp, op, window=xbar.window_of(op, (kernel[0], kernel[1])), **_clamped(op))


def _avg_pool(graph: Graph, op: nn.AvgPoolOp) -> Made:
    x, y, kernel = code_of(op.x), code_of(op.out), int_values(op.kernel)
    counts = _tap_counts(op)
    counts = counts[:1] if np.all(counts == counts[0]) else counts
    factors, shift, zero = _with_zero(op, x.scale.data / y.scale.data / counts)
    offset = zero - x.zero.data * kernel[0] * kernel[1] * factors
    window = xbar.window_of(op, (kernel[0], kernel[1]))
    constants = rounding_of(graph, op.label.data, factors, offset, shift)
    return _made(xbar.PoolSumOp, op, window=window, **_clamped(op), **constants)


def _tap_counts(op: nn.AvgPoolOp) -> NDArray[np.float64]:
    """Return the divisor of each output position, row by row."""
    axes: list[NDArray[np.int64]] = []
    counted = int_values(op.counted)
    for axis in (0, 1):
        size, taps = shape_of(op.x)[axis], places(op, axis)
        axes.append(((taps >= -counted[axis]) & (taps < size + counted[axis + 2])).sum(axis=1))
    return np.maximum(np.outer(axes[0], axes[1]).ravel(), 1).astype(np.float64)


def _unary(graph: Graph, op: nn.UnaryOp) -> Made:
    x, y = code_of(op.x), code_of(op.out)
    steps = np.arange(x.low.data, x.high.data + 1, dtype=np.float64) - x.zero.data
    name, parameters = op.function.data, float_values(op.parameters)
    if EXACT.get(op):
        reals = steps.astype(np.float32) * np.float32(x.scale.data)  # as DequantizeLinear multiplies
        values = functions.apply(name, reals.astype(np.float64), parameters)
    else:
        values = functions.of_codes(name, steps, x.scale.data, parameters)
    table = quantised(values, y).astype(y.dtype)
    return _made(xbar.LutOp, op, table=graph.weights.add(f"{op.label.data}.table", table), first=integer(x.low.data))


def _softmax(graph: Graph, op: nn.SoftmaxOp) -> Made:
    x, y = code_of(op.x), code_of(op.out)
    steps = np.arange(x.high.data - x.low.data + 1)
    table = np.rint(np.exp(-steps * x.scale.data) * (1 << EXPONENTIAL_BITS)).astype(np.int32)
    table = table[: int(np.count_nonzero(table)) + 1]
    properties = {
        "table": graph.weights.add(f"{op.label.data}.table", table),
        **integers(numerator=round(1.0 / y.scale.data), zero=y.zero.data),
        **clamp_of(y),
    }
    return _made(xbar.SoftmaxOp, op, **properties)


def _concat(graph: Graph, op: nn.ConcatOp) -> Made:
    return _made(xbar.ConcatOp, op, axis=op.axis)


def _pad(graph: Graph, op: nn.PadOp) -> Made:
    value = int(quantised(np.array([float_value(op.value)]), code_of(op.out))[0])
    return _made(xbar.PadOp, op, before=op.before, after=op.after, value=integer(value))


def _view(graph: Graph, op: nn.ReshapeOp | nn.RecodeOp) -> Made:
    return _made(xbar.ViewOp, op)


def _transpose(graph: Graph, op: nn.TransposeOp) -> Made:
    return transposed(graph, op, int_values(op.order))


def _slice(graph: Graph, op: nn.SliceOp) -> Made:
    pitches, begin, step = dense(shape_of(op.x)), int_values(op.begin), int_values(op.step)
    start = sum(first * pitch for first, pitch in zip(begin, pitches, strict=True))
    return strided(graph, op, start, [s * pitch for s, pitch in zip(step, pitches, strict=True)])


def _select(graph: Graph, op: nn.SelectOp) -> Made:
    return _made(xbar.SelectOp, op, zero=integer(code_of(op.c).zero.data))


def _constant(graph: Graph, op: nn.ConstantOp) -> Made:
    code = code_of(op.out)
    table = stored(graph.weights.get(op.value), code)
    return _made(xbar.ConstantOp, op, table=graph.weights.add(f"{op.label.data}.codes", table))


def _pick(graph: Graph, op: nn.PickOp) -> Made:
    """Evenly spaced entries are a strided copy; anything else needs a table of their numbers."""
    indices, axis = graph.weights.get(op.indices).astype(np.int64), int_value(op.axis)
    steps = np.diff(indices)
    if len(set(steps.tolist())) > 1:
        return _made(xbar.PickOp, op, table=op.indices, axis=op.axis)
    pitches = dense(shape_of(op.x))
    start, step = int(indices[0]) * pitches[axis], int(steps[0]) if steps.size else 0
    pitches[axis] *= step
    return strided(graph, op, start, pitches)


LOWERINGS: Mapping[type[Operation], Callable[[Graph, Any], Made]] = {
    nn.RequantiseOp: _requantise,
    nn.ClampOp: _clamp,
    nn.AffineOp: _affine,
    nn.AddOp: _sum,
    nn.SubOp: _sum,
    nn.MulOp: _product,
    nn.DivOp: _quotient,
    nn.ArgMaxOp: _arg_max,
    nn.MaxPoolOp: _max_pool,
    nn.AvgPoolOp: _avg_pool,
    nn.UnaryOp: _unary,
    nn.SoftmaxOp: _softmax,
    nn.ConcatOp: _concat,
    nn.PadOp: _pad,
    nn.ReshapeOp: _view,
    nn.RecodeOp: _view,
    nn.TransposeOp: _transpose,
    nn.SliceOp: _slice,
    nn.MatMulOp: matrices.matmul,
    nn.NormOp: matrices.norm,
    nn.EmbedOp: matrices.embed,
    nn.SelectOp: _select,
    nn.ConstantOp: _constant,
    nn.PickOp: _pick,
}
