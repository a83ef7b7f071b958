"""Models that take integer codes, calibrated on the real values that those codes stand for: their owner is told."""

import warnings

import numpy as np
from numpy.typing import NDArray

from cimc.evaluate import Batch
from cimc.ir.graph import Graph
from cimc.ir.nn import InputOp, RecodeOp
from cimc.isa.errors import CimcWarning
from cimc.passes.code_types import bounds

FRACTIONS = 0.01
"""Share of values that are no integers from which on they count as real."""
NEARER = 2.0
"""How much nearer data must reach to the ends of the real values than to those of the codes to be taken for real."""

Ends = tuple[float, float]


def warn_of_reals(graph: Graph, data: Batch) -> None:
    """Warn of each integer input whose data reach as far as the real values of its codes, not as the codes."""
    for op in graph.operations:
        if isinstance(op, RecodeOp) and isinstance(op.x.owner, InputOp) and op.x.owner.code is not None:
            _warn(op.x.owner.label.data, op, data[op.x.owner.label.data])


def _warn(name: str, op: RecodeOp, values: NDArray[np.float32]) -> None:
    code = op.target
    scale, zero, ends = code.scale.data, code.zero.data, (float(code.low.data), float(code.high.data))
    share = float((values != np.rint(values)).mean())
    if share <= FRACTIONS or NEARER * _distance(values, bounds(code)) >= _distance(values, ends):
        return
    found = f"{100 * share:.0f} % of input {name!r} are no integers in calibration, and they reach from"
    message = f"{found} {values.min():.4g} to {values.max():.4g}: the real values of the codes, which the model takes"
    hint = f"give the codes, or make them of real values by --offset {zero * scale:.7g} --scale {1 / scale:.7g}"
    warnings.warn(CimcWarning(message, hint, "CIM0213"), stacklevel=4)


def _distance(values: NDArray[np.float32], ends: Ends) -> float:
    """Return how far the ends of data are from other ends, as a share of the room between these."""
    return (abs(float(values.min()) - ends[0]) + abs(float(values.max()) - ends[1])) / (ends[1] - ends[0])
