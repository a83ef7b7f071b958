"""When a tensor of one sample is what another program computes of it: the rule, and nothing of graphs or files."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cimc.ir.nn import UNBOUNDED

Array = NDArray[Any]
Element = tuple[int, ...]

TOLERANCE = 1e-3
"""Error of a real number, as a share of the tensor's largest, that rounding may have gathered on the way."""
TOLERANCE_OF_A_NODE = 1e-4
"""The same where a node reads right inputs: only its own rounding is left."""
SHORT = {"float16": 4e-3, "bfloat16": 3e-2}
"""Numbers of 16 bits are no finer, by numpy's name of the type: eight units in the last of their places."""
CANCELLED = 1e-6
"""Error as a share of the largest value that a node reads: what is left of large terms is no finer."""
COUNTED_OFF = 1e-3
"""Share of codes, truth values and indices that may be one step off."""
NO_STEP = 0.01
"""Share of a step up to which two dequantised codes are the same."""


def furthest(
    ours: Array, theirs: Array, step: float | None, tolerance: float, read: Callable[[], float]
) -> Element | None:
    """Return the element that is furthest off where a tensor of one sample is not right, None where it is.

    `step` is what neighbouring codes differ by, None for real numbers; `read` gives the largest value that the node
    reads, and is asked only where it matters.
    """
    distance = _distance(ours, theirs)
    worst = float(distance.max(initial=0.0))
    if worst == 0.0 or (_few_steps(distance, step) if step else _is_near(worst, theirs, tolerance, read)):
        return None
    return tuple(int(i) for i in np.unravel_index(int(distance.argmax()), distance.shape))


def largest(array: Array) -> float:
    """Return the largest finite magnitude, 0 where there is none."""
    magnitudes = np.abs(array.astype(np.float64))
    return float(magnitudes.max(initial=0.0, where=np.isfinite(magnitudes)))


def _distance(ours: Array, theirs: Array) -> NDArray[np.float64]:
    """Return how far elements are apart: equal infinities not at all, others and NaN of ours infinitely.

    What is NaN there is no number, so there is none that ours would have to be.
    """
    a, b = (_unbounded(array) for array in (ours, theirs))
    with np.errstate(invalid="ignore"):
        distance = np.where((a == b) | np.isnan(b), 0.0, np.abs(a - b))
    return np.where(np.isnan(distance), np.inf, distance)


def _unbounded(array: Array) -> NDArray[np.float64]:
    """Return float64; the largest float32 stands for infinity in a graph of ours."""
    real = array.astype(np.float64)
    return np.where(np.abs(real) >= UNBOUNDED, np.copysign(np.inf, real), real)


def _few_steps(distance: NDArray[np.float64], step: float) -> bool:
    """Return whether codes are one step off at most, and few: one of a small tensor may lie at a tie of float32."""
    steps = distance / step
    few = max(COUNTED_OFF * steps.size, 1.0)
    return bool(steps.max() <= 1.0 + NO_STEP and np.count_nonzero(steps > NO_STEP) <= few)


def _is_near(worst: float, theirs: Array, tolerance: float, read: Callable[[], float]) -> bool:
    share = max(tolerance, SHORT.get(theirs.dtype.name, 0.0))
    return worst <= share * largest(theirs) or worst <= CANCELLED * read()
