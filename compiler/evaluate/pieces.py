"""Cuts a long or large graph into pieces that are lowered one by one.

onnxruntime takes ever longer for a node of a long model, and holds every value that is asked for until a run has ended.
A piece hands the values that later pieces read over under the names of `given_name`.
"""

import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from xdsl.ir import Operation

from cimc.evaluate.lower import Lowered, lower, needed_by, replaced_by, sources
from cimc.evaluate.sizes import elements_of, is_large
from cimc.ir.graph import Graph, label_of
from cimc.ir.loop import ScanOp
from cimc.ir.nn import Computed, InputOp, OutputOp
from cimc.ir.types import is_quantised

LONGEST = 2000
"""Operations of a piece. Shorter graphs stay whole, and so do those with loops, whose parts belong together."""
LARGEST = 1 << 20
"""Elements of a piece beyond which it ends, in graphs so large that samples are computed one by one."""


@dataclass(frozen=True)
class Piece:
    """Neighbouring operations, behind the earlier ones that they read; `given` are labels of values fed to it.

    It shows the values `asked`, the values `handed` that later pieces read, and the model's outputs if it is to.
    """

    graph: Graph
    operations: Sequence[Operation]
    asked: Collection[str]
    handed: Collection[str]
    given: Collection[str]
    outputs: bool

    @property
    def labels(self) -> list[str]:
        """The labels of its operations, of those before it that it reads too."""
        return [op.label.data for op in self.operations if isinstance(op, Computed)]

    def lowered(self, given: Collection[str] = ()) -> Lowered:
        """Return the piece as a model, with values given beside its own."""
        shown = [*self.asked, *(label for label in self.handed if label not in self.asked)]
        fed = {*self.given, *given}
        return lower(self.graph, shown, outputs=self.outputs, feeding=True, given=fed, within=self.operations)


def pieces(
    graph: Graph, values: Collection[str] | None, given: Collection[str] = (), longest: int | None = None
) -> Iterator[Piece]:
    """Yield what computes `values`, or the outputs where that is None, in order; `given` is as in `lower`."""
    operations, most = list(graph.module.ops), longest or LONGEST
    in_parts = is_large(graph) and (values is not None or _is_integer(operations))
    if (len(operations) <= most and not in_parts) or any(isinstance(op, ScanOp) for op in operations):
        yield Piece(graph, operations, values or (), (), given, values is None)
        return
    needed = _needed(operations, values, given)
    left = [op for op in operations if op in needed or isinstance(op, InputOp)]
    parts = list(_cut(left, most, LARGEST if in_parts else math.inf))
    yield from _joined(graph, parts, values, frozenset(given))


def _is_integer(operations: Sequence[Operation]) -> bool:
    """Return whether all values are codes: they are the same whatever onnxruntime fuses."""
    return all(is_quantised(op.out) for op in operations if isinstance(op, Computed))


def _cut(operations: Sequence[Operation], longest: int, largest: float) -> Iterator[Sequence[Operation]]:
    """Yield neighbouring operations, so many at most, that end once their values have more elements than `largest`."""
    part, size = list[Operation](), 0
    for op in operations:
        part.append(op)
        size += elements_of(op)
        if len(part) == longest or size > largest:
            yield part
            part, size = [], 0
    if part:
        yield part


def _joined(
    graph: Graph, parts: Sequence[Sequence[Operation]], values: Collection[str] | None, given: frozenset[str]
) -> Iterator[Piece]:
    """Yield the pieces of parts, each with what it is given by those before it and hands to those behind."""
    asked = frozenset(values or ())
    outside = [_read_from_outside(part) for part in parts]
    last = {op: number for number, ops in enumerate(outside) for op in ops}
    for number, (part, before) in enumerate(zip(parts, outside, strict=True)):
        own = [op.label.data for op in part if isinstance(op, Computed)]
        handed = {label_of(op.results[0]) for op in part if last.get(op, 0) > number} - given
        received = {label_of(op.results[0]) for op in before}
        shown = [label for label in own if label in asked]
        yield Piece(graph, [*before, *part], shown, handed, given | received, values is None)


def _needed(operations: Sequence[Operation], values: Collection[str] | None, given: Collection[str]) -> set[Operation]:
    """Return what the values, or the outputs, are computed from."""
    asked = frozenset(values or ())
    ends = [
        op
        for op in operations
        if (isinstance(op, OutputOp) and values is None) or (isinstance(op, Computed) and op.label.data in asked)
    ]
    return needed_by(ends, replaced_by(operations, given))


def _read_from_outside(part: Sequence[Operation]) -> list[Operation]:
    """Return the operations before a piece whose values it reads, each once."""
    inside = set(part)
    return list(dict.fromkeys(source for op in part for source in sources(op) if source not in inside))
