"""What the operations of the canonical graph compute, in jax: samples come first, channels last, values are real."""

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import product as places
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from xdsl.ir import Operation

from cimc.ir import loop, nn
from cimc.ir.attributes import Floats, float_value, float_values, int_value, int_values
from cimc.ir.functions import MASKED
from cimc.ir.types import WeightRef, shape_of

Constants = Callable[[WeightRef], Any]
"""Gives the array of a reference."""
Meaning = Callable[[Any, Sequence[Array], Constants], Array]


def clamped(x: Array, clamp: Floats | None) -> Array:
    """Return x within a fused clamp."""
    return x if clamp is None else _within(x, *float_values(clamp))


def product(op: nn.Layer, x: Array, weight: Array) -> Array:
    """Return a layer's product with a weight of its shape: no bias, no activation."""
    if isinstance(op, nn.ConvOp):
        return _convolution(op, x, weight)
    return x @ weight


def linear(op: nn.Layer, x: Array, weight: Array, bias: Array | None) -> Array:
    """Return a layer's product and bias, without activation."""
    return biased(product(op, x, weight), bias)


def biased(y: Array, bias: Array | None) -> Array:
    """Return sums of columns with their bias, if there is one."""
    return y if bias is None else y + bias


def _convolution(op: nn.ConvOp, x: Array, weight: Array) -> Array:
    top, left, bottom, right = int_values(op.pads)
    if op.is_depthwise:
        return _depthwise(op, jnp.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0))), weight)
    down, along = int_values(op.stride)
    if weight.shape[:2] == (1, 1) and not any(int_values(op.pads)) and int_value(op.group) == 1:
        return x[:, ::down, ::along] @ weight[0, 0]
    return jax.lax.conv_general_dilated(
        x,
        weight,
        (down, along),
        ((top, bottom), (left, right)),
        rhs_dilation=int_values(op.dilation),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=int_value(op.group),
    )


def _depthwise(op: nn.ConvOp, padded: Array, weight: Array) -> Array:
    """Tap by tap: on processors the gradient of a grouped convolution is many times slower."""
    (height, width, outputs), stride, dilation = shape_of(op.out), int_values(op.stride), int_values(op.dilation)
    wide = jnp.repeat(padded, outputs // padded.shape[-1], axis=-1)
    total = jnp.zeros((len(padded), height, width, outputs), padded.dtype)
    for i, j in places(range(weight.shape[0]), range(weight.shape[1])):
        rows = slice(i * dilation[0], i * dilation[0] + (height - 1) * stride[0] + 1, stride[0])
        columns = slice(j * dilation[1], j * dilation[1] + (width - 1) * stride[1] + 1, stride[1])
        total = total + wide[:, rows, columns] * weight[i, j, 0]
    return total


def _within(x: Array, low: float, high: float) -> Array:
    bounded = jnp.maximum(x, low) if low > -nn.UNBOUNDED else x
    return jnp.minimum(bounded, high) if high < nn.UNBOUNDED else bounded


def _input(op: nn.InputOp, x: Sequence[Array], constants: Constants) -> Array:
    return _transpose(op, x, constants).reshape(len(x[0]), *shape_of(op.out))


def _aligned(op: Any, x: Sequence[Array]) -> list[Array]:
    """Return operands of one rank: axes of size one come in behind the samples."""
    rank = len(shape_of(op.out)) + 1
    return [one.reshape(len(one), *(1,) * (rank - one.ndim), *one.shape[1:]) for one in x]


def _binary(function: Callable[[Array, Array], Array]) -> Meaning:
    return lambda op, x, constants: clamped(function(*_aligned(op, x)), op.clamp)


def _affine(op: nn.AffineOp, x: Sequence[Array], constants: Constants) -> Array:
    return clamped(x[0] * constants(op.scale)[None] + constants(op.bias)[None], op.clamp)


def _unary(op: nn.UnaryOp, x: Sequence[Array], constants: Constants) -> Array:
    return FUNCTIONS[op.function.data](x[0], float_values(op.parameters))


def _norm(op: nn.NormOp, x: Sequence[Array], constants: Constants) -> Array:
    centred = x[0] - x[0].mean(-1, keepdims=True) if int_value(op.centred) else x[0]
    root = jnp.sqrt(jnp.square(centred).mean(-1, keepdims=True) + float_value(op.epsilon))
    return jnp.asarray(centred / root * constants(op.scale) + constants(op.bias))


def _max_pool(op: nn.MaxPoolOp, x: Sequence[Array], constants: Constants) -> Array:
    return clamped(_windows(op, x[0], -jnp.inf, jax.lax.max, int_values(op.pads)), op.clamp)


def _avg_pool(op: nn.AvgPoolOp, x: Sequence[Array], constants: Constants) -> Array:
    if int_values(op.kernel) == x[0].shape[1:3] and not any(int_values(op.pads)):
        return clamped(x[0].mean((1, 2), keepdims=True), op.clamp)
    total = _windows(op, x[0], 0.0, jax.lax.add, int_values(op.pads))
    counted, pads = int_values(op.counted), int_values(op.pads)
    ones = np.ones((1, x[0].shape[1] + counted[0] + counted[2], x[0].shape[2] + counted[1] + counted[3], 1), np.float32)
    rest = tuple(pad - count for pad, count in zip(pads, counted, strict=True))
    return clamped(total / _windows(op, jnp.asarray(ones), 0.0, jax.lax.add, rest), op.clamp)


def _windows(op: Any, x: Array, start: float, function: Any, pads: tuple[int, ...]) -> Array:
    """Return a reduction over the windows of a pool."""
    top, left, bottom, right = pads
    dilation = int_values(op.dilation) if isinstance(op, nn.MaxPoolOp) else (1, 1)
    found: Array = jax.lax.reduce_window(
        x,
        start,
        function,
        (1, *int_values(op.kernel), 1),
        (1, *int_values(op.stride), 1),
        ((0, 0), (top, bottom), (left, right), (0, 0)),
        window_dilation=(1, *dilation, 1),
    )
    return found


def _pad(op: nn.PadOp, x: Sequence[Array], constants: Constants) -> Array:
    widths = zip(int_values(op.before), int_values(op.after), strict=True)
    return jnp.pad(x[0], ((0, 0), *widths), constant_values=float_value(op.value))


def _slice(op: nn.SliceOp, x: Sequence[Array], constants: Constants) -> Array:
    found = x[0]
    for axis, (begin, step, count) in enumerate(
        zip(int_values(op.begin), int_values(op.step), shape_of(op.out), strict=True)
    ):
        if count != found.shape[axis + 1]:
            found = jnp.take(found, begin + step * np.arange(count), axis=axis + 1)
    return found


def _transpose(op: nn.InputOp | nn.TransposeOp, x: Sequence[Array], constants: Constants) -> Array:
    return jnp.transpose(x[0], (0, *(axis + 1 for axis in int_values(op.order))))


def _pick(op: nn.PickOp, x: Sequence[Array], constants: Constants) -> Array:
    return jnp.take(x[0], constants(op.indices), axis=int_value(op.axis) + 1)


def _select(op: nn.SelectOp, x: Sequence[Array], constants: Constants) -> Array:
    c, a, b = _aligned(op, x)
    return jnp.where(c != 0, a, b)


FUNCTIONS: Mapping[str, Callable[[Array, tuple[float, ...]], Array]] = {
    "abs": lambda x, p: jnp.abs(x),
    "elu": lambda x, p: jax.nn.elu(x, p[0]),
    "erf": lambda x, p: jax.scipy.special.erf(x),
    "exp": lambda x, p: jnp.exp(x),
    "gelu": lambda x, p: 0.5 * x * (1.0 + jax.scipy.special.erf(x / math.sqrt(2.0))),
    "gelu_tanh": lambda x, p: jax.nn.gelu(x, approximate=True),
    "hard_sigmoid": lambda x, p: jnp.clip(p[0] * x + p[1], 0.0, 1.0),
    "hard_swish": lambda x, p: x * jnp.clip(x / 6.0 + 0.5, 0.0, 1.0),
    "leaky_relu": lambda x, p: jnp.where(x < 0.0, p[0] * x, x),
    "mish": lambda x, p: x * jnp.tanh(jax.nn.softplus(x)),
    "reciprocal": lambda x, p: 1.0 / x,
    "sigmoid": lambda x, p: jax.nn.sigmoid(x),
    "softplus": lambda x, p: jax.nn.softplus(x),
    "sqrt": lambda x, p: jnp.sqrt(x),
    "swish": lambda x, p: x * jax.nn.sigmoid(p[0] * x),
    "tanh": lambda x, p: jnp.tanh(x),
    "visible": lambda x, p: (p[0] * x + p[1] > MASKED) * 1.0,
}
"""The functions of `cimc.ir.functions` that training knows."""

OPERATIONS: Mapping[type[Operation], Meaning] = {
    nn.InputOp: _input,
    nn.AffineOp: _affine,
    nn.ClampOp: lambda op, x, constants: _within(x[0], float_value(op.low), float_value(op.high)),
    nn.UnaryOp: _unary,
    nn.AddOp: _binary(jnp.add),
    nn.SubOp: _binary(jnp.subtract),
    nn.MulOp: _binary(jnp.multiply),
    nn.DivOp: _binary(jnp.divide),
    nn.MaxPoolOp: _max_pool,
    nn.AvgPoolOp: _avg_pool,
    nn.SoftmaxOp: lambda op, x, constants: jax.nn.softmax(x[0], axis=-1),
    nn.MatMulOp: lambda op, x, constants: jnp.einsum("...mk,...nk->...mn", x[0], x[1]),
    nn.NormOp: _norm,
    nn.SelectOp: _select,
    nn.ConcatOp: lambda op, x, constants: jnp.concatenate(x, axis=int_value(op.axis) + 1),
    nn.PadOp: _pad,
    nn.ReshapeOp: lambda op, x, constants: x[0].reshape(len(x[0]), *shape_of(op.out)),
    nn.TransposeOp: _transpose,
    nn.SliceOp: _slice,
    nn.PickOp: _pick,
    loop.ResultOp: lambda op, x, constants: x[0],
}
"""Operations whose result follows from their operands; layers, constants and loops are network.py's."""
