"""What windows reach, and the refusal of those that the instruction for them cannot say."""

import numpy as np
from numpy.typing import NDArray

from cimc.diagnostics import fail
from cimc.ir.attributes import int_values
from cimc.ir.graph import Graph
from cimc.ir.location import names_of
from cimc.ir.nn import AvgPoolOp, ConvOp, MaxPoolOp
from cimc.ir.types import shape_of
from cimc.isa.limits import WINDOW_MOST
from cimc.targets import Target

Windowed = ConvOp | MaxPoolOp | AvgPoolOp


def require_windows(graph: Graph, target: Target) -> None:
    """Refuse an imported graph in which a kernel's steps are longer than WINDOW_MOST. Raises CimcError CIM0304."""
    for op in graph.operations:
        if isinstance(op, Windowed):
            _require_window(op)


def places(op: MaxPoolOp | AvgPoolOp, axis: int) -> NDArray[np.int64]:
    """Return where each position's taps lie along an axis of the operand [positions, taps]; padding lies outside."""
    kernel, stride, dilation, pads = (int_values(part)[axis] for part in (op.kernel, op.stride, op.dilation, op.pads))
    first = np.arange(shape_of(op.out)[axis]) * stride - pads
    return np.asarray(first[:, np.newaxis] + np.arange(kernel) * dilation)


def _require_window(op: Windowed) -> None:
    kernel = op.weight.dims[:2] if isinstance(op, ConvOp) else int_values(op.kernel)
    spread = [taps > 1 for taps in kernel]
    steps = [step for step, many in zip(int_values(op.dilation), spread, strict=True) if many]
    if max([*kernel, *steps]) > WINDOW_MOST:
        message = f"a kernel of {kernel[0]} x {kernel[1]}, its elements {max(steps, default=1)} positions apart at most"
        hint = "slice the data for each element, join the slices along the channels, and convolve with a kernel of one"
        node = ", ".join(names_of(op.location))
        raise fail("CIM0304", f"{message}, is more than {WINDOW_MOST}, which windows can say", node=node, hint=hint)
