"""Operators that only move values: shapes, axes, parts and padding."""

from itertools import pairwise

from xdsl.ir import SSAValue

from cimc.frontend.site import Site
from cimc.ir import build
from cimc.ir.types import shape_of


def reshape(at: Site) -> SSAValue:
    if not at.is_constant(1):
        raise at.refuse("CIM0104", "the target shape is computed from data")
    target = at.canvas.facts.constants[at.node.inputs[1]]
    if target.value.shape != target.other.shape or (target.value[1:] != target.other[1:]).any():
        raise at.refuse("CIM0109", f"the target shape {target.value.tolist()} takes the batch to a later axis")
    return at.add(build.reshape(at.activation(0), at.result_shape(), at.label))


def flatten(at: Site) -> SSAValue:
    x = at.activation(0)
    axis, rank = at.node.integer("axis", 1), len(shape_of(x)) + 1
    if axis % rank == 0 and axis != rank:
        raise at.refuse("CIM0109", f"axis {axis} flattens the batch into the values")
    return at.add(build.reshape(x, at.result_shape(), at.label))


def squeeze(at: Site) -> SSAValue:
    x = at.activation(0)
    if not at.node.has(1):
        raise at.refuse("CIM0109", "without axes a batch of one is squeezed too", hint="name the axes")
    for axis in at.integers(1):
        at.axis(axis, len(shape_of(x)))
    return at.add(build.reshape(x, at.result_shape(), at.label))


def unsqueeze(at: Site) -> SSAValue:
    x, axes = at.activation(0), at.integers(1)
    for axis in axes:
        at.axis(axis, len(shape_of(x)) + len(axes))
    return at.add(build.reshape(x, at.result_shape(), at.label))


def transpose(at: Site) -> SSAValue:
    x = at.activation(0)
    rank = len(shape_of(x)) + 1
    order = at.node.ints("perm", tuple(reversed(range(rank))))
    if order[0] != 0:
        raise at.refuse("CIM0109", f"perm {order} moves the batch from the first axis")
    return at.add(build.transpose(x, [axis - 1 for axis in order[1:]], at.label))


def concat(at: Site) -> SSAValue:
    parts = [at.activation(index) for index in range(len(at.node.inputs))]
    axis = at.axis(at.node.integer("axis", 0), len(shape_of(parts[0])))
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
    axes = at.integers(3) if at.node.has(3) else tuple(range(rank + 1))
    if len(pads) != 2 * len(axes):
        raise at.refuse("CIM0104", f"{len(pads)} pads for {len(axes)} axes")
    before, after = [0] * (rank + 1), [0] * (rank + 1)
    for position, axis in enumerate(axes):
        before[axis], after[axis] = pads[position], pads[position + len(axes)]
    if before[0] or after[0]:
        raise at.refuse("CIM0109", "the batch is padded")
    return before[1:], after[1:]


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
        axis = _sliced_axis(at, full, rank, start, end, stride)
        if axis is None:
            continue
        size = shape_of(x)[axis]
        begin[axis], step[axis] = min(max(start + size if start < 0 else start, 0), size), stride
    return at.add(build.slice_(x, begin, step, at.result_shape(), at.label))


def _sliced_axis(at: Site, full: int, rank: int, start: int, end: int, stride: int) -> int | None:
    """Return the per-sample axis of one slice; None where it takes the whole batch."""
    if stride < 1:
        raise at.refuse("CIM0104", f"step {stride}, only positive steps are supported")
    if full in (0, -rank - 1) and (start, stride) == (0, 1) and end >= max(at.canvas.batch, 1 << 30):
        return None
    return at.axis(full, rank)


def split(at: Site) -> tuple[SSAValue, ...]:
    x = at.activation(0)
    rank = len(shape_of(x))
    axis, start, results = at.axis(at.node.integer("axis", 0), rank), 0, []
    for index, name in enumerate(at.node.outputs):
        begin = [start if a == axis else 0 for a in range(rank)]
        shape = at.result_shape(index)
        results.append(at.add(build.slice_(x, begin, [1] * rank, shape, name or at.helper(str(index)))))
        start += shape[axis]
    return tuple(results)


def gather(at: Site) -> SSAValue:
    """Constant, evenly spaced indices are a slice; a scalar index then drops the axis."""
    x = at.activation(0)
    rank = len(shape_of(x))
    axis, indices = at.axis(at.node.integer("axis", 0), rank), at.integers(1)
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
