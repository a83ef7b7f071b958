"""Where the tensors of a model file are in the graph that was made of it."""

from collections.abc import Mapping
from dataclasses import dataclass

from xdsl.ir import SSAValue

from cimc.frontend.lowering import GraphBuilder
from cimc.frontend.preparation import REALS
from cimc.ir import nn
from cimc.ir.graph import Graph, label_of, producer
from cimc.ir.types import shape_of


@dataclass(frozen=True)
class Traced:
    """A tensor of the file: the label of the value that holds it, [samples, *shape], and its batch axis, -1 for none.

    `step` is the distance of neighbouring values where they are codes, truth values or indices, None for real numbers.
    """

    label: str
    axis: int
    shape: tuple[int, ...]
    step: float | None


@dataclass(frozen=True)
class Imported:
    """A graph as the front end makes it, and the tensors of the file by name that it computes."""

    graph: Graph
    tensors: Mapping[str, Traced]


def traced(builder: GraphBuilder) -> dict[str, Traced]:
    """Return what became of every tensor that has a value."""
    steps: dict[SSAValue, float | None] = {}
    return {name: _traced(builder, name, value, steps) for name, value in builder.values.items()}


def _traced(builder: GraphBuilder, name: str, value: SSAValue, steps: dict[SSAValue, float | None]) -> Traced:
    batch = builder.facts.batch_axes.get(name)
    step = 1.0 if _is_counted(builder, name) else _step(value, steps)
    return Traced(label_of(value), -1 if batch is None else batch.axis, shape_of(value), step)


def _is_counted(builder: GraphBuilder, name: str) -> bool:
    """Say whether a tensor holds codes, truth values or indices."""
    known = builder.facts.types.get(name)
    return known is not None and known.tensor_type.elem_type not in (0, *REALS)


def _step(value: SSAValue, known: dict[SSAValue, float | None]) -> float | None:
    """Return the step of the codes that a dequantised value has, through what only moves values; it is kept."""
    passed = []
    while value not in known:
        op = producer(value)
        if not (isinstance(op, nn.Movement | nn.MaxPoolOp) and len(op.operands) == 1):
            known[value] = float(op.own_code.scale.data) if isinstance(op, nn.QuantiseOp | nn.RecodeOp) else None
            break
        passed.append(value)
        value = op.operands[0]
    known.update(dict.fromkeys(passed, known[value]))
    return known[value]
