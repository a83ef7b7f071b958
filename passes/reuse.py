"""Reuse: layers with the same weights, as of siamese or unrolled networks, share one set of blocks."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from cimc.ir.attributes import int_values, text
from cimc.ir.facts import GAIN, PEAKS
from cimc.ir.graph import Graph
from cimc.ir.types import code_of
from cimc.ir.xbar import MvmOp
from cimc.passes.choices import require_choice
from cimc.passes.dither import constant_channels, strongest

WAYS = ("none", "equal")


@dataclass(frozen=True)
class Reuse:
    """Let every xbar.mvm whose weights equal an earlier one's share its blocks; `weights` is none or equal.

    Their columns then have one conductance range, for the larger of their peaks. So it runs behind column-ranges.
    """

    name: ClassVar[str] = "reuse"
    weights: str = "none"

    def __call__(self, graph: Graph) -> Graph:
        require_choice(self.name, "weights", self.weights, WAYS)
        if self.weights == "equal":
            families: dict[object, list[MvmOp]] = {}
            for op in graph.operations:
                if isinstance(op, MvmOp) and op.weight is not None:
                    key = (
                        op.weight.dims,
                        graph.weights.digest(op.weight),
                        int_values(op.row_cuts),
                        int_values(op.col_cuts),
                        constant_channels(op) and strongest(code_of(op.x)),
                    )
                    families.setdefault(key, []).append(op)
            for family in families.values():
                _share(graph, family)
        return graph


def _share(graph: Graph, family: list[MvmOp]) -> None:
    """Give all layers of a family the peaks of the largest, and all but the first the blocks of the first."""
    first, *others = family
    if not others:
        return
    peaks = [graph.weights.get(PEAKS.of(op)) for op in family]
    common = graph.weights.add(f"{first.label.data}.peaks", np.maximum.reduce(peaks))
    gains = [gain for op in family if (gain := GAIN.get(op))]
    for op in family:
        PEAKS.note(op, common)
        if gains:  # the largest full scale: their sums must clip in none
            GAIN.note(op, min(gains, key=lambda gain: gain[0] * 2.0 ** -gain[1]))
    for op in others:
        op.properties["shares"] = text(first.label.data)
