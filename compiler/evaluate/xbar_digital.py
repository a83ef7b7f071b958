"""Lowers the arithmetic of the digital unit: exact integers in double, one rounding."""

import numpy as np
from onnx import TensorProto

from cimc.evaluate import bounds, layout
from cimc.evaluate.builder import Array, Builder, Lowerings
from cimc.evaluate.codes import clip, rescale
from cimc.evaluate.nn_float import Convolution, convolution, places
from cimc.evaluate.window import XbarWindow, read_region, taps_apart
from cimc.ir import xbar
from cimc.ir.attributes import int_value
from cimc.ir.nn import Computed
from cimc.ir.types import code_of, shape_of
from cimc.isa.limits import ACCUMULATOR_LIMIT

Scaled = xbar.DepthwiseOp | xbar.PoolSumOp | xbar.AffineOp


def depthwise(b: Builder, op: xbar.DepthwiseOp) -> str:
    weights = b.integers(op.weights)
    reach = np.abs(weights).sum(axis=0) * bounds.magnitude(op.x)
    exact = _depthwise_single if bounds.largest(reach) < bounds.SINGLE else _depthwise_double
    return _epilogue(b, op, exact(b, op, weights), reach.reshape(-1), b.integers(op.scale), b.integers(op.offset))


def pool_sum(b: Builder, op: xbar.PoolSumOp) -> str:
    window = XbarWindow.of(op.window)
    taps = taps_apart(b, b.names[op.x], shape_of(op.x), window, code_of(op.x).zero.data)
    sums = b.node("ReduceSum", b.to_double(taps), b.ints([3]), keepdims=0)
    scale, offset = (_per_position(b.integers(ref), window) for ref in (op.scale, op.offset))
    return _epilogue(b, op, sums, window.taps * bounds.magnitude(op.x), scale, offset)


def pool_max(b: Builder, op: xbar.PoolMaxOp) -> str:
    taps = taps_apart(b, b.names[op.x], shape_of(op.x), XbarWindow.of(op.window), code_of(op.x).low.data)
    largest = b.node("ReduceMax", taps, b.ints([3]), keepdims=0)
    return b.node("Clip", largest, b.single(int_value(op.low)), b.single(int_value(op.high)))


def affine(b: Builder, op: xbar.AffineOp) -> str:
    scale, offset = (_periodic(b.integers(ref), shape_of(op.x)) for ref in (op.scale, op.offset))
    return _epilogue(b, op, b.to_double(b.names[op.x]), bounds.magnitude(op.x), scale, offset)


def add(b: Builder, op: xbar.AddOp) -> str:
    factors, bias = (int_value(op.ma), int_value(op.mb)), int_value(op.bias)
    _check_total(op, bounds.weighted([bounds.magnitude(op.a), bounds.magnitude(op.b)], factors, bias))
    terms = [b.node("Mul", x, b.double(m)) for x, m in zip(_operands(b, op), factors, strict=True)]
    total = b.node("Add", b.node("Add", *terms), b.double(bias))
    return rescale(b, total, int_value(op.shift), int_value(op.low), int_value(op.high))


def mul(b: Builder, op: xbar.MulOp) -> str:
    zeros, m, bias = (int_value(op.za), int_value(op.zb)), int_value(op.m), int_value(op.bias)
    left, right = (bounds.magnitude(x) + abs(zero) for x, zero in zip((op.a, op.b), zeros, strict=True))
    _check_total(op, bounds.weighted([left * right], [m], bias))
    factors = [b.node("Sub", x, b.double(zero)) for x, zero in zip(_operands(b, op), zeros, strict=True)]
    total = b.node("Add", b.node("Mul", b.node("Mul", *factors), b.double(m)), b.double(bias))
    return rescale(b, total, int_value(op.shift), int_value(op.low), int_value(op.high))


def div(b: Builder, op: xbar.DivOp) -> str:
    """The quotient in double rounds like the exact one, as in softmax: |dividend| < 2^52 is checked."""
    za, zb, m, zero = (int_value(part) for part in (op.za, op.zb, op.m, op.zero))
    low, high = int_value(op.low), int_value(op.high)
    bounds.require(op, "dividend", (bounds.magnitude(op.a) + abs(za)) * abs(m), ACCUMULATOR_LIMIT)
    a, divisor = (b.node("Sub", x, b.double(point)) for x, point in zip(_operands(b, op), (za, zb), strict=True))
    dividend, none = b.node("Mul", a, b.double(m)), b.double(0.0)
    is_zero = b.node("Equal", divisor, none)
    quotient = b.node("Div", dividend, b.node("Where", is_zero, b.double(1.0), divisor))
    rounded = b.node("Round", b.node("Mul", quotient, b.double(2.0 ** -int_value(op.shift))))
    ends = b.node("Mul", b.node("Sign", dividend), b.double(2.0**40))
    y = b.node("Add", b.node("Where", is_zero, ends, rounded), b.double(zero))
    return b.to_single(clip(b, y, low, high))


def arg_max(b: Builder, op: xbar.ArgMaxOp) -> str:
    return places(b, b.names[op.x], bool(int_value(op.which)), bool(int_value(op.tie)))


def softmax(b: Builder, op: xbar.SoftmaxOp) -> str:
    """The quotient in double rounds like the exact one: numerator * sum < 2^52 is checked.

    A quotient that is not a half differs from every half by at least 1 / (2 * sum); double changes it by at most
    numerator * 2^-53, which is less.
    """
    x, table = b.names[op.x], b.integers(op.table)
    _check_softmax(op, table)
    below = b.node("Sub", b.node("ReduceMax", x, b.ints([-1]), keepdims=1), x)
    index = b.node("Cast", b.node("Min", below, b.single(len(table) - 1)), to=TensorProto.INT32)
    e = b.node("Gather", b.double(table), index, axis=0)
    scaled = b.node("Mul", e, b.double(int_value(op.numerator)))
    quotient = b.node("Div", scaled, b.node("ReduceSum", e, b.ints([-1]), keepdims=1))
    y = b.node("Add", b.node("Round", quotient), b.double(int_value(op.zero)))
    return b.to_single(clip(b, y, int_value(op.low), int_value(op.high)))


def lut(b: Builder, op: xbar.LutOp) -> str:
    index = b.node("Cast", b.node("Sub", b.names[op.x], b.single(int_value(op.first))), to=TensorProto.INT32)
    return b.node("Gather", b.single(b.integers(op.table)), index, axis=0)


def _epilogue(b: Builder, op: Scaled, sums: str, reach: Array | int, scale: Array, offset: Array) -> str:
    """Return clamp(round((sums * scale + offset) / 2^shift)) of double sums up to `reach`."""
    _check_total(op, bounds.weighted([reach], [scale], offset))
    total = b.node("Add", b.node("Mul", sums, b.double(scale)), b.double(offset))
    return rescale(b, total, int_value(op.shift), int_value(op.low), int_value(op.high))


def _check_total(op: Computed, reach: int) -> None:
    bounds.require(op, "accumulator", reach, ACCUMULATOR_LIMIT)


def _check_softmax(op: xbar.SoftmaxOp, table: Array) -> None:
    if table.min() < 0 or table[0] == 0:
        raise bounds.broken(op, "the table must hold numbers from 0 up and start with one above 0")
    total = shape_of(op.x)[-1] * bounds.largest(table)
    bounds.require(op, "product of numerator and sum", int_value(op.numerator) * total, ACCUMULATOR_LIMIT)


def _depthwise_single(b: Builder, op: xbar.DepthwiseOp, weights: Array) -> str:
    """Return the tap sums, exact in float32."""
    window, channels = XbarWindow.of(op.window), shape_of(op.x)[2]
    region = read_region(b, b.names[op.x], shape_of(op.x), window, code_of(op.x).zero.data)
    how = Convolution(window.stride, window.dilation, (0, 0, 0, 0), channels)
    return b.to_double(convolution(b, region, weights.reshape(*window.kernel, 1, -1), None, how))


def _depthwise_double(b: Builder, op: xbar.DepthwiseOp, weights: Array) -> str:
    """Return the tap sums of codes too wide for float32, tap by tap: onnxruntime has no convolution in double."""
    window = XbarWindow.of(op.window)
    taps = taps_apart(b, b.names[op.x], shape_of(op.x), window, code_of(op.x).zero.data)
    apart = layout.reshape(b, b.to_double(taps), (*window.positions, window.taps, shape_of(op.x)[2], 1))
    sums = b.node("ReduceSum", b.node("Mul", apart, b.double(weights)), b.ints([3]), keepdims=0)
    return layout.reshape(b, sums, shape_of(op.out))


def _operands(b: Builder, op: xbar.AddOp | xbar.MulOp | xbar.DivOp) -> list[str]:
    rank = len(shape_of(op.out))
    return [layout.with_rank(b, b.to_double(b.names[x]), shape_of(x), rank) for x in (op.a, op.b)]


def _per_position(table: Array, window: XbarWindow) -> Array:
    return table.reshape(-1) if table.size == 1 else table.reshape(*window.positions, 1)


def _periodic(table: Array, shape: tuple[int, ...]) -> Array:
    """Return the table as it lies over a sample: by broadcasting where its period is whole axes, else repeated."""
    for axis in range(len(shape) + 1):
        if table.size == int(np.prod(shape[axis:])):
            return table.reshape(shape[axis:])
    return np.resize(table, shape)


STORED: Lowerings = {
    xbar.DepthwiseOp: depthwise,
    xbar.PoolMaxOp: pool_max,
    xbar.PoolSumOp: pool_sum,
    xbar.AffineOp: affine,
    xbar.AddOp: add,
    xbar.MulOp: mul,
    xbar.DivOp: div,
    xbar.ArgMaxOp: arg_max,
    xbar.LutOp: lut,
    xbar.SoftmaxOp: softmax,
}
