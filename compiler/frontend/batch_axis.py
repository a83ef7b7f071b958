"""Where the batch lies in every tensor: which axis of it, followed from the inputs through the nodes.

The IR is per sample. A value of ONNX shape (time, batch, features) is (time, features) in it, and what an ONNX axis
number means depends on where the batch lies. In an unbatched model no tensor has a batch axis.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Protocol

from cimc.frontend.node import Node

Shape = tuple[int, ...]


@dataclass(frozen=True)
class BatchAxis:
    """The axis that holds the samples, `inner` rows of each: (batch * 7, 5) is axis 0 with 7 rows a sample."""

    axis: int
    inner: int = 1

    @property
    def is_whole(self) -> bool:
        """Say whether the axis holds nothing but the samples, so that it is missing in the value of one sample."""
        return self.inner == 1


class BatchLost(Exception):
    """The batch is no longer one axis: the sentence that says why."""


@dataclass(frozen=True)
class Tensor:
    """A computed operand or a constant: its ONNX shape and, where it has one, its batch axis."""

    shape: Shape
    batch: BatchAxis | None

    @property
    def from_right(self) -> int:
        """How far the batch axis lies from the end; 0 without one."""
        return len(self.shape) - self.batch.axis if self.batch else 0


class Known(Protocol):
    """What the rules ask about the node's surroundings."""

    def tensor(self, name: str) -> Tensor: ...

    def is_computed(self, name: str) -> bool: ...

    def integers(self, name: str) -> tuple[int, ...] | None: ...

    def moving_entry(self, name: str) -> int | None: ...


@dataclass(frozen=True)
class Case:
    """One node, and the shapes ONNX infers for its results at a batch of `batch`, which the file may leave open."""

    node: Node
    known: Known
    results: Sequence[Shape | None]
    batch: int
    free: bool

    @property
    def first(self) -> Tensor:
        """The first computed operand."""
        return self.known.tensor(next(name for name in self.node.inputs if name and self.known.is_computed(name)))

    def axes(self, index: int, attribute: str) -> tuple[int, ...] | None:
        """Return axes from the node's input `index`, or from an attribute; None where it names none."""
        if self.node.has(index):
            return self.known.integers(self.node.inputs[index])
        found = self.node.ints(attribute, ())
        return found or None


Rule = Callable[[Case], list[BatchAxis | None]]


def result_axes(case: Case) -> list[BatchAxis | None]:
    """Return the batch axis of each result. Raises BatchLost."""
    if all(case.known.tensor(name).batch is None for name in case.node.inputs if name and case.known.is_computed(name)):
        return [None] * len(case.node.outputs)
    return RULES.get(case.node.operator, _aligned)(case)


def per_sample(shape: Shape, batch: BatchAxis | None) -> Shape:
    """Return the shape of one sample of a tensor of ONNX shape `shape`."""
    if batch is None:
        return shape
    kept = () if batch.is_whole else (batch.inner,)
    return (*shape[: batch.axis], *kept, *shape[batch.axis + 1 :])


def _everywhere(case: Case, batch: BatchAxis | None) -> list[BatchAxis | None]:
    return [batch] * len(case.node.outputs)


def _aligned(case: Case) -> list[BatchAxis | None]:
    """Operands are aligned from the last axis, and the batch keeps its place from there."""
    operands = [case.known.tensor(name) for name in case.node.inputs if name and case.known.is_computed(name)]
    places = {operand.from_right for operand in operands if operand.batch}
    inner = max(operand.batch.inner for operand in operands if operand.batch)
    if len(places) > 1 and (case.free or case.batch > 1):
        raise BatchLost("the batch lies along different axes of the operands, counted from the last one")
    axes: list[BatchAxis | None] = []
    for shape in case.results:
        rank = len(shape) if shape is not None else max(len(operand.shape) for operand in operands)
        axis = rank - max(places)
        if not 0 <= axis < rank:
            raise BatchLost(f"a result of rank {rank} has no place for the batch")
        if shape is not None and shape[axis] != case.batch * inner:
            raise BatchLost(f"the batch becomes {shape[axis]} entries long")
        axes.append(BatchAxis(axis, inner))
    return axes


def _normalised(case: Case) -> list[BatchAxis | None]:
    """Training's statistics, the further results, have no batch."""
    return [case.first.batch, *[None] * (len(case.node.outputs) - 1)]


def _from_left(case: Case) -> list[BatchAxis | None]:
    """Products with a vector and the like shorten a tensor at its end."""
    x = case.first
    shortened = any(shape is not None and len(shape) < len(x.shape) for shape in case.results)
    return _everywhere(case, x.batch) if shortened else _aligned(case)


def _gemm(case: Case) -> list[BatchAxis | None]:
    """A' * B' + C: the batch lies along the rows of A'."""
    rows = case.known.tensor(case.node.inputs[0])
    if rows.batch is None or rows.batch.axis != case.node.integer("transA", 0):
        raise BatchLost("the product runs over the batch")
    return [BatchAxis(0, rows.batch.inner)]


def _transposed(case: Case) -> list[BatchAxis | None]:
    x = case.first
    assert x.batch
    order = case.node.ints("perm", tuple(reversed(range(len(x.shape)))))
    return [BatchAxis(order.index(x.batch.axis), x.batch.inner)]


def _reshaped(case: Case) -> list[BatchAxis | None]:
    """The batch is where as many elements lie before it as before, and where the target shape moves with it."""
    x, shape = case.first, case.results[0]
    assert x.batch
    if shape is None:
        return [x.batch]
    before = prod(x.shape[: x.batch.axis])
    places = [axis for axis, size in enumerate(shape) if prod(shape[:axis]) == before and size % case.batch == 0]
    moving = case.known.moving_entry(case.node.inputs[1]) if case.node.has(1) else None
    if moving is not None and moving in places:
        places = [moving]
    if not places:
        raise BatchLost(f"the shape {shape} mixes the samples, which lie along axis {x.batch.axis} of {x.shape}")
    axis = x.batch.axis if x.batch.axis in places else places[0]
    target = case.known.integers(case.node.inputs[1]) if case.node.has(1) else None
    if case.free and axis > 0 and target and target[axis] > 0:
        raise BatchLost(f"the target shape {list(target)} fixes the batch, axis {axis}")
    return [BatchAxis(axis, shape[axis] // case.batch)]


def _flattened(case: Case) -> list[BatchAxis | None]:
    x = case.first
    assert x.batch
    axis = case.node.integer("axis", 1)
    if (axis + len(x.shape) if axis < 0 else axis) <= x.batch.axis:
        raise BatchLost(f"axis {axis} flattens the batch into the values")
    return _reshaped(case)


def _squeezed(case: Case) -> list[BatchAxis | None]:
    x = case.first
    assert x.batch
    axes = case.axes(1, "axes")
    if axes is None:
        raise BatchLost("without axes a batch of one is squeezed too")
    gone = {axis % len(x.shape) for axis in axes}
    if x.batch.axis in gone:
        raise BatchLost(f"axis {x.batch.axis} is the batch")
    return [BatchAxis(x.batch.axis - sum(axis < x.batch.axis for axis in gone), x.batch.inner)]


def _unsqueezed(case: Case) -> list[BatchAxis | None]:
    x = case.first
    assert x.batch
    axes = case.axes(1, "axes") or ()
    rank = len(x.shape) + len(axes)
    new = {axis % rank for axis in axes}
    kept = [axis for axis in range(rank) if axis not in new]
    return [BatchAxis(kept[x.batch.axis], x.batch.inner)]


def _gathered(case: Case) -> list[BatchAxis | None]:
    """The gathered axis gives way to the axes of the indices; a computed index brings its own batch axis."""
    data, indices = (case.known.tensor(name) for name in case.node.inputs[:2])
    axis = case.node.integer("axis", 0) % max(len(data.shape), 1)
    if data.batch is None:
        assert indices.batch
        return [BatchAxis(axis + indices.batch.axis, indices.batch.inner)]
    if data.batch.axis == axis:
        raise BatchLost(f"axis {axis} is the batch")
    moved = len(indices.shape) - 1 if data.batch.axis > axis else 0
    return [BatchAxis(data.batch.axis + moved, data.batch.inner)]


def _reduced(case: Case) -> list[BatchAxis | None]:
    x = case.first
    assert x.batch
    axes = case.axes(1, "axes")
    if axes is None and case.node.integer("noop_with_empty_axes", 0):
        return _everywhere(case, x.batch)
    return _everywhere(case, _without(case, x, axes))


def _arg_reduced(case: Case) -> list[BatchAxis | None]:
    return _everywhere(case, _without(case, case.first, (case.node.integer("axis", 0),)))


def _without(case: Case, x: Tensor, axes: tuple[int, ...] | None) -> BatchAxis:
    assert x.batch
    gone = {axis % len(x.shape) for axis in (range(len(x.shape)) if axes is None else axes)}
    if x.batch.axis in gone:
        raise BatchLost("a reduction over every axis mixes the batch" if axes is None else "the batch is reduced")
    lost = 0 if case.node.integer("keepdims", 1) else sum(axis < x.batch.axis for axis in gone)
    return BatchAxis(x.batch.axis - lost, x.batch.inner)


def _recurrent(case: Case) -> list[BatchAxis | None]:
    """Y is (time, directions, batch, hidden), Y_h and Y_c (directions, batch, hidden); layout 1 has the batch first."""
    if case.node.integer("layout", 0):
        return _everywhere(case, BatchAxis(0))
    return [BatchAxis(2 if index == 0 else 1) for index in range(len(case.node.outputs))]


REDUCTIONS = (
    "ReduceL1",
    "ReduceL2",
    "ReduceLogSum",
    "ReduceLogSumExp",
    "ReduceMax",
    "ReduceMean",
    "ReduceMin",
    "ReduceProd",
    "ReduceSum",
    "ReduceSumSquare",
)

RULES: Mapping[str, Rule] = {
    "ArgMax": _arg_reduced,
    "ArgMin": _arg_reduced,
    "BatchNormalization": _normalised,
    "Flatten": _flattened,
    "GRU": _recurrent,
    "Gather": _gathered,
    "Gemm": _gemm,
    "LSTM": _recurrent,
    "MatMul": _from_left,
    "RNN": _recurrent,
    "Reshape": _reshaped,
    "Squeeze": _squeezed,
    "Transpose": _transposed,
    "Unsqueeze": _unsqueezed,
    **dict.fromkeys(REDUCTIONS, _reduced),
}
"""Operators that move the batch; all others leave it where it is, counted from the last axis."""
