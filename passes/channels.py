"""Channels of a layer: where they go, and how those that are always zero leave the network with all that reads them."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from xdsl.dialects.builtin import StringAttr
from xdsl.ir import SSAValue
from xdsl.rewriter import Rewriter

from cimc.ir.attributes import float_values, int_value, integer
from cimc.ir.graph import Graph, users
from cimc.ir.loop import scan_of
from cimc.ir.nn import Activated, AvgPoolOp, Canonical, ConvOp, Layer, MaxPoolOp, ReshapeOp
from cimc.ir.types import float_tensor, shape_of

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Course:
    """A layer, the operations that hand each of its channels on by itself, and the layers that read them."""

    layer: Layer
    carriers: tuple[Canonical, ...]
    readers: tuple[Layer, ...]

    @property
    def channels(self) -> int:
        return int(self.layer.weight.dims[-1])

    @property
    def made(self) -> tuple[Layer, ...]:
        """The layers whose columns are the channels: depthwise ones among the carriers have one for each, too."""
        return (self.layer, *(op for op in self.carriers if isinstance(op, Layer)))

    def rows(self, reader: Layer, kept: Mask) -> Mask:
        """Return which rows of a reader read the channels `kept`: flattened values repeat them."""
        return np.tile(kept, int(reader.weight.dims[-2]) // self.channels)


class _Elsewhere(Exception):
    """A channel goes where it cannot be followed."""


def courses(graph: Graph) -> list[Course]:
    """Return the course of every layer whose channels layers alone read, and which a zero passes as a zero.

    Weights that layers outside a course have too cannot lose anything by their name: there is no course then.
    """
    layers = [op for op in graph.operations if isinstance(op, Layer)]
    owners = Counter(layer.weight.key for layer in layers)
    return [course for layer in layers for course in _from(layer) if _is_alone(course, owners)]


def drop_zero_channels(graph: Graph) -> None:
    """Shrink layers whose columns and biases are zero, with all that carries and reads those channels."""
    for course in courses(graph):
        kept = ~_zero(graph, course)
        if kept.any() and not kept.all():
            _shrink(graph, course, kept)


def _from(layer: Layer) -> Iterator[Course]:
    """Yield the course of a layer where it has one."""
    if not _is_whole(layer) or scan_of(layer) is not None:
        return
    carriers, readers = list[Canonical](), list[Layer]()
    try:
        _follow(layer.out, int(layer.weight.dims[-1]), carriers, readers)
    except _Elsewhere:
        return
    if _keeps_zero(layer) and all(map(_keeps_zero, carriers)):
        yield Course(layer, tuple(carriers), tuple(readers))


def _is_alone(course: Course, owners: Mapping[StringAttr, int]) -> bool:
    """Return whether each layer of a course has weights of its own, which readers may share among themselves."""
    read = Counter(op.weight.key for op in course.readers)
    return all(owners[op.weight.key] == 1 for op in course.made) and all(
        owners[key] == count for key, count in read.items()
    )


def _follow(value: SSAValue, channels: int, carriers: list[Canonical], readers: list[Layer]) -> None:
    for user in users(value):
        if isinstance(user, Layer) and _is_whole(user):
            readers.append(user)
        elif isinstance(user, Canonical) and _carries(user, channels):
            carriers.append(user)
            _follow(user.out, channels, carriers, readers)
        else:
            raise _Elsewhere


def _is_whole(layer: Layer) -> bool:
    """Return whether each column of a layer reads all channels."""
    return not isinstance(layer, ConvOp) or int_value(layer.group) == 1


def _carries(op: Canonical, channels: int) -> bool:
    if isinstance(op, ReshapeOp):
        return shape_of(op.out)[-1] % channels == 0
    is_alone = isinstance(op, ConvOp) and op.is_depthwise and op.weight.dims[-1] == channels
    return is_alone or isinstance(op, MaxPoolOp | AvgPoolOp)


def _keeps_zero(op: Canonical) -> bool:
    low, high = float_values(op.clamp) if isinstance(op, Activated) and op.clamp is not None else (0.0, 0.0)
    return low <= 0.0 <= high


def _zero(graph: Graph, course: Course) -> Mask:
    """Return which channels are zero whatever the input."""
    weight = graph.weights.get(course.layer.weight)
    biases = [graph.bias_of(op) == 0.0 for op in course.made]
    return np.asarray((weight == 0.0).all(axis=tuple(range(weight.ndim - 1))) & np.logical_and.reduce(biases))


def _shrink(graph: Graph, course: Course, kept: Mask) -> None:
    """Leave out channels; the layer itself comes last, since its columns say how many there were."""
    for reader in course.readers:
        _cut(graph, reader, "weight", course.rows(reader, kept), -2)
    for op in (course.layer, *course.carriers):
        *rest, last = shape_of(op.out)
        shape = (*rest, last // course.channels * int(kept.sum()))
        Rewriter.replace_value_with_new_type(op.out, float_tensor(shape))
        if isinstance(op, ConvOp) and op.is_depthwise:
            op.properties["group"] = integer(int(kept.sum()))
    for made in course.made[::-1]:
        for name in ("weight", "bias", "steps"):
            _cut(graph, made, name, kept, -1)


def _cut(graph: Graph, op: Layer, name: str, kept: Mask, axis: int) -> None:
    ref = getattr(op, name)
    if ref is not None:
        op.properties[name] = graph.weights.add(ref.key.data, np.compress(kept, graph.weights.get(ref), axis))
