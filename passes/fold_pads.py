"""Fold padding with zeros into the windows of convolutions and average pools."""

from dataclasses import dataclass
from typing import ClassVar

from cimc.ir import nn
from cimc.ir.attributes import Ints, float_value, int_values, ints
from cimc.ir.build import again
from cimc.ir.dead_code import drop_unused
from cimc.ir.graph import Graph
from cimc.ir.location import replace
from cimc.ir.types import shape_of


@dataclass(frozen=True)
class FoldPads:
    """conv(pad(x)) -> conv(x) with larger pads; in an average pool the zeros stay in the divisor."""

    name: ClassVar[str] = "fold-pads"

    def __call__(self, graph: Graph) -> Graph:
        for op in graph.operations:
            if isinstance(op, nn.ConvOp | nn.AvgPoolOp) and isinstance(op.x.owner, nn.PadOp):
                _fold(op, op.x.owner)
        drop_unused(graph)
        return graph


def _fold(op: nn.ConvOp | nn.AvgPoolOp, pad: nn.PadOp) -> None:
    before, after = int_values(pad.before), int_values(pad.after)
    if float_value(pad.value) != 0.0 or before[2] or after[2]:
        return
    around = (before[0], before[1], after[0], after[1])
    if isinstance(op, nn.ConvOp):
        wider = again(op, [pad.x], shape_of(op.out), pads=_sum(op.pads, around))
    elif any(int_values(op.pads)) and int_values(op.counted) != int_values(op.pads):
        return
    else:
        wider = again(op, [pad.x], shape_of(op.out), pads=_sum(op.pads, around), counted=_sum(op.counted, around))
    replace(op, [wider], also=[pad])


def _sum(pads: Ints, around: tuple[int, ...]) -> Ints:
    return ints(own + more for own, more in zip(int_values(pads), around, strict=True))
