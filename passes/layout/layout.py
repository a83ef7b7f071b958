"""One layout: channels-last everywhere, with the transposes of channels-first models cancelled or absorbed."""

from dataclasses import dataclass
from typing import ClassVar

from cimc.ir.dead_code import drop_unused, drop_weights
from cimc.ir.graph import Graph, Labels
from cimc.passes.layout.backward import move_backward
from cimc.passes.layout.forward import move_forward

ROUNDS = 100
"""Forward and backward alternate; real models need two or three rounds."""


@dataclass(frozen=True)
class Layout:
    """Move transposes down through operations that work in any axis order, into dense weights, inputs and outputs.

    What is left is real data movement. The axis order of inputs and outputs is noted in their `order`.
    """

    name: ClassVar[str] = "layout"

    def __call__(self, graph: Graph) -> Graph:
        labels = Labels(graph)
        for _ in range(ROUNDS):
            move_forward(graph, labels)
            drop_unused(graph)
            if not move_backward(graph):
                break
        drop_weights(graph)
        graph.weights.settle()
        return graph
