"""A few far values in calibration inputs: they would take the codes of all others, so they are clipped, and told."""

import warnings

import numpy as np
from numpy.typing import NDArray

from cimc.evaluate import Batch
from cimc.ir.graph import Graph
from cimc.ir.nn import InputOp
from cimc.isa.errors import CimcWarning

Reals = NDArray[np.float32]

KEEPS_ALL = "method=minmax"
"""Option of `calibrate` with which every value counts."""
FEW = 1000
"""One value of so many counts as few, four at least."""
FAR = 10.0
"""How far few values must lie beyond all others to be told: three bits of eight are lost then."""


def without_outliers(graph: Graph, data: Batch, keeps_all: bool = False) -> Batch:
    """Return calibration data whose far values are clipped to the reach of all others, input by input; warn of them.

    Far are few values behind a gap: each at least FAR times the largest of the others. A long tail without a gap, as
    of data that want a logarithm, is told and left as it is, as all are with `keeps_all`. Inputs of whole numbers and
    of codes are not touched.
    """
    found = dict(data)
    for name in _real_inputs(graph):
        magnitudes = np.abs(data[name]).ravel()
        largest = _largest(magnitudes)
        reach = None if keeps_all else _below_gap(largest)
        _warn(name, magnitudes, largest, reach is not None)
        if reach is not None:
            found[name] = np.clip(data[name], -reach, reach)
    return found


def _real_inputs(graph: Graph) -> list[str]:
    inputs = (op for op in graph.module.ops if isinstance(op, InputOp))
    return [op.label.data for op in inputs if op.integers is None and op.code is None]


def _largest(magnitudes: Reals) -> Reals:
    """Return few of the largest |x| behind the largest of all others, ascending; nothing of too few values."""
    few = max(magnitudes.size // FEW, 4)
    return np.sort(np.partition(magnitudes, -few - 1)[-few - 1 :]) if magnitudes.size >= FEW // 10 else magnitudes[:0]


def _below_gap(largest: Reals) -> float | None:
    """Return the value below the lowest gap of ascending ones; None where there is no gap."""
    below, above = largest[:-1], largest[1:]
    gaps = np.flatnonzero((below > 0.0) & (above > np.float32(FAR) * below))
    return float(below[gaps[0]]) if gaps.size else None


def _warn(name: str, magnitudes: Reals, largest: Reals, clipped: bool) -> None:
    if not largest.size or not 0.0 < FAR * largest[0] < largest[-1]:
        return
    others, highest = float(largest[0]), float(largest[-1])
    count = int(np.count_nonzero(magnitudes > FAR * others))
    found = f"{count} of {magnitudes.size} values of input {name!r} lie far beyond the others in calibration"
    share = f"1 code in {highest / others:.0f} {'would be' if clipped else 'is'} left"
    left = f"the others within {others:.4g}, to which {share}"
    warnings.warn(CimcWarning(f"{found}: up to {highest:.4g}, {left}", _hint(clipped)), stacklevel=4)


def _hint(clipped: bool) -> str:
    if clipped:
        return f"they are clipped; where they matter, keep them with --set 'calibrate{{{KEEPS_ALL}}}'"
    return "take the far values out of the calibration data; in use they are clipped then"
