"""Remove operations whose results nobody uses, and weights that no operation names."""

from dataclasses import dataclass
from typing import ClassVar

from cimc.ir.dead_code import drop_unused, drop_weights
from cimc.ir.graph import Graph


@dataclass(frozen=True)
class DeadCode:
    """Keep what an output depends on; inputs stay, they are the model's interface."""

    name: ClassVar[str] = "dead-code"

    def __call__(self, graph: Graph) -> Graph:
        drop_unused(graph)
        drop_weights(graph)
        return graph
