"""How large the values of a graph are, and how many samples of them are computed at once."""

import math
from collections.abc import Sequence

from xdsl.ir import Operation

from cimc.ir.graph import Graph
from cimc.ir.loop import runs_of
from cimc.ir.nn import Computed
from cimc.ir.types import shape_of

ELEMENTS_AT_ONCE = 1 << 23
"""Elements of all values of a chunk, unless one sample has more: 32 MiB of float32."""
ELEMENTS_ABREAST = 1 << 24
"""Elements of all values of a part of samples computed side by side: 64 MiB, as much again computed ahead."""
MOST_AT_ONCE = 32
"""Samples evaluated at once: more of them gain little, even where the network is small."""


def samples_at_once(graph: Graph) -> int:
    """Return how many samples keep the values of all operations within ELEMENTS_AT_ONCE."""
    return min(max(ELEMENTS_AT_ONCE // max(elements(graph), 1), 1), MOST_AT_ONCE)


def abreast(parts: Sequence[int]) -> int:
    """Return how many samples that come in parts of so many elements keep each part within ELEMENTS_ABREAST."""
    return max(ELEMENTS_ABREAST // max(*parts, 1), 1)


def elements(graph: Graph) -> int:
    """Return how many elements all operations compute for one sample."""
    return sum(map(elements_of, graph.operations))


def is_large(graph: Graph) -> bool:
    """Return whether no two samples are computed at once."""
    return samples_at_once(graph) == 1


def elements_of(op: Operation) -> int:
    """Return how many elements an operation computes for one sample."""
    return math.prod(shape_of(op.out)) * runs_of(op) if isinstance(op, Computed) else 0
