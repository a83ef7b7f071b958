"""Lowers the movements of dialect `nn`, on floats and codes alike."""

import numpy as np
from xdsl.ir import SSAValue

from cimc.evaluate import layout
from cimc.evaluate.builder import Builder, Lowerings
from cimc.ir import nn
from cimc.ir.attributes import float_value, int_value, int_values
from cimc.ir.types import code_of, is_quantised, shape_of


def concat(b: Builder, op: nn.ConcatOp) -> str:
    rank = len(shape_of(op.out))
    return b.node("Concat", *(b.names[part] for part in op.parts), axis=int_value(op.axis) % rank + 1)


def pad(b: Builder, op: nn.PadOp) -> str:
    return layout.pad(
        b, b.names[op.x], int_values(op.before), int_values(op.after), _stored(op.out, float_value(op.value))
    )


def reshape(b: Builder, op: nn.ReshapeOp) -> str:
    return layout.reshape(b, b.names[op.x], shape_of(op.out))


def transpose(b: Builder, op: nn.TransposeOp) -> str:
    return layout.transpose(b, b.names[op.x], int_values(op.order))


def cut(b: Builder, op: nn.SliceOp) -> str:
    return layout.cut(b, b.names[op.x], int_values(op.begin), shape_of(op.out), int_values(op.step))


def select(b: Builder, op: nn.SelectOp) -> str:
    return layout.chosen(b, [op.c, op.a, op.b], shape_of(op.out), code_of(op.c).zero.data if is_quantised(op.c) else 0)


def pick(b: Builder, op: nn.PickOp) -> str:
    return b.node("Gather", b.names[op.x], b.constant(b.integers(op.indices)), axis=int_value(op.axis) + 1)


def _stored(value: SSAValue, real: float) -> float:
    """Return what stands for a real number in a tensor: itself or its code."""
    if not is_quantised(value):
        return real
    code = code_of(value)
    return float(np.clip(np.rint(real / code.scale.data) + code.zero.data, code.low.data, code.high.data))


STORED: Lowerings = {
    nn.ConcatOp: concat,
    nn.PadOp: pad,
    nn.ReshapeOp: reshape,
    nn.TransposeOp: transpose,
    nn.SliceOp: cut,
    nn.SelectOp: select,
    nn.PickOp: pick,
}
