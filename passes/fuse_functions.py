"""Recognise functions that exporters spell out, such as Gelu by way of Erf: what has the values of one is one."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
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
Sources = dict[tuple[SSAValue, int], list[SSAValue]]

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
    for source in _sources(graph, op.out, 0, {}):
        may_be = source is not op.out and shape_of(source) == shape_of(op.out)
        found = _known(graph, source, op.out) if may_be else None
        if found is None:
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
    found, left = set[Operation](), [x]
    while left:
        value = left.pop()
        if value is not source and (op := producer(value)) not in found:
            found.add(op)
            left.extend(op.operands)
    return found


def _known(graph: Graph, source: SSAValue, x: SSAValue) -> tuple[str, tuple[float, ...], float] | None:
    """Return name, parameters and factor of the function of `source` that `x` has the values of."""
    with np.errstate(all="ignore"):
        values = _values(graph, x, {source: POINTS})
    if not np.all(np.isfinite(values)):
        return None
    for name, choices in KNOWN.items():
        for parameters in choices:
            wanted = _at_points(name, parameters)
            factor = float(values[240] / wanted[240])
            error = np.abs(values - factor * wanted).max()
            if factor > 0.0 and error <= TOLERANCE * np.abs(values).max():
                return name, parameters, 1.0 if abs(factor - 1.0) < TOLERANCE else factor
    return None


@cache
def _at_points(name: str, parameters: tuple[float, ...]) -> Reals:
    return functions.apply(name, POINTS, parameters)


def _sources(graph: Graph, x: SSAValue, depth: int, known: Sources) -> list[SSAValue]:
    """Return the values that `x` is an elementwise function of alone, nearest first; `known` are those told before.

    A value is asked once at each depth: ways from one to another may be as many as 2^DEPTH.
    """
    if (x, depth) not in known:
        known[x, depth] = [x, *(_further(graph, x, depth + 1, known) if depth < DEPTH else ())]
    return known[x, depth]


def _further(graph: Graph, x: SSAValue, depth: int, known: Sources) -> list[SSAValue]:
    """Return the sources of what `x` is computed from."""
    op = x.owner
    if isinstance(op, nn.MulOp | nn.AddOp | nn.SubOp) and op.clamp is None:
        left, right = (_sources(graph, operand, depth, known) for operand in (op.a, op.b))
        both = set(right)
        return [source for source in left if source in both]
    if isinstance(op, Operation) and _step(graph, op) is not None:
        return _sources(graph, op.operands[0], depth, known)
    return []


def _values(graph: Graph, x: SSAValue, known: dict[SSAValue, Reals]) -> Reals:
    """Return the values of `x` where those of a source of it are known; what lies between is known from then on."""
    if x not in known:
        op = producer(x)
        if isinstance(op, nn.MulOp | nn.AddOp | nn.SubOp):
            a, b = (_values(graph, operand, known) for operand in (op.a, op.b))
            sign = -1.0 if isinstance(op, nn.SubOp) else 1.0
            known[x] = a * b if isinstance(op, nn.MulOp) else a + sign * b
        else:
            step = _step(graph, op)
            assert step is not None
            known[x] = step(_values(graph, op.operands[0], known))
    return known[x]


def _step(graph: Graph, op: Operation) -> Callable[[Reals], Reals] | None:
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
