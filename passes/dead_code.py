"""Remove operations whose results nobody uses, and weights that no operation names."""

from dataclasses import dataclass
from typing import ClassVar

from xdsl.rewriter import Rewriter

from cimc.ir.graph import Graph, weight_refs
from cimc.ir.nn import Computed, InputOp


@dataclass(frozen=True)
class DeadCode:
    """Keep what an output depends on; inputs stay, they are the model's interface."""

    name: ClassVar[str] = "dead-code"

    def __call__(self, graph: Graph) -> Graph:
        drop_unused(graph)
        drop_weights(graph)
        return graph


def drop_weights(graph: Graph) -> None:
    """Give back the memory of weights that no operation names any more."""
    graph.weights.keep({ref.key.data for op in graph.operations for _, ref in weight_refs(op)})


def drop_unused(graph: Graph) -> None:
    """Remove operations without users, so that what is left shows how often a value is really used."""
    for op in reversed(graph.operations):
        if isinstance(op, Computed) and not isinstance(op, InputOp) and not list(op.out.uses):
            Rewriter.erase_op(op)
