"""Lowers the pools of dialect `nn` on real values."""

import numpy as np

from cimc.evaluate import layout
from cimc.evaluate.builder import Array, Builder, Lowerings
from cimc.evaluate.nn_float import bounded, real
from cimc.ir import nn
from cimc.ir.attributes import int_values
from cimc.ir.types import shape_of


def max_pool(b: Builder, op: nn.MaxPoolOp) -> str:
    return bounded(b, _pool(b, "MaxPool", op, -nn.UNBOUNDED), op.clamp)


def avg_pool(b: Builder, op: nn.AvgPoolOp) -> str:
    """onnxruntime divides by all taps; the factor puts the taps that count in their place."""
    mean = _pool(b, "AveragePool", op, 0.0)
    factor = int(np.prod(int_values(op.kernel))) / _counted_taps(op)
    return bounded(
        b, mean if (factor == 1.0).all() else b.node("Mul", mean, b.single(factor[None, :, :, None])), op.clamp
    )


def _pool(b: Builder, op_type: str, op: nn.MaxPoolOp | nn.AvgPoolOp, fill: float) -> str:
    top, left, bottom, right = int_values(op.pads)
    padded = layout.pad(b, real(b, op.x), (top, left, 0), (bottom, right, 0), fill)
    y = b.node(
        op_type,
        layout.channels_first(b, padded),
        kernel_shape=int_values(op.kernel),
        strides=int_values(op.stride),
        dilations=int_values(op.dilation),
    )
    return layout.channels_last(b, y)


def _counted_taps(op: nn.AvgPoolOp) -> Array:
    """Return the divisor of every output position; 1 where no tap counts."""
    down, across = (_counted_along(op, axis) for axis in (0, 1))
    return np.asarray(np.maximum(np.outer(down, across), 1))


def _counted_along(op: nn.AvgPoolOp, axis: int) -> Array:
    pads, counted = int_values(op.pads), int_values(op.counted)
    first = np.arange(shape_of(op.out)[axis]) * int_values(op.stride)[axis] - pads[axis]
    taps = np.arange(int_values(op.kernel)[axis]) * int_values(op.dilation)[axis]
    at = first[:, None] + taps
    inside = (at >= -counted[axis]) & (at < shape_of(op.x)[axis] + counted[axis + 2])
    return np.asarray(inside.sum(axis=1))


REAL: Lowerings = {
    nn.MaxPoolOp: max_pool,
    nn.AvgPoolOp: avg_pool,
}
