"""The author of a graph's program: streams over values, tables of operations, names for what they are."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from xdsl.ir import Operation, SSAValue

from cimc.backends.emission.layers import layers_of
from cimc.ir.attributes import int_value, int_values
from cimc.ir.graph import Graph
from cimc.ir.nn import Computed
from cimc.ir.types import code_of, shape_of
from cimc.isa.author import Author
from cimc.isa.program import Program
from cimc.isa.streams import AXES
from cimc.isa.table import BY_NAME

IN, OUT, SECOND, THIRD = 0, 1, 2, 3
OPERANDS = (IN, SECOND, THIRD)
"""Streams used: every operation defines its own, nothing is kept between operations but the streams of loops."""

Shape = Sequence[int]

LONGEST = BY_NAME["tensor"].field("shape").highest
"""The largest count along one axis of a stream."""


@dataclass(frozen=True)
class Emission:
    """A program, and names for addresses in its constant memory (`constants`) and conductance section (`cells`)."""

    program: Program
    constants: Sequence[tuple[int, int, str]]
    cells: Sequence[tuple[int, int, int, str]]
    """(byte offset, rows, columns, name) of each block in the conductance section."""


class Builder(Author):
    """An author that knows the graph; `moving` is the stream of each slice a loop takes and of each stack it fills."""

    def __init__(self, graph: Graph, meta: Mapping[str, Any], activation_bytes: int) -> None:
        super().__init__(meta["target"], activation_bytes)
        self.meta = dict(meta)
        self.graph = graph
        self.owners = layers_of(graph)
        self.layers = list(self.owners.values())
        self.cells: list[tuple[int, int, int, str]] = []
        self.moving: dict[Operation, int] = {}

    def enter(self, op: Operation | None) -> None:
        """Let the instructions that follow belong to the layer of an operation; to none where it is none."""
        self.names = (self.owners[op].name,) if op in self.owners else ()

    def parameter(self, op: Operation, key: str, element_type: str) -> int:
        """Return the constant address of a table that an operation has."""
        ref: Any = op.properties[key]
        return self.table(self.graph.weights.get(ref), element_type, f"{key} of {self.names[0]}")

    def stream(
        self, number: int, value: SSAValue, shape: Shape, pitch: Shape, start: int = 0, element: str | None = None
    ) -> None:
        """Define a stream over a value: counts and pitches in elements, innermost last, up to four axes.

        Its elements are read as another type, `element`, of their size where that says more of the value's codes.
        """
        code = code_of(value)
        shape, pitch = fitted(shape, pitch)
        base = address_of(value) + start * code.element_bytes
        self.tensor(
            number, shape, base, type=element or code.element_type, pitch=(0,) * (AXES - len(shape)) + tuple(pitch)
        )

    def result(self, op: Computed, shape: Shape, pitch: Shape, start: int = 0) -> None:
        """Define the output stream over (a part of) the result of `op`; the instruction put next writes it."""
        self.stream(OUT, op.out, shape, pitch, start)

    def patches(
        self,
        op: Any,
        fill: int,
        channels: int,
        start: int = 0,
        rows: tuple[int, int] | None = None,
        element: str | None = None,
    ) -> None:
        """Define the input stream as the op's im2col window over `channels` channels from element `start` on.

        `rows` are the first output row and one past the last, where not all of them are wanted.
        """
        height, width, depth = shape_of(op.x)
        w = int_values(op.window)
        first, last = rows or (0, w[8])
        top = first * w[2] - w[6]
        skip, pad = min(max(top, 0), height), (max(-top, 0), w[7])
        shape, pitch = (1, height - skip, width, channels), (0, width * depth, depth, 1)
        self.stream(IN, op.x, shape, pitch, start + skip * width * depth, element)
        self.window(IN, w[0:2], (last - first, w[9]), stride=w[2:4], dilation=w[4:6], pad=pad, fill=fill)


def address_of(value: SSAValue) -> int:
    owner = value.owner
    assert isinstance(owner, Computed) and owner.address is not None
    return int_value(owner.address)


def fitted(shape: Shape, pitch: Shape) -> tuple[list[int], list[int]]:
    """Return the same elements in the same order with every axis that is too long for an instruction cut into two."""
    if max(shape, default=0) <= LONGEST:
        return list(shape), list(pitch)
    counts, steps = list[int](), list[int]()
    for count, step in zip(shape, pitch, strict=True):
        fewest = max(-(-count // LONGEST), 1)
        parts = next((n for n in range(fewest, LONGEST) if count % n == 0), 1)
        if parts > 1:
            counts.append(parts)
            steps.append(count // parts * step)
        counts.append(count // parts)
        steps.append(step)
    return counts, steps


def vectors(shape: Shape) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return (vectors, length) and pitches of a contiguous tensor read as vectors of its last axis."""
    length = shape[-1] if shape else 1
    return (math.prod(shape[:-1]), length), (length, 1)
