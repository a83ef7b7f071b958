"""A graph run on the same inputs again and again, each time with one other value swapped for a given one."""

from collections.abc import Mapping

import numpy as np

from cimc.evaluate.lower import given_name, output_name
from cimc.evaluate.pieces import pieces
from cimc.evaluate.session import Array, Part
from cimc.ir.graph import Graph
from cimc.ir.nn import OutputOp

SHORT = 16
"""Operations of a piece: one is loaded for each swap, and all behind it, loaded once, run again."""


class Swapped:
    """What a graph's outputs become on real inputs [N, *model shape] where one value is another.

    The graph is computed once in short pieces. A swap computes the rest of its piece and those later pieces that see a
    difference; with a loop the graph is one piece.
    """

    def __init__(self, graph: Graph, inputs: Mapping[str, Array]) -> None:
        self._pieces = list(pieces(graph, None, longest=SHORT))
        self._parts = [Part(piece.lowered(), piece.handed) for piece in self._pieces]
        numbered = reversed(list(enumerate(self._pieces)))  # the first that has an operation computes it
        self._place = {label: number for number, piece in numbered for label in piece.labels}
        self._outputs = {output_name(op): op.label.data for op in graph.module.ops if isinstance(op, OutputOp)}
        self._known: dict[str, Array] = {name: np.asarray(array, np.float32) for name, array in inputs.items()}
        for part in self._parts:
            self._known |= part.run(self._known)

    @property
    def outputs(self) -> dict[str, Array]:
        """The model's outputs where nothing is swapped."""
        return self._outputs_of(self._known)

    def swapped(self, label: str, array: Array) -> dict[str, Array]:
        """Return the model's outputs where others read `array` [N, *shape] for a value outside of loops."""
        number, name = self._place[label], given_name(label)
        given = {name: np.asarray(array, np.float32)}
        alone = self._pieces[number]
        changed = Part(alone.lowered([label]), alone.handed).run(self._known | given) | given
        for part in self._parts[number + 1 :]:
            if part.reads(changed):
                changed |= part.run(self._known | changed)
        return self._outputs_of(self._known | changed)

    def _outputs_of(self, known: Mapping[str, Array]) -> dict[str, Array]:
        return {label: known[name] for name, label in self._outputs.items()}
