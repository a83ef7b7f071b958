"""Turn what hides scores from a softmax, sums with -1e9 and choices of -inf, into choices that codes can say."""

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from xdsl.dialects.builtin import StringAttr
from xdsl.ir import SSAValue

from cimc.ir import build, nn
from cimc.ir.attributes import text
from cimc.ir.build import again
from cimc.ir.dead_code import drop_unused
from cimc.ir.functions import MASKED
from cimc.ir.graph import Graph, Labels, only_user
from cimc.ir.location import replace
from cimc.ir.types import shape_of

Reals = NDArray[np.float64]


@dataclass(frozen=True)
class Masks:
    """Behind each softmax, terms at or below MASKED become `nn.select` with `hides`.

    A scale of codes that held -1e9 would hold nothing else. What is hidden gets the lowest code, and the range has room
    below, so that softmax gives it no weight; where everything is hidden, all elements get the same weight.
    """

    name: ClassVar[str] = "masks"

    def __call__(self, graph: Graph) -> Graph:
        for op in graph.operations:
            if isinstance(op, nn.SoftmaxOp):
                _Walk(graph, Labels(graph)).hide(op.x)
        drop_unused(graph)
        return graph


@dataclass(frozen=True)
class _Walk:
    """The way up from one softmax, through values that nothing else uses."""

    graph: Graph
    labels: Labels

    def hide(self, x: SSAValue) -> None:
        """Make explicit what hides elements of `x`."""
        op = x.owner
        if only_user(x) is None or not isinstance(op, nn.Computed):
            return
        if isinstance(op, nn.Movement) and len(op.operands) == 1:
            self.hide(op.operands[0])
        elif isinstance(op, nn.SelectOp) and op.hides is not None:
            self.hide(op.a)
        elif (found := self._split(op) or self._below(op)) is not None:
            self._replace(op, *found)

    def _split(self, op: nn.Computed) -> tuple[SSAValue, SSAValue] | None:
        """Return what says which scores are shown, and the scores; None where the operation hides nothing."""
        if isinstance(op, nn.SelectOp):
            if self._is_masked(op.b):
                return op.c, op.a
            return (self._negated(op, op.c), op.b) if self._is_masked(op.a) else None
        if isinstance(op, nn.AffineOp):
            return self._constant_term(op)
        if isinstance(op, nn.AddOp):
            for term, other in ((op.b, op.a), (op.a, op.b)):
                keep = self._visible(op, term)
                if keep is not None:
                    return keep, other
        return None

    def _constant_term(self, op: nn.AffineOp) -> tuple[SSAValue, SSAValue] | None:
        bias = self.graph.weights.reals(op.bias)
        if not np.any(bias <= MASKED) or np.all(bias <= MASKED):
            return None
        rest = self.graph.weights.add(op.bias.key.data, np.where(bias > MASKED, bias, 0.0).astype(np.float32))
        before = again(op, [op.x], shape_of(op.out), bias=rest, label=self._text(op, "shown"))
        return self._constant(op, (bias > MASKED).astype(np.float32), "keep"), self._made(op, before)

    def _below(self, op: nn.Computed) -> tuple[SSAValue, SSAValue] | None:
        """Return the same of an operand, with the operation on its scores: behind a scale or a sum nothing hides."""
        scalar = isinstance(op, nn.AffineOp) and math.prod(op.scale.dims) == math.prod(op.bias.dims) == 1
        if not (scalar or isinstance(op, nn.AddOp)):
            return None
        for x in op.operands:
            inner = x.owner
            found = self._split(inner) if only_user(x) is op and isinstance(inner, nn.Computed) else None
            if found is not None:
                operands = [found[1] if operand is x else operand for operand in op.operands]
                shape = np.broadcast_shapes(*map(shape_of, operands))
                return found[0], self._made(op, again(op, operands, shape, label=self._text(op, "shown")))
        return None

    def _visible(self, at: nn.Computed, x: SSAValue) -> SSAValue | None:
        """Return 1 where a mask term lets a score be and 0 where it hides it; None where `x` is no mask."""
        op = x.owner
        if isinstance(op, nn.AffineOp):
            return self._visible_sum(at, op)
        if isinstance(op, nn.SelectOp) and self._is_masked(op.b) and self._is_zero(op.a):
            return op.c
        if isinstance(op, nn.SelectOp) and self._is_masked(op.a) and self._is_zero(op.b):
            return self._negated(at, op.c)
        if isinstance(op, nn.ConstantOp) and np.any(self.graph.weights.reals(op.value) <= MASKED):
            return self._constant(at, (self.graph.weights.reals(op.value) > MASKED).astype(np.float32), "keep")
        if isinstance(op, nn.AddOp):
            a, b = self._visible(at, op.a), self._visible(at, op.b)
            return None if a is None or b is None else self._both(at, a, b)
        if isinstance(op, nn.Movement) and len(set(op.operands)) == 1:
            inner = self._visible(at, op.operands[0])
            return None if inner is None else self._moved(at, op, inner)
        return None

    def _visible_sum(self, at: nn.Computed, op: nn.AffineOp) -> SSAValue | None:
        scale, bias = self.graph.weights.reals(op.scale), self.graph.weights.reals(op.bias)
        if scale.size > 1 or abs(float(scale.reshape(-1)[0])) < -MASKED:
            return self._beside_constant(at, op, scale, bias)
        shown = bias[bias > MASKED]
        rest = float(shown.reshape(-1)[0]) if shown.size else float(bias.max())
        if np.any(shown != rest):
            return None
        keep = self._made(
            at, build.unary(op.x, "visible", (float(scale.reshape(-1)[0]), rest), self._label(at, "keep"))
        )
        if shown.size == bias.size:
            return keep
        return self._both(at, self._constant(at, (bias > MASKED).astype(np.float32), "allowed"), keep)

    def _beside_constant(self, at: nn.Computed, op: nn.AffineOp, scale: Reals, bias: Reals) -> SSAValue | None:
        """A mask term plus a constant one."""
        if np.any(scale != 1.0) or np.any(bias[bias > MASKED] != 0.0):
            return None
        keep = self._visible(at, op.x)
        if keep is None or not np.any(bias <= MASKED):
            return keep
        return self._both(at, self._constant(at, (bias > MASKED).astype(np.float32), "allowed"), keep)

    def _both(self, at: nn.Computed, a: SSAValue, b: SSAValue) -> SSAValue:
        none = self._constant(at, np.zeros((), np.float32), "no")
        return self._made(at, build.select(a, b, none, self._label(at, "both")))

    def _negated(self, at: nn.Computed, x: SSAValue) -> SSAValue:
        no, yes = (self._constant(at, np.full((), value, np.float32), "flag") for value in (0.0, 1.0))
        return self._made(at, build.select(x, no, yes, self._label(at, "not")))

    def _moved(self, at: nn.Computed, op: nn.Movement, x: SSAValue) -> SSAValue | None:
        """Return `x` moved as `op` moves its operand; None where the shapes differ, as behind a broadcast."""
        if shape_of(x) != shape_of(op.operands[0]):
            return None
        return self._made(at, again(op, [x] * len(op.operands), shape_of(op.out), label=self._text(at, "moved")))

    def _replace(self, op: nn.Computed, keep: SSAValue, scores: SSAValue) -> None:
        """Put a choice in place of `op`, and go on above it."""
        nothing = self._constant(op, np.full((), nn.HIDDEN, np.float32), "hidden")
        made = build.select(keep, scores, nothing, op.label.data, hides=True)
        if shape_of(made.out) != shape_of(op.out):
            ones = self._constant(op, np.ones(shape_of(op.out), np.float32), "ones")
            made = build.select(self._both(op, ones, keep), scores, nothing, op.label.data, hides=True)
        replace(op, [made])
        self.hide(scores)

    def _is_masked(self, x: SSAValue) -> bool:
        return isinstance(x.owner, nn.ConstantOp) and bool(np.all(self.graph.weights.reals(x.owner.value) <= MASKED))

    def _is_zero(self, x: SSAValue) -> bool:
        return isinstance(x.owner, nn.ConstantOp) and not np.any(self.graph.weights.reals(x.owner.value))

    def _constant(self, at: nn.Computed, array: NDArray[np.float32], suffix: str) -> SSAValue:
        ref = self.graph.weights.add(f"{at.label.data}.{suffix}", array)
        return self._made(at, build.constant(ref, self._label(at, suffix)))

    def _label(self, at: nn.Computed, suffix: str) -> str:
        return self.labels.fresh(at.label.data, suffix)

    def _text(self, at: nn.Computed, suffix: str) -> StringAttr:
        return text(self._label(at, suffix))

    def _made(self, at: nn.Computed, op: nn.Computed) -> SSAValue:
        self._insert(at, op)
        return op.out

    def _insert(self, at: nn.Computed, *ops: nn.Computed) -> None:
        for op in ops:
            op.location = at.location
            assert at.parent is not None
            at.parent.insert_op_before(op, at)
