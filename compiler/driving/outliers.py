"""A few far values in calibration inputs: they take the codes of all others, and their owner is told."""

import warnings

import numpy as np
from numpy.typing import NDArray

from cimc.evaluate import Batch
from cimc.ir.graph import Graph
from cimc.ir.nn import InputOp
from cimc.isa.errors import CimcWarning

FEW = 1000
"""One value of so many counts as few, four at least."""
FAR = 10.0
"""How far few values must lie beyond all others to be told: three bits of eight are lost then."""


def warn_of_outliers(graph: Graph, data: Batch) -> None:
    """Warn of every input of real numbers whose range a few values stretch to FAR times that of all others."""
    for op in graph.module.ops:
        if isinstance(op, InputOp) and op.integers is None and op.code is None:
            _warn(op.label.data, np.abs(data[op.label.data]).ravel())


def _warn(name: str, magnitudes: NDArray[np.float32]) -> None:
    few = max(magnitudes.size // FEW, 4)
    if magnitudes.size < FEW // 10:
        return
    largest, others = float(magnitudes.max()), float(np.partition(magnitudes, -few - 1)[-few - 1])
    if 0.0 < FAR * others < largest:
        count = int(np.count_nonzero(magnitudes > FAR * others))
        found = f"{count} of {magnitudes.size} values of input {name!r} lie far beyond the others in calibration"
        left = f"the others within {others:.4g}, to which 1 code in {largest / others:.0f} is left"
        message = f"{found}: up to {largest:.4g}, {left}"
        hint = "take the far values out of the calibration data; in use they are clipped then"
        warnings.warn(CimcWarning(message, hint), stacklevel=4)
