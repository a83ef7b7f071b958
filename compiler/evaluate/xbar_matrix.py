"""Lowers matmul, norm and embed of dialect `xbar`: integers in double or int64, as their bounds allow."""

from math import isqrt

from onnx import TensorProto

from cimc.evaluate import bounds, layout
from cimc.evaluate.builder import Builder, Lowerings
from cimc.evaluate.codes import rescale
from cimc.ir import xbar
from cimc.ir.attributes import int_value
from cimc.ir.types import shape_of
from cimc.isa.limits import ACCUMULATOR_LIMIT, NORM_BITS, ROOT_BITS, ROOT_LIMIT

EXPONENTS = range(ROOT_BITS // 2)
"""A normalisation's sum W is scaled by the largest power of 4 that keeps it below its limit."""


def matmul(b: Builder, op: xbar.MatMulOp) -> str:
    zeros, m, bias = (int_value(op.za), int_value(op.zb)), int_value(op.m), int_value(op.bias)
    left, right = (bounds.magnitude(x) + abs(zero) for x, zero in zip((op.a, op.b), zeros, strict=True))
    reach = shape_of(op.a)[-1] * left * right
    bounds.require(op, "sum of products", reach, ACCUMULATOR_LIMIT)
    bounds.require(op, "accumulator", bounds.weighted([reach], [m], bias), ACCUMULATOR_LIMIT)
    x, y = (b.node("Sub", b.to_double(b.names[x]), b.double(zero)) for x, zero in zip((op.a, op.b), zeros, strict=True))
    sums = b.node("MatMul", x, layout.swapped(b, y, shape_of(op.b)))
    total = b.node("Add", b.node("Mul", sums, b.double(m)), b.double(bias))
    return rescale(b, total, int_value(op.shift), int_value(op.low), int_value(op.high))


def norm(b: Builder, op: xbar.NormOp) -> str:
    n, scale, offset = shape_of(op.x)[-1], b.integers(op.scale), b.integers(op.offset)
    epsilon = int(b.integers(op.epsilon).reshape(-1)[0])
    largest = n * (bounds.magnitude(op.x) + abs(int_value(op.zero)))
    reach = (largest * largest << 2 * int_value(op.fraction)) + epsilon
    bounds.require(op, "sum under the root", reach, ROOT_LIMIT)
    total = bounds.weighted([(isqrt(n) + 2) << NORM_BITS], [scale], offset)
    bounds.require(op, "accumulator", total, ACCUMULATOR_LIMIT)
    h = b.to_double(_normalised(b, op, n, epsilon))
    y = b.node("Add", b.node("Mul", h, b.double(scale)), b.double(offset))
    return rescale(b, y, int_value(op.shift), int_value(op.low), int_value(op.high))


def _normalised(b: Builder, op: xbar.NormOp, n: int, epsilon: int) -> str:
    """Return h in int64: a 16-bit fraction of (u - mean) / sqrt(W / n^2)."""
    x = b.node("Cast", b.names[op.x], to=TensorProto.INT64)
    u = b.node("Sub", x, b.integer(int_value(op.zero)))
    away = b.node("Mul", u, b.integer(n))
    w = b.node("Mul", _summed(b, b.node("Mul", u, u)), b.integer(n))
    if int_value(op.centred):
        s = _summed(b, u)
        away, w = b.node("Sub", away, s), b.node("Sub", w, b.node("Mul", s, s))
    w = b.node("Mul", w, b.integer(1 << 2 * int_value(op.fraction)))
    w = b.node("Max", b.node("Add", w, b.integer(epsilon)), b.integer(1))
    below = b.node("Less", w, b.ints([1 << (ROOT_BITS - 2 * t) for t in EXPONENTS[1:]]))
    power = b.node("Gather", b.ints([1 << t for t in EXPONENTS]), _counted(b, below), axis=0)
    root = _root(b, b.node("Mul", b.node("Mul", w, power), power))
    return _quotient(
        b, b.node("Mul", b.node("Mul", away, power), b.integer(1 << NORM_BITS + int_value(op.fraction))), root
    )


def embed(b: Builder, op: xbar.EmbedOp) -> str:
    index = b.node("Sub", b.names[op.x], b.single(int_value(op.first)))
    table = b.constant(b.codes(op.table))
    return b.to_single(b.node("Gather", table, b.node("Cast", index, to=TensorProto.INT32), axis=0))


def _summed(b: Builder, x: str) -> str:
    return b.node("ReduceSum", x, b.ints([-1]), keepdims=1)


def _counted(b: Builder, flags: str) -> str:
    return _summed(b, b.node("Cast", flags, to=TensorProto.INT64))


def _root(b: Builder, x: str) -> str:
    """Return floor(sqrt(x)) of int64 x below ROOT_LIMIT: the root in double is off by one at most."""
    root = b.node("Cast", b.node("Sqrt", b.to_double(x)), to=TensorProto.INT64)
    high = b.node("Cast", b.node("Greater", b.node("Mul", root, root), x), to=TensorProto.INT64)
    root = b.node("Sub", root, high)
    above = b.node("Add", root, b.integer(1))
    low = b.node("Cast", b.node("LessOrEqual", b.node("Mul", above, above), x), to=TensorProto.INT64)
    return b.node("Add", root, low)


def _quotient(b: Builder, numerator: str, denominator: str) -> str:
    """Return numerator / denominator in int64, half to even; the denominator is positive.

    Not with Sign: onnxruntime's looks at the low 32 bits only.
    """
    size = b.node("Abs", numerator)
    quotient = b.node("Div", size, denominator)
    rest = b.node("Sub", size, b.node("Mul", quotient, denominator))
    twice = b.node("Mul", rest, b.integer(2))
    odd = b.node("Equal", b.node("Mod", quotient, b.integer(2)), b.integer(1))
    tie = b.node("And", b.node("Equal", twice, denominator), odd)
    up = b.node("Cast", b.node("Or", b.node("Greater", twice, denominator), tie), to=TensorProto.INT64)
    rounded = b.node("Add", quotient, up)
    return b.node("Where", b.node("Less", numerator, b.integer(0)), b.node("Neg", rounded), rounded)


STORED: Lowerings = {
    xbar.MatMulOp: matmul,
    xbar.NormOp: norm,
    xbar.EmbedOp: embed,
}
