"""Inputs in shells: what a converter of few bits tells apart of a wide range, on rows of its own for each part.

With w = reach / count, shell k of x is sign(x) min(max(|x| - k w, 0), w). A layer reads them beside each other, each by
the weights that read x: since shells add up to x, and zero stays zero, its sums are what they were. A DAC now needs
codes up to w, where it needed them up to the reach: `count` times as fine, for as many rows. It is the thermometer code
with levels in place of bits.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import SSAValue
from xdsl.rewriter import InsertPoint, Rewriter

from cimc.diagnostics import fail
from cimc.ir import build, nn
from cimc.ir.attributes import int_value
from cimc.ir.graph import Graph, producer
from cimc.ir.types import shape_of
from cimc.training.network import Network


def in_shells(graph: Graph, count: int, data: Mapping[str, Any]) -> Graph:
    """Return a copy of a graph at stage `graph` whose first layers read inputs in shells, as far as `data` reach.

    First layers are those that read an input of the model, moved about at most. Raises CimcError CIM0121 where there
    is none.
    """
    copy = Network(graph).with_weights({})
    first = {op: label for op in copy.operations if isinstance(op, nn.Layer) and (label := _input_read(op))}
    if not first:
        message = "no layer reads an input of the model, so that none can be read in shells"
        raise fail("CIM0121", message, hint="leave out --set shells; layers of one group outside of loops count")
    shelled: dict[SSAValue, SSAValue] = {}
    for op, label in first.items():
        if op.x not in shelled:
            shelled[op.x] = _shells(copy.module, op.x, float(np.abs(data[label]).max()) / count, count)
        weight = copy.weights.get(op.weight)
        name = f"{op.weight.key.data}.shells"
        op.properties["weight"] = copy.weights.add(name, np.concatenate([weight] * count, axis=-2))
        op.operands[0] = shelled[op.x]
    return copy


def _input_read(op: nn.Layer) -> str:
    """Return the label of the input that a layer of one group reads, or nothing."""
    if isinstance(op, nn.ConvOp) and int_value(op.group) > 1:
        return ""
    made = producer(op.x)
    while isinstance(made, nn.ReshapeOp | nn.TransposeOp | nn.PadOp):
        made = producer(made.x)
    return made.label.data if isinstance(made, nn.InputOp) else ""


def _shells(module: ModuleOp, x: SSAValue, width: float, count: int) -> SSAValue:
    """Return the shells of a value [..., count * channels], side by side."""
    made = producer(x)
    assert isinstance(made, nn.Canonical)
    label = made.label.data
    within = [build.clamp(x, -k * width, k * width, f"{label}.within{k}") for k in range(1, count + 1)]
    outer = [build.sub(more.out, less.out, f"{label}.shell{k}") for k, (less, more) in enumerate(pairwise(within), 2)]
    parts: Sequence[SSAValue] = [within[0].out, *(op.out for op in outer)]
    joined = build.concat(parts, len(shape_of(x)) - 1, f"{label}.shells")
    new = [*within, *outer, joined]
    for op in new:
        op.location = made.location
    Rewriter.insert_op(new, InsertPoint.after(made))
    return joined.out
