"""Lowers the movements of dialect `xbar`: codes go where they go, unchanged."""

import numpy as np

from cimc.evaluate import layout
from cimc.evaluate.builder import Builder, Lowerings
from cimc.ir import xbar
from cimc.ir.attributes import int_value, int_values
from cimc.ir.types import shape_of


def move(b: Builder, op: xbar.MoveOp) -> str:
    steps = np.indices(shape_of(op.out))
    flat = int_value(op.start) + np.tensordot(np.array(int_values(op.pitch), dtype=np.int64), steps, 1)
    return b.node("Gather", layout.reshape(b, b.names[op.x], (-1,)), b.constant(flat), axis=1)


def concat(b: Builder, op: xbar.ConcatOp) -> str:
    rank = len(shape_of(op.out))
    return b.node("Concat", *(b.names[part] for part in op.parts), axis=int_value(op.axis) % rank + 1)


def pad(b: Builder, op: xbar.PadOp) -> str:
    return layout.pad(b, b.names[op.x], int_values(op.before), int_values(op.after), int_value(op.value))


def pick(b: Builder, op: xbar.PickOp) -> str:
    return b.node("Gather", b.names[op.x], b.constant(b.integers(op.table)), axis=int_value(op.axis) + 1)


def view(b: Builder, op: xbar.ViewOp) -> str:
    return layout.reshape(b, b.names[op.x], shape_of(op.out))


def select(b: Builder, op: xbar.SelectOp) -> str:
    return layout.chosen(b, [op.c, op.a, op.b], shape_of(op.out), int_value(op.zero))


def constant(b: Builder, op: xbar.ConstantOp) -> str:
    return layout.repeated(b, b.single(b.integers(op.table)), shape_of(op.out))


STORED: Lowerings = {
    xbar.SelectOp: select,
    xbar.ConstantOp: constant,
    xbar.MoveOp: move,
    xbar.ConcatOp: concat,
    xbar.PadOp: pad,
    xbar.PickOp: pick,
    xbar.ViewOp: view,
}
