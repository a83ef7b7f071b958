"""Fuse activations that clamp into the operation that computes their operand."""

from dataclasses import dataclass
from typing import ClassVar

from xdsl.ir import Attribute, Operation
from xdsl.rewriter import Rewriter

from cimc.ir import build, nn
from cimc.ir.attributes import float_value, float_values, floats, real
from cimc.ir.graph import Graph, only_user
from cimc.ir.location import fused, replace
from cimc.ir.types import shape_of

Bounds = tuple[float, float]
Origins = dict[Operation, list[Attribute]]
"""The locations of all that an operation was made of: joined at the end, since thousands of clamps may become one."""
UNBOUNDED: Bounds = (-nn.UNBOUNDED, nn.UNBOUNDED)


@dataclass(frozen=True)
class FuseClamp:
    """Where the operand has no other use, its operation clamps itself; clamps of clamps become one."""

    name: ClassVar[str] = "fuse-clamp"

    def __call__(self, graph: Graph) -> Graph:
        origins: Origins = {}
        for op in graph.operations:
            if isinstance(op, nn.ClampOp):
                _fuse(op, origins)
        for op, locations in origins.items():
            op.location = fused(locations)
        return graph


def bounds_of(op: nn.Computed) -> Bounds:
    """Return the bounds that an operation clamps its own result to."""
    if isinstance(op, nn.ClampOp):
        return float_value(op.low), float_value(op.high)
    low, high = (float_values(op.clamp) if isinstance(op, nn.Activated) else ()) or UNBOUNDED
    return low, high


def both(first: Bounds, second: Bounds) -> Bounds:
    """Return the bounds of clamping to `first` and then to `second`."""
    low, high = (min(max(bound, second[0]), second[1]) for bound in first)
    return low, high


def _fuse(op: nn.ClampOp, origins: Origins) -> None:
    own, inner = bounds_of(op), op.x.owner
    if own == UNBOUNDED:
        replace(op, [], [op.x])
        return
    if not isinstance(inner, nn.Activated | nn.ClampOp) or only_user(op.x) is None:
        return
    low, high = both(bounds_of(inner), own)
    if isinstance(inner, nn.ClampOp):
        merged = build.again(inner, inner.operands, shape_of(op.out), label=op.label, low=real(low), high=real(high))
    else:
        merged = build.again(inner, inner.operands, shape_of(op.out), label=op.label, clamp=floats((low, high)))
    merged.location = op.location
    origins[merged] = origins.pop(inner, [inner.location])
    origins[merged].append(op.location)
    replace(op, [merged])
    Rewriter.erase_op(inner)
