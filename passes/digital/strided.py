"""Movements as strided copies of at most four axes, which is what one instruction addresses."""

from collections.abc import Sequence
from math import prod

from xdsl.ir import Operation, SSAValue

from cimc.ir import nn, xbar
from cimc.ir.attributes import integer, ints, text
from cimc.ir.graph import Graph, Labels
from cimc.ir.types import code_of, code_tensor, shape_of

MOST_AXES = 4
"""Axes that one copy walks."""

Shape = tuple[int, ...]


def strided(graph: Graph, op: nn.Computed, start: int, pitch: Sequence[int]) -> list[Operation]:
    """Return the copy of flat elements start + i * pitch[0] + ... of op's operand.

    Where that needs more than four axes, one axis is copied after the other; every axis is then a slice of its own.
    """
    shape, x = shape_of(op.out), op.operands[0]
    if len(joined(shape, pitch)) <= MOST_AXES:
        return [_move(x, shape, start, pitch, op.label.data)]
    return _per_axis(graph, op, start, pitch)


def transposed(graph: Graph, op: nn.TransposeOp, order: Sequence[int]) -> list[Operation]:
    """Return the copies that put axes in `order`: one, or block after block brought to its place."""
    pitches = dense(shape_of(op.x))
    if len(joined(shape_of(op.out), [pitches[axis] for axis in order])) <= MOST_AXES:
        return strided(graph, op, 0, [pitches[axis] for axis in order])
    labels, made, x = Labels(graph), list[Operation](), op.x
    for outer, left, right, inner in exchanges(shape_of(op.x), order):
        pitch = (left * right * inner, inner, right * inner, 1)
        made.append(_move(x, (outer, right, left, inner), 0, pitch, labels.fresh(op.label.data, "part")))
        x = made[-1].results[0]
    return [*made, _view(x, op)]


def joined(shape: Sequence[int], pitch: Sequence[int]) -> list[tuple[int, int]]:
    """Return (size, pitch) of the fewest axes that walk the same elements."""
    axes: list[tuple[int, int]] = []
    for size, step in zip(shape, pitch, strict=True):
        if size == 1:
            continue
        if axes and axes[-1][1] == size * step:
            axes[-1] = (axes[-1][0] * size, step)
        else:
            axes.append((size, step))
    return axes


def exchanges(shape: Sequence[int], order: Sequence[int]) -> list[tuple[int, int, int, int]]:
    """Return exchanges (outer, left, right, inner) of neighbouring blocks that together put axes in `order`.

    Each turns data of these four sizes into (outer, right, left, inner).
    """
    now, found = list(range(len(shape))), []
    for place, axis in enumerate(order):
        at, end = now.index(axis), now.index(axis) + 1
        if at == place:
            continue
        while end < len(now) and now[end] == order[place + end - at]:
            end += 1
        blocks = (now[:place], now[place:at], now[at:end], now[end:])
        outer, left, right, inner = (prod(shape[a] for a in block) for block in blocks)
        found.append((outer, left, right, inner))
        now = [*blocks[0], *blocks[2], *blocks[1], *blocks[3]]
    return found


def dense(shape: Sequence[int]) -> list[int]:
    """Return the distance between neighbours along each axis of a dense tensor."""
    return [prod(shape[axis + 1 :]) for axis in range(len(shape))]


def _per_axis(graph: Graph, op: nn.Computed, start: int, pitch: Sequence[int]) -> list[Operation]:
    """A slice or pick: pitch is a multiple of the operand's own along every axis, which is copied by itself."""
    labels, made, x = Labels(graph), list[Operation](), op.operands[0]
    sizes, rest = list(shape_of(x)), start
    for axis, own in enumerate(dense(shape_of(x))):
        first, rest = divmod(rest, own)
        step, count = pitch[axis] // own, shape_of(op.out)[axis]
        if (first, step, count) != (0, 1, sizes[axis]):
            outer, inner = prod(sizes[:axis]), prod(sizes[axis + 1 :])
            along = (sizes[axis] * inner, step * inner, 1)
            label = labels.fresh(op.label.data, "part")
            made.append(_move(x, (outer, count, inner), first * inner, along, label))
            x, sizes[axis] = made[-1].results[0], count
    return [*made, _view(x, op)]


def _move(x: SSAValue, shape: Shape, start: int, pitch: Sequence[int], label: str) -> Operation:
    properties = {"label": text(label), "start": integer(start), "pitch": ints(pitch)}
    return xbar.MoveOp.create(operands=[x], result_types=[code_tensor(shape, code_of(x))], properties=properties)


def _view(x: SSAValue, op: nn.Computed) -> Operation:
    return xbar.ViewOp.create(operands=[x], result_types=[op.out.type], properties={"label": op.label})
