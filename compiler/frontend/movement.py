"""Operators that only move values: shapes, axes, parts and padding."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Literal

import numpy as np
from xdsl.ir import SSAValue

from cimc.frontend.arithmetic import expanded
from cimc.frontend.elementary import picked
from cimc.frontend.lowering import Lowering
from cimc.frontend.spatial import channels_first, channels_last
from cimc.ir import build
from cimc.ir.attributes import int_values, ints
from cimc.ir.nn import InputOp, Movement
from cimc.ir.types import shape_of

LARGEST_TABLE = 65535
"""Rows that 16-bit codes tell apart."""
MODES: Mapping[str, Literal["edge", "reflect", "wrap"]] = {"edge": "edge", "reflect": "reflect", "wrap": "wrap"}


def reshape(at: Lowering) -> SSAValue:
    """A constant shape that keeps the samples apart."""
    if not at.is_constant(1):
        raise at.refuse("CIM0104", "the target shape is computed from data")
    return reshaped(at)


def reshaped(at: Lowering) -> SSAValue:
    """Reshape, Flatten, Squeeze, Unsqueeze: the elements of a sample keep their order."""
    return at.add(build.reshape(at.activation(0), at.result_shape(), at.label))


def transpose(at: Lowering) -> SSAValue:
    """Any order of axes."""
    full = len(at.full_shape(at.node.inputs[0]))
    order = at.node.ints("perm", tuple(reversed(range(full))))
    batch = at.batch_axis(at.node.inputs[0])
    if batch is not None and not batch.is_whole:
        raise at.refuse("CIM0109", f"axis {batch.axis} mixes samples and {batch.inner} rows of each")
    kept = [axis for axis in order if batch is None or axis != batch.axis]
    return at.add(build.transpose(at.activation(0), [at.axis(axis) for axis in kept], at.label))


def concat(at: Lowering) -> SSAValue:
    """Any axis but the batch; some part is computed, and those without elements are left out."""
    places = [index for index in range(len(at.node.inputs)) if not at.is_empty(index)]
    parts = [at.operand(index) for index in places]
    if len(parts) == 1:
        return parts[0]
    axis = at.axis(at.node.integer("axis", 0), next(index for index in places if not at.is_constant(index)))
    return at.add(build.concat(parts, axis, at.label))


def pad(at: Lowering) -> SSAValue:
    """Constant pads; modes constant, reflect, edge and wrap."""
    x, mode = at.activation(0), at.node.text("mode", "constant")
    if mode != "constant":
        return _repeated_edges(at, x, mode)
    value = float(at.bounded(2).reshape(-1)[0]) if at.node.has(2) else 0.0
    before, after = _pads(at, len(shape_of(x)))
    if min((*before, *after), default=0) < 0:
        x = _cropped(at, x, before, after)
        before, after = [max(size, 0) for size in before], [max(size, 0) for size in after]
    return at.add(build.pad(x, before, after, value, at.label))


def _repeated_edges(at: Lowering, x: SSAValue, mode: str) -> SSAValue:
    """Pad with elements of the data itself: a gather along each padded axis."""
    before, after = _pads(at, len(shape_of(x)))
    if mode not in MODES or min((*before, *after), default=0) < 0:
        raise at.refuse("CIM0104", f"pads {before} and {after} in mode {mode}")
    for axis, pads in enumerate(zip(before, after, strict=True)):
        places = np.arange(shape_of(x)[axis])
        if max(pads) >= len(places) and mode == "reflect":
            raise at.refuse("CIM0104", f"{max(pads)} reflected pads around {len(places)} entries")
        x = picked(at, x, np.pad(places, pads, MODES[mode]).tolist(), axis, f"axis{axis}")
    return x


def _pads(at: Lowering, rank: int) -> tuple[list[int], list[int]]:
    pads = at.integers(1)
    axes = at.integers(3) if at.node.has(3) else tuple(range(len(at.full_shape(at.node.inputs[0]))))
    if len(pads) != 2 * len(axes):
        raise at.refuse("CIM0104", f"{len(pads)} pads for {len(axes)} axes")
    before, after = [0] * rank, [0] * rank
    for low, high, full in zip(pads[: len(axes)], pads[len(axes) :], axes, strict=True):
        if low or high:
            axis = at.axis(full)
            before[axis], after[axis] = low, high
    return before, after


def _cropped(at: Lowering, x: SSAValue, before: list[int], after: list[int]) -> SSAValue:
    begin = [max(-size, 0) for size in before]
    shape = [size - start - max(-end, 0) for size, start, end in zip(shape_of(x), begin, after, strict=True)]
    if min(shape) < 1:
        raise at.refuse("CIM0107", f"negative pads leave shape {tuple(shape)}")
    return at.add(build.slice_(x, begin, [1] * len(begin), shape, at.helper("cropped")))


def slice_(at: Lowering) -> SSAValue:
    """Constant bounds and steps, negative ones too."""
    x = at.activation(0)
    rank = len(shape_of(x))
    starts, ends = at.integers(1), at.integers(2)
    axes = at.integers(3) if at.node.has(3) else tuple(range(len(starts)))
    steps = at.integers(4) if at.node.has(4) else (1,) * len(starts)
    begin, step = [0] * rank, [1] * rank
    for start, end, full, stride in zip(starts, ends, axes, steps, strict=True):
        axis = _sliced_axis(at, full, start, end, stride)
        if axis is None:
            continue
        size = shape_of(x)[axis]
        last = size if stride > 0 else size - 1
        begin[axis], step[axis] = min(max(start + size if start < 0 else start, 0), last), stride
    return at.add(build.slice_(x, begin, step, at.result_shape(), at.label))


def _sliced_axis(at: Lowering, full: int, start: int, end: int, stride: int) -> int | None:
    """Return the per-sample axis of one slice; None where it takes the whole batch."""
    name = at.node.inputs[0]
    batch = at.batch_axis(name)
    is_batch = batch is not None and full % len(at.full_shape(name)) == batch.axis
    whole = 1 << 30 if at.builder.free else at.full_shape(name)[full]
    if is_batch and stride == 1 and (start == 0 or start <= -whole) and end >= whole:
        return None
    return at.axis(full)


def split(at: Lowering) -> tuple[SSAValue, ...]:
    """Constant sizes along any axis but the batch."""
    x = at.activation(0)
    rank = len(shape_of(x))
    axis, start, results = at.axis(at.node.integer("axis", 0)), 0, []
    for index, name in enumerate(at.node.outputs):
        begin = [start if a == axis else 0 for a in range(rank)]
        shape = at.result_shape(index)
        part = build.slice_(x, begin, [1] * rank, shape, name or at.helper(str(index))) if all(shape) else None
        results.append(at.add(part) if part else x)  # without elements it is a constant, whatever stands here
        start += shape[axis]
    return tuple(results)


def gather(at: Lowering) -> SSAValue:
    """Constant indices, or rows of a constant table by an input of whole numbers."""
    return _rows_of_table(at) if at.is_constant(0) and not at.is_constant(1) else _constant_indices(at)


def _rows_of_table(at: Lowering) -> SSAValue:
    """An embedding: rows of a constant by an input of whole numbers, whose highest is the table's last row."""
    table, x = at.reals(0), at.activation(1)
    if at.node.integer("axis", 0) % table.ndim:
        raise at.refuse("CIM0104", f"axis {at.node.integer('axis', 0)} of a constant, rows are looked up along axis 0")
    source = whole_input(x)
    if source is None or not 2 <= len(table) <= LARGEST_TABLE:
        limit = f"an input of whole numbers, moved only, and 2 to {LARGEST_TABLE} rows"
        hint = "compute the indices outside, and let them be an input of the model"
        raise at.refuse("CIM0104", f"computed indices of {len(table)} rows; what is needed is {limit}", hint=hint)
    bound(source, len(table) - 1)
    rows = at.weight(table.reshape(len(table), -1), at.node.inputs[0])
    return at.reshaped(at.add(build.embed(x, rows, at.label)), at.result_shape(), "shaped")


def bound(source: InputOp, highest: int) -> None:
    """Let an input of whole numbers hold 0 to `highest`, or fewer where that is known."""
    source.properties["integers"] = ints((0, min([highest, *int_values(source.integers)[1:]])))


def whole_input(x: SSAValue) -> InputOp | None:
    """Return the input of whole numbers that a value is, moved."""
    op = x.owner
    while isinstance(op, Movement) and len(op.operands) == 1:
        op = op.operands[0].owner
    return op if isinstance(op, InputOp) and op.integers is not None else None


def _constant_indices(at: Lowering) -> SSAValue:
    """Evenly spaced indices are a slice."""
    x, indices = at.activation(0), at.integers(1)
    rank, axis = len(shape_of(x)), at.axis(at.node.integer("axis", 0))
    places = [index % shape_of(x)[axis] for index in indices]
    step = places[1] - places[0] if len(places) > 1 else 1
    begin, steps, shape = [0] * rank, [1] * rank, list(shape_of(x))
    begin[axis], steps[axis], shape[axis] = places[0], step, len(places)
    if step == 0 or any(b - a != step for a, b in pairwise(places)):
        return at.reshaped(picked(at, x, places, axis), at.result_shape(), "shaped")
    return at.reshaped(at.add(build.slice_(x, begin, steps, shape, at.label)), at.result_shape(), "shaped")


def expand(at: Lowering) -> SSAValue:
    """A constant shape."""
    at.require_known(1)
    return expanded(at, at.activation(0), at.result_shape())


def tile(at: Lowering) -> SSAValue:
    """Constant repeats, 1 for the batch."""
    x = at.activation(0)
    for full, count in enumerate(at.integers(1)):
        if count != 1:
            axis = at.axis(full)
            x = picked(at, x, list(range(shape_of(x)[axis])) * count, axis, f"axis{axis}")
    return x


def depth_to_space(at: Lowering) -> SSAValue:
    """Two spatial axes; modes DCR and CRD."""
    x, size = channels_last(at), at.node.integer("blocksize", 1)
    height, width, channels = shape_of(x)
    inner = channels // (size * size)
    if at.node.text("mode", "DCR") == "DCR":
        shape, order = (height, width, size, size, inner), (0, 2, 1, 3, 4)
    else:
        shape, order = (height, width, inner, size, size), (0, 3, 1, 4, 2)
    apart = at.transposed(at.reshaped(x, shape, "apart"), order, "blocks")
    return channels_first(at, build.reshape(apart, (height * size, width * size, inner), at.label), 3)


def space_to_depth(at: Lowering) -> SSAValue:
    """Two spatial axes; modes DCR and CRD."""
    x, size = channels_last(at), at.node.integer("blocksize", 1)
    height, width, channels = (shape_of(x)[0] // size, shape_of(x)[1] // size, shape_of(x)[2])
    apart = at.reshaped(x, (height, size, width, size, channels), "apart")
    order = (0, 2, 1, 3, 4) if at.node.text("mode", "DCR") == "DCR" else (0, 2, 4, 1, 3)
    blocks = at.transposed(apart, order, "blocks")
    return channels_first(at, build.reshape(blocks, (height, width, size * size * channels), at.label), 3)
