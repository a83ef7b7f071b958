"""Split layers over tiles: balanced or greedy cuts of rows and columns into blocks no larger than a tile."""

from dataclasses import dataclass
from typing import ClassVar

from cimc.ir.attributes import ints
from cimc.ir.graph import Graph
from cimc.ir.xbar import MvmOp
from cimc.passes.choices import require_choice
from cimc.targets import Target


@dataclass(frozen=True)
class Split:
    """Set row_cuts and col_cuts of every xbar.mvm.

    `rows` and `columns` are balanced, parts that differ by at most one, or greedy: whole tiles and one remainder.
    """

    name: ClassVar[str] = "split"
    target: Target
    rows: str = "balanced"
    columns: str = "balanced"

    def __call__(self, graph: Graph) -> Graph:
        require_choice(self.name, "rows", self.rows, CUTS)
        require_choice(self.name, "columns", self.columns, CUTS)
        for op in graph.operations:
            if isinstance(op, MvmOp):
                _, rows, cols = op.matrix
                op.properties["row_cuts"] = ints(CUTS[self.rows](rows, self.target.rows))
                op.properties["col_cuts"] = ints(CUTS[self.columns](cols, self.target.columns))
        return graph


def balanced_cuts(size: int, limit: int) -> list[int]:
    """Return 0 = c0 < c1 < ... = size with as few, as equal parts as `limit` allows."""
    parts = -(-size // limit)
    return [size * part // parts for part in range(parts + 1)]


def greedy_cuts(size: int, limit: int) -> list[int]:
    """Return 0 = c0 < c1 < ... = size with parts of `limit` and one remainder."""
    return [*range(0, size, limit), size]


CUTS = {"balanced": balanced_cuts, "greedy": greedy_cuts}
"""What the options of `split` may say."""
