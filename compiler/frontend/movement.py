"""Operators that only move values: shapes, axes, parts and padding."""

from itertools import pairwise

from xdsl.ir import SSAValue

from cimc.frontend.site import Site
from cimc.ir import build
from cimc.ir.attributes import int_values, ints
from cimc.ir.nn import InputOp, Movement
from cimc.ir.types import shape_of

LARGEST_TABLE = 65535
"""Rows that 16-bit codes tell apart."""


def reshape(at: Site) -> SSAValue:
    if not at.is_constant(1):
        raise at.refuse("CIM0104", "the target shape is computed from data")
    return reshaped(at)


def reshaped(at: Site) -> SSAValue:
    """Reshape, Flatten, Squeeze, Unsqueeze: the elements of a sample keep their order."""
    return at.add(build.reshape(at.activation(0), at.result_shape(), at.label))


def transpose(at: Site) -> SSAValue:
    full = len(at.full_shape(at.node.inputs[0]))
    order = at.node.ints("perm", tuple(reversed(range(full))))
    batch = at.batch_axis(at.node.inputs[0])
    if batch is not None and not batch.is_whole:
        raise at.refuse("CIM0109", f"axis {batch.axis} mixes samples and {batch.inner} rows of each")
    kept = [axis for axis in order if batch is None or axis != batch.axis]
    return at.add(build.transpose(at.activation(0), [at.axis(axis) for axis in kept], at.label))


def concat(at: Site) -> SSAValue:
    parts = [at.operand(index) for index in range(len(at.node.inputs))]
    axis = at.axis(at.node.integer("axis", 0), next(i for i in range(len(parts)) if not at.is_constant(i)))
    return at.add(build.concat(parts, axis, at.label))


def pad(at: Site) -> SSAValue:
    x, mode = at.activation(0), at.node.text("mode", "constant")
    if mode != "constant":
        raise at.refuse("CIM0104", f"mode {mode}, only constant padding is supported")
    value = float(at.reals(2).reshape(-1)[0]) if at.node.has(2) else 0.0
    before, after = _pads(at, len(shape_of(x)))
    if min((*before, *after), default=0) < 0:
        x = _cropped(at, x, before, after)
        before, after = [max(size, 0) for size in before], [max(size, 0) for size in after]
    return at.add(build.pad(x, before, after, value, at.label))


def _pads(at: Site, rank: int) -> tuple[list[int], list[int]]:
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


def _cropped(at: Site, x: SSAValue, before: list[int], after: list[int]) -> SSAValue:
    begin = [max(-size, 0) for size in before]
    shape = [size - start - max(-end, 0) for size, start, end in zip(shape_of(x), begin, after, strict=True)]
    if min(shape) < 1:
        raise at.refuse("CIM0107", f"negative pads leave shape {tuple(shape)}")
    return at.add(build.slice_(x, begin, [1] * len(begin), shape, at.helper("cropped")))


def slice_(at: Site) -> SSAValue:
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
        begin[axis], step[axis] = min(max(start + size if start < 0 else start, 0), size), stride
    return at.add(build.slice_(x, begin, step, at.result_shape(), at.label))


def _sliced_axis(at: Site, full: int, start: int, end: int, stride: int) -> int | None:
    """Return the per-sample axis of one slice; None where it takes the whole batch."""
    if stride < 1:
        raise at.refuse("CIM0104", f"step {stride}, only positive steps are supported")
    name = at.node.inputs[0]
    batch = at.batch_axis(name)
    is_batch = batch is not None and full % len(at.full_shape(name)) == batch.axis
    if is_batch and (start, stride) == (0, 1) and end >= max(at.canvas.batch, 1 << 30):
        return None
    return at.axis(full)


def split(at: Site) -> tuple[SSAValue, ...]:
    x = at.activation(0)
    rank = len(shape_of(x))
    axis, start, results = at.axis(at.node.integer("axis", 0)), 0, []
    for index, name in enumerate(at.node.outputs):
        begin = [start if a == axis else 0 for a in range(rank)]
        shape = at.result_shape(index)
        results.append(at.add(build.slice_(x, begin, [1] * rank, shape, name or at.helper(str(index)))))
        start += shape[axis]
    return tuple(results)


def gather(at: Site) -> SSAValue:
    return _rows_of_table(at) if at.is_constant(0) and not at.is_constant(1) else _constant_indices(at)


def _rows_of_table(at: Site) -> SSAValue:
    """An embedding: rows of a constant by an input of whole numbers, whose highest is the table's last row."""
    table, x = at.reals(0), at.activation(1)
    if at.node.integer("axis", 0) % table.ndim:
        raise at.refuse("CIM0104", f"axis {at.node.integer('axis', 0)} of a constant, rows are looked up along axis 0")
    source = _whole_input(x)
    if source is None or not 2 <= len(table) <= LARGEST_TABLE:
        limit = f"an INT64 or INT32 input, moved only, and 2 to {LARGEST_TABLE} rows"
        raise at.refuse("CIM0104", f"computed indices of {len(table)} rows; what is needed is {limit}")
    known = int_values(source.integers)
    source.properties["integers"] = ints((0, min([len(table) - 1, *known[1:]])))
    rows = at.weight(table.reshape(len(table), -1), at.node.inputs[0])
    return at.reshaped(at.add(build.embed(x, rows, at.label)), at.result_shape(), "shaped")


def _whole_input(x: SSAValue) -> InputOp | None:
    """Return the input of whole numbers that a value is, moved."""
    op = x.owner
    while isinstance(op, Movement) and len(op.operands) == 1:
        op = op.operands[0].owner
    return op if isinstance(op, InputOp) and op.integers is not None else None


def _constant_indices(at: Site) -> SSAValue:
    """Constant, evenly spaced indices are a slice; a scalar index then drops the axis."""
    x = at.activation(0)
    rank = len(shape_of(x))
    axis, indices = at.axis(at.node.integer("axis", 0)), at.integers(1)
    places = [index % shape_of(x)[axis] for index in indices]
    step = places[1] - places[0] if len(places) > 1 else 1
    if step < 1 or any(b - a != step for a, b in pairwise(places)):
        raise at.refuse("CIM0104", f"indices {indices[:8]} are not evenly spaced and ascending")
    begin, steps, shape = [0] * rank, [1] * rank, list(shape_of(x))
    begin[axis], steps[axis], shape[axis] = places[0], step, len(places)
    if tuple(shape) == at.result_shape():
        return at.add(build.slice_(x, begin, steps, shape, at.label))
    part = at.add(build.slice_(x, begin, steps, shape, at.helper("part")))
    return at.add(build.reshape(part, at.result_shape(), at.label))
