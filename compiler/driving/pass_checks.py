"""What every pass makes of the outputs, held against what it may change (`--check-passes`)."""

from collections.abc import Callable, Mapping

import numpy as np

from cimc.evaluate import Batch, evaluate
from cimc.evaluate.session import Array
from cimc.ir.graph import Graph
from cimc.ir.verify import BrokenGraph
from cimc.passes.pipeline import Keeps, rows_of

SAMPLES = 4
SUMS_APART = 1e-4
"""Share of the largest output that sums of float32 in another order may differ by."""
LEAST_SIGNAL = 4.0
"""Power of an output against that of the error that a pass may bring: 6 dB, which sound passes keep from 4 bits on."""


class PassChecks:
    """Observes a compile: evaluates the graph behind every pass on some samples, and compares with the one before it.

    `inputs` makes data for an imported graph. Raises BrokenGraph at the first pass that changes more than it may.
    """

    def __init__(self, inputs: Callable[[Graph], Batch]) -> None:
        self._make = inputs
        self._inputs: Batch | None = None
        self._before: Mapping[str, Array] | None = None

    def __call__(self, name: str, graph: Graph, seconds: float) -> None:
        """Evaluate the graph that a pass has made, or the front end."""
        if self._inputs is None:
            self._inputs = {label: array[:SAMPLES] for label, array in self._make(graph).items()}
        found = evaluate(graph, self._inputs)
        if self._before is not None:
            require_kept(name, self._before, found)
        self._before = found


def require_kept(name: str, before: Mapping[str, Array], found: Mapping[str, Array]) -> None:
    """Raise BrokenGraph unless a pass has kept the outputs [N, *shape] as its row in the pipeline says."""
    if before.keys() != found.keys():
        raise BrokenGraph(f"pass {name} made the outputs {sorted(found)} of {sorted(before)}")
    (row,) = rows_of(name)
    kept = KEPT[row.keeps]
    for output, old in before.items():
        new = found[output]
        if old.shape != new.shape:
            raise BrokenGraph(f"pass {name} changed the shape of output '{output}' from {old.shape} to {new.shape}")
        if not kept(old.astype(np.float64), new.astype(np.float64)):
            raise BrokenGraph(
                f"pass {name} changed output '{output}' by up to {_largest(old - new):g}, more than it may"
            )


def _same(old: Array, new: Array) -> bool:
    return bool(np.array_equal(old, new, equal_nan=True))


def _near(old: Array, new: Array) -> bool:
    return _largest(old - new) <= SUMS_APART * max(_largest(old), 1e-3)


def _audible(old: Array, new: Array) -> bool:
    """Return whether most of an output is left; numbers that are whole by nature may be others."""
    if np.array_equal(old, np.rint(old)):
        return True
    return bool(LEAST_SIGNAL * np.square(old - new).sum() <= np.square(old).sum())


def _largest(array: Array) -> float:
    return float(np.max(np.abs(array), initial=0.0))


KEPT: Mapping[Keeps, Callable[[Array, Array], bool]] = {Keeps.BITS: _same, Keeps.SUMS: _near, Keeps.SIGNAL: _audible}
