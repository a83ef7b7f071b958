"""What the digital sums of a layer are multiplied by, column by column, to come as near as can be to those aimed at."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from cimc.backends.plan.executor import NumpyExecutor
from cimc.backends.plan.moments import Reals, Sums, flat


@dataclass(frozen=True)
class Found:
    """Sums of a layer, parts i32 [samples, vectors, cols] of memory in flight, and the executor that adds them up."""

    parts: Sequence[Sums]
    executor: NumpyExecutor

    @property
    def means(self) -> Reals:
        """The mean of each column."""
        means: Reals = self.executor.totals(self.parts) / sum(len(flat(part)) for part in self.parts)
        return means


@dataclass(frozen=True)
class Aim:
    """Sums i32 [vectors of all samples, cols] that a fit aims at, and their means [cols]."""

    sums: Sums
    means: Reals

    @staticmethod
    def of(found: Found) -> "Aim":
        """Return what was found as an aim."""
        return Aim(np.concatenate([flat(part) for part in found.parts]), found.means)

    def slopes(self, found: Found, found_means: Reals) -> Reals:
        """Return the least-squares slope of each column over what was found; 1 where that never changes."""
        sums = found.executor.moments(found.parts, self.sums, (found_means, self.means))
        covariance, variance = sums / len(self.sums)
        slopes: Reals = np.divide(covariance, variance, out=np.ones_like(variance), where=variance > 0.0)
        return slopes
