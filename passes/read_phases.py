"""The read phases of a layer, as the compiler knows them: those of the signs that its input's codes have."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cimc.ir.attributes import int_value
from cimc.ir.types import code_of
from cimc.ir.xbar import MvmOp
from cimc.isa.phases import Phase, phases_read

Array = NDArray[Any]


def phases_of(op: MvmOp, count: int | None = None) -> tuple[Phase, ...]:
    """Return the phases that a machine of `count` (by default the layer's own) reads the layer's vectors in.

    An element type can say that no code is negative; to say that none is positive there is no element type.
    """
    known = 1 if op.read_phases is None else int_value(op.read_phases)
    return phases_read(count or known, code_of(op.x).low.data, 1)


def driven(phase: Phase, vectors: Array) -> Array:
    """Return those codes that a phase reads, as it reads them: none below 0 where it reads one sign."""
    return np.asarray(np.maximum(phase.inputs * vectors, 0)) if phase.inputs else vectors


def conducting(phase: Phase, differences: Array) -> Array:
    """Return what a phase reads of new devices with these differences, one side of each pair at 0."""
    return np.asarray(np.maximum(phase.side * differences, 0)) if phase.side else differences
