"""Split layers over tiles: balanced cuts of rows and columns into blocks no larger than a tile."""

from dataclasses import dataclass
from typing import ClassVar

from cimc.ir.attributes import ints
from cimc.ir.graph import Graph
from cimc.ir.xbar import MvmOp
from cimc.targets import Target


@dataclass(frozen=True)
class Split:
    """Set row_cuts and col_cuts of every xbar.mvm; parts differ by at most one row or column."""

    name: ClassVar[str] = "split"
    target: Target

    def __call__(self, graph: Graph) -> Graph:
        for op in graph.operations:
            if isinstance(op, MvmOp):
                _, rows, cols = op.matrix
                op.properties["row_cuts"] = ints(balanced_cuts(rows, self.target.rows))
                op.properties["col_cuts"] = ints(balanced_cuts(cols, self.target.columns))
        return graph


def balanced_cuts(size: int, limit: int) -> list[int]:
    """Return 0 = c0 < c1 < ... = size with as few, as equal parts as `limit` allows."""
    parts = -(-size // limit)
    return [size * part // parts for part in range(parts + 1)]
