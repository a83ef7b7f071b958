"""Recognise functions that exporters spell out, such as Gelu by way of Erf: what has the values of one is one."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar, TypeGuard

import numpy as np
from numpy.typing import NDArray
from xdsl.ir import Operation, SSAValue

from cimc.ir import build, functions, nn
from cimc.ir.attributes import float_value, float_values
from cimc.ir.dead_code import drop_unused
from cimc.ir.graph import Graph, Labels, producer
from cimc.ir.location import fused, replace
from cimc.ir.types import shape_of
from cimc.passes.choices import require_choice
from cimc.passes.magnitudes import divide_magnitudes

Reals = NDArray[np.float64]
Expression = Callable[[Reals], Reals]

POINTS = np.concatenate([np.linspace(-12.0, 12.0, 241), np.linspace(-1.0, 1.0, 81)])
"""Where an expression is compared with the known functions."""
TOLERANCE = 1e-6
"""Largest difference at any point, relative to the largest value: exporters write constants in float32."""
DEPTH = 12
"""Operations between a value and the product or sum that ends the function."""
KNOWN: Mapping[str, tuple[tuple[float, ...], ...]] = {
    "gelu": ((),),
    "gelu_tanh": ((),),
    "swish": ((1.0,), (1.702,)),
}
"""Function -> the parameters tried; 1.702 makes the quick Gelu."""
MAGNITUDES = ("squares", "quotient")


@dataclass(frozen=True)
class FuseFunctions:
    """A product or sum of expressions in one value that is a known function, up to a factor, becomes that function.

    `magnitudes`, roots of a sum of two squares, are of "squares", as the model has them, or of a "quotient", which
    keeps small ones (magnitudes.py).
    """

    name: ClassVar[str] = "fuse-functions"
    magnitudes: str = "squares"

    def __call__(self, graph: Graph) -> Graph:
        require_choice(self.name, "magnitudes", self.magnitudes, MAGNITUDES)
        for op in reversed(graph.operations):
            if _may_end(op) and _fuse(graph, op):
                drop_unused(graph)
        if self.magnitudes == "quotient":
            divide_magnitudes(graph)
        return graph


def _may_end(op: Operation) -> TypeGuard[nn.MulOp | nn.AddOp]:
    """Say whether an operation may be the last of a function that is spelt out: it is in the graph still, and used."""
    ends = isinstance(op, nn.MulOp | nn.AddOp) and op.parent is not None and op.clamp is None
    return ends and any(any(result.uses) for result in op.results)


def _fuse(graph: Graph, op: nn.MulOp | nn.AddOp) -> bool:
    """Put a function in the place of an operation that ends one, and say whether it was one."""
    for source, expression in _expressions(graph, op.out, 0).items():
        found = None if source is op.out else _known(expression)
        if found is None or shape_of(source) != shape_of(op.out):
            continue
        function, parameters, factor = found
        labels = Labels(graph)
        spelt = _between(source, op.out)
        op.location = fused(one.location for one in graph.operations if one in spelt)
        if factor == 1.0:
            replace(op, [build.unary(source, function, parameters, op.label.data)])
            return True
        made = build.unary(source, function, parameters, labels.fresh(op.label.data, function))
        ones = (1,) * len(shape_of(source))
        refs = [
            graph.weights.add(f"{op.label.data}.{name}", np.full(ones, value, np.float32))
            for name, value in (("factor", factor), ("zero", 0.0))
        ]
        replace(op, [made, build.affine(made.out, refs[0], refs[1], op.label.data)])
        return True
    return False


def _between(source: SSAValue, x: SSAValue) -> set[Operation]:
    """Return the operations that lead from `source` to `x`."""
    if x is source:
        return set()
    op = producer(x)
    return {op}.union(*(_between(source, operand) for operand in op.operands))


def _known(expression: Expression) -> tuple[str, tuple[float, ...], float] | None:
    """Return name, parameters and factor of the function that an expression has the values of."""
    with np.errstate(all="ignore"):
        values = expression(POINTS)
    if not np.all(np.isfinite(values)):
        return None
    for name, choices in KNOWN.items():
        for parameters in choices:
            wanted = functions.apply(name, POINTS, parameters)
            factor = float(values[240] / wanted[240])
            error = np.abs(values - factor * wanted).max()
            if factor > 0.0 and error <= TOLERANCE * np.abs(values).max():
                return name, parameters, 1.0 if abs(factor - 1.0) < TOLERANCE else factor
    return None


def _expressions(graph: Graph, x: SSAValue, depth: int) -> dict[SSAValue, Expression]:
    """Return the values that `x` is an elementwise function of alone, nearest first, and that function for each."""
    found: dict[SSAValue, Expression] = {x: lambda values: values}
    op = x.owner
    if depth == DEPTH:
        return found
    if isinstance(op, nn.MulOp | nn.AddOp | nn.SubOp) and op.clamp is None:
        left, right = (_expressions(graph, operand, depth + 1) for operand in (op.a, op.b))
        for source in left:
            if source in right:
                found[source] = _joined(op, left[source], right[source])
    elif isinstance(op, Operation) and (step := _step(graph, op)) is not None:
        for source, inner in _expressions(graph, op.operands[0], depth + 1).items():
            found[source] = _chained(step, inner)
    return found


def _joined(op: nn.MulOp | nn.AddOp | nn.SubOp, left: Expression, right: Expression) -> Expression:
    if isinstance(op, nn.MulOp):
        return lambda values: left(values) * right(values)
    sign = -1.0 if isinstance(op, nn.SubOp) else 1.0
    return lambda values: left(values) + sign * right(values)


def _chained(step: Expression, inner: Expression) -> Expression:
    return lambda values: step(inner(values))


def _step(graph: Graph, op: Operation) -> Expression | None:
    """Return the function that an operation applies to every element alike; None where it is something else."""
    if isinstance(op, nn.UnaryOp):
        name, parameters = op.function.data, float_values(op.parameters)
        return lambda values: functions.apply(name, values, parameters)
    if isinstance(op, nn.ClampOp):
        low, high = float_value(op.low), float_value(op.high)
        return lambda values: np.clip(values, low, high)
    if isinstance(op, nn.AffineOp) and op.clamp is None:
        scale, bias = (graph.weights.reals(ref).reshape(-1) for ref in (op.scale, op.bias))
        if scale.size == bias.size == 1:
            return lambda values: values * scale[0] + bias[0]
    return None
