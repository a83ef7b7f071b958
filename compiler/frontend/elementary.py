"""Single steps of translations that need several: each appends one operation under a label of its own."""

from collections.abc import Sequence

import numpy as np
from xdsl.ir import SSAValue

from cimc.frontend.lowering import Lowering
from cimc.ir import build
from cimc.ir.nn import UNBOUNDED
from cimc.ir.types import shape_of


def label_for(at: Lowering, suffix: str) -> str:
    """Return the node's own label for its last step (no suffix), or a fresh one."""
    return at.helper(suffix) if suffix else at.label


def table(at: Lowering, function: str, x: SSAValue, *parameters: float, suffix: str = "") -> SSAValue:
    """Apply an elementwise function of `cimc.ir.functions`."""
    return at.add(build.unary(x, function, parameters, label_for(at, suffix)))


def scaled(at: Lowering, x: SSAValue, factor: float, offset: float = 0.0, suffix: str = "") -> SSAValue:
    """Return factor * x + offset."""
    ones = (1,) * len(shape_of(x))
    scale = at.weight(np.full(ones, factor), f"{at.label}.factor")
    bias = at.weight(np.full(ones, offset), f"{at.label}.offset")
    return at.add(build.affine(x, scale, bias, label_for(at, suffix)))


def above_zero(at: Lowering, x: SSAValue, suffix: str) -> SSAValue:
    """Return max(x, 0)."""
    return at.add(build.clamp(x, 0.0, UNBOUNDED, label_for(at, suffix)))


def picked(at: Lowering, x: SSAValue, indices: Sequence[int], axis: int, suffix: str = "") -> SSAValue:
    """Return entries indices[0], indices[1] ... along a per-sample axis; `x` itself where that is `x`."""
    if list(indices) == list(range(shape_of(x)[axis])):
        return x
    ref = at.builder.weights.add(f"{at.label}.indices", np.asarray(indices, np.int32))
    return at.add(build.pick(x, ref, axis, label_for(at, suffix)))
