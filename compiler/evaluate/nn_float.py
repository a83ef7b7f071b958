"""Lowers the arithmetic of dialect `nn` on real values."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from onnx import TensorProto
from xdsl.ir import SSAValue

from cimc.evaluate import layout
from cimc.evaluate.builder import Array, Builder, Lowerings
from cimc.evaluate.codes import dequantise, quantise
from cimc.ir import nn
from cimc.ir.attributes import Floats, float_value, float_values, int_value, int_values
from cimc.ir.functions import COMPARISONS, FUNCTIONS, MASKED
from cimc.ir.types import code_of, is_quantised, shape_of

LEAST_ROOT = 1e-150
"""A vector of equal elements without epsilon is normalised to zeros."""


def real(b: Builder, value: SSAValue) -> str:
    """Return the real values of an operand: dequantised where it carries codes."""
    name = b.names[value]
    return dequantise(b, name, code_of(value)) if is_quantised(value) else name


def bounded(b: Builder, x: str, clamp: Floats | None) -> str:
    """Return x within a fused clamp."""
    return x if clamp is None else _within(b, x, *float_values(clamp))


@dataclass(frozen=True)
class Convolution:
    """The geometry of a convolution; pads are top, left, bottom, right."""

    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    pads: tuple[int, ...]
    group: int


def convolution(b: Builder, x: str, weight: Array, bias: Array | None, how: Convolution) -> str:
    """Return the convolution of x with weight (kernel height, kernel width, channels / group, outputs)."""
    kernel = np.transpose(weight, (3, 2, 0, 1))
    constants = [b.single(array, fixed=True) for array in (kernel, bias) if array is not None]
    y = b.node(
        "Conv",
        layout.channels_first(b, x),
        *constants,
        kernel_shape=weight.shape[:2],
        strides=how.stride,
        dilations=how.dilation,
        pads=how.pads,
        group=how.group,
    )
    return layout.channels_last(b, y)


def product(b: Builder, x: str, weight: Array, bias: Array | None) -> str:
    """Return the product of the last axis with weight (inputs, outputs), plus bias."""
    y = b.node("MatMul", x, b.single(weight))
    return y if bias is None else b.node("Add", y, b.single(bias))


def conv(b: Builder, op: nn.ConvOp) -> str:
    how = Convolution(int_values(op.stride), int_values(op.dilation), int_values(op.pads), int_value(op.group))
    bias = None if op.bias is None else b.real_weights(op.bias)
    return bounded(b, convolution(b, real(b, op.x), b.real_weights(op.weight), bias, how), op.clamp)


def dense(b: Builder, op: nn.DenseOp) -> str:
    bias = None if op.bias is None else b.real_weights(op.bias)
    return bounded(b, product(b, real(b, op.x), b.real_weights(op.weight), bias), op.clamp)


def affine(b: Builder, op: nn.AffineOp) -> str:
    scaled = b.node("Mul", real(b, op.x), b.single(b.real_weights(op.scale)[None]))
    return bounded(b, b.node("Add", scaled, b.single(b.real_weights(op.bias)[None])), op.clamp)


def clamp(b: Builder, op: nn.ClampOp) -> str:
    return _within(b, real(b, op.x), float_value(op.low), float_value(op.high))


def unary(b: Builder, op: nn.UnaryOp) -> str:
    """The ONNX operator of the function, or what it is composed of; a truth value is 1 or 0."""
    name, x, parameters = op.function.data, real(b, op.x), float_values(op.parameters)
    if name in _COMPOSED:
        return _COMPOSED[name](b, x, parameters)
    function = FUNCTIONS[name]
    if function.attributes:
        return b.node(function.operator, x, **dict(zip(function.attributes, parameters, strict=True)))
    y = b.node(function.operator, x, *map(b.single, parameters))
    return b.to_single(y) if function.operator in COMPARISONS else y


def add(b: Builder, op: nn.AddOp) -> str:
    return _binary(b, "Add", op)


def sub(b: Builder, op: nn.SubOp) -> str:
    return _binary(b, "Sub", op)


def mul(b: Builder, op: nn.MulOp) -> str:
    return _binary(b, "Mul", op)


def div(b: Builder, op: nn.DivOp) -> str:
    return _binary(b, "Div", op)


def arg_max(b: Builder, op: nn.ArgMaxOp) -> str:
    return places(b, real(b, op.x), bool(int_value(op.which)), bool(int_value(op.tie)))


def places(b: Builder, x: str, smallest: bool, last: bool) -> str:
    """Return the place of the largest or smallest element along the last axis, as float32."""
    found = b.node("ArgMin" if smallest else "ArgMax", x, axis=-1, keepdims=1, select_last_index=int(last))
    return b.to_single(found)


def softmax(b: Builder, op: nn.SoftmaxOp) -> str:
    return b.node("Softmax", real(b, op.x), axis=-1)


def matmul(b: Builder, op: nn.MatMulOp) -> str:
    return b.node("MatMul", real(b, op.a), layout.swapped(b, real(b, op.b), shape_of(op.b)))


def norm(b: Builder, op: nn.NormOp) -> str:
    """In double: the mean of squares less the square of the mean, of values far from zero, would not do in float32."""
    x = b.to_double(real(b, op.x))
    if int_value(op.centred):
        x = b.node("Sub", x, b.node("ReduceMean", x, b.ints([-1]), keepdims=1))
    power = b.node("ReduceMean", b.node("Mul", x, x), b.ints([-1]), keepdims=1)
    root = b.node("Sqrt", b.node("Add", power, b.double(float_value(op.epsilon))))
    y = b.to_single(b.node("Div", x, b.node("Max", root, b.double(LEAST_ROOT))))
    scaled = b.node("Mul", y, b.single(b.real_weights(op.scale)))
    return b.node("Add", scaled, b.single(b.real_weights(op.bias)))


def embed(b: Builder, op: nn.EmbedOp) -> str:
    index = b.node("Cast", real(b, op.x), to=TensorProto.INT32)
    return b.node("Gather", b.single(b.real_weights(op.table)), index, axis=0)


def constant(b: Builder, op: nn.ConstantOp) -> str:
    return layout.repeated(b, b.single(b.real_weights(op.value)), shape_of(op.out))


def requantise(b: Builder, op: nn.RequantiseOp) -> str:
    return real(b, op.x)


def quantised(b: Builder, op: nn.QuantiseOp) -> str:
    return dequantise(b, quantise(b, real(b, op.x), op.code), op.code)


def recode(b: Builder, op: nn.RecodeOp) -> str:
    """Codes are what they are; real values go through their codes."""
    x = b.names[op.x]
    return x if is_quantised(op.x) else dequantise(b, quantise(b, x, op.source), op.target)


def _binary(b: Builder, op_type: str, op: nn.AddOp | nn.SubOp | nn.MulOp | nn.DivOp) -> str:
    rank = len(shape_of(op.out))
    left, right = (layout.with_rank(b, real(b, x), shape_of(x), rank) for x in (op.a, op.b))
    return bounded(b, b.node(op_type, left, right), op.clamp)


def _within(b: Builder, x: str, low: float, high: float) -> str:
    bounds = [b.single(low) if low > -nn.UNBOUNDED else "", b.single(high) if high < nn.UNBOUNDED else ""]
    if bounds == ["", ""]:
        return x
    if low == 0.0 and high >= nn.UNBOUNDED:
        return b.node("Relu", x)
    return b.node("Clip", x, *bounds)


def _visible(b: Builder, x: str, p: tuple[float, ...]) -> str:
    total = b.node("Add", b.node("Mul", x, b.single(p[0])), b.single(p[1]))
    return b.to_single(b.node("Greater", total, b.single(MASKED)))


def _power(b: Builder, x: str, p: tuple[float, ...]) -> str:
    return b.node("Pow", b.node("Add", b.node("Mul", x, b.single(p[1])), b.single(p[2])), b.single(p[0]))


_COMPOSED: Mapping[str, Callable[[Builder, str, tuple[float, ...]], str]] = {
    "visible": _visible,
    "power": _power,
    "gelu": lambda b, x, p: b.node("Gelu", x),
    "gelu_tanh": lambda b, x, p: b.node("Gelu", x, approximate="tanh"),
    "swish": lambda b, x, p: b.node("Mul", x, b.node("Sigmoid", b.node("Mul", x, b.single(p[0])))),
}
"""Functions of `cimc.ir.functions` that are more than their ONNX operator with its attributes."""


REAL: Lowerings = {
    nn.ConvOp: conv,
    nn.DenseOp: dense,
    nn.AffineOp: affine,
    nn.ClampOp: clamp,
    nn.UnaryOp: unary,
    nn.AddOp: add,
    nn.SubOp: sub,
    nn.MulOp: mul,
    nn.DivOp: div,
    nn.ArgMaxOp: arg_max,
    nn.SoftmaxOp: softmax,
    nn.MatMulOp: matmul,
    nn.NormOp: norm,
    nn.EmbedOp: embed,
    nn.ConstantOp: constant,
    nn.RequantiseOp: requantise,
    nn.QuantiseOp: quantised,
}


STORED: Lowerings = {
    nn.RecodeOp: recode,
}
