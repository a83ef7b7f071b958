"""How likely the devices of one tile are under each explanation, device by device, as natural logarithms of densities.

Healthy devices are normal around what their target is read at, with a floor: a share of OUTLIERS may be anything.
"""

import math
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from cimc.backends.silicon.expected_devices import Expected

Reals = NDArray[np.float64]
Flags = NDArray[np.bool_]

OUTLIERS = 1e-7
"""Share of healthy devices that may be read at anything: no single device weighs more than its logarithm."""
MISSES = 1e-9
"""Share of the devices on a dead line that are read at something."""
SILENT = 1.0
"""Codes below which a device is read as nothing."""
STUCK_SHARE = 1e-4
"""Share of devices that may be stuck."""
WIDER = (1.5, 2.0, 3.0, 5.0, 8.0)
"""Factors by which programming may spread a column's devices."""
NEAR = 1.0
"""Codes within which a device that is stuck reads zero or full conductance."""


@dataclass(frozen=True)
class TileEvidence:
    """Devices [pairs, 2, rows, columns] of a tile: what was read, in codes, what they were asked for, which were.

    Only `rows` and `columns` of these numbers are held: those with a device that was written.
    """

    rows: NDArray[np.int64]
    columns: NDArray[np.int64]
    read: Reals
    targets: NDArray[np.int64]
    written: Flags
    law: Expected
    full: int

    @cached_property
    def scores(self) -> Reals:
        """How many standard deviations each device lies from what its target is read at; 0 where it was not written."""
        return np.where(self.written, (self.read - self.law.mean[self.targets]) / self.law.deviation[self.targets], 0)

    @cached_property
    def healthy(self) -> Reals:
        return self.under(self.law, self.targets)

    def under(self, law: Expected, targets: NDArray[np.int64]) -> Reals:
        """Return the logarithms of densities under another law, or with other targets; 0 where nothing was written."""
        mean, deviation = law.mean[targets], law.deviation[targets]
        normal = np.exp(-np.square((self.read - mean) / deviation) / 2) / (deviation * math.sqrt(2 * math.pi))
        normal = np.where(self.read < SILENT, np.maximum(normal, law.silent[targets]), normal)
        return np.where(self.written, np.log(normal + OUTLIERS / self.full), 0)

    @cached_property
    def wider(self) -> tuple[Reals, ...]:
        """Of devices that programming spreads by each factor of WIDER more.

        Only devices whose spread is normal are looked at: at an end of the range it is not, however well programmed.
        """
        spreads = [self.law.deviation * np.where(self.law.normal, factor, 1) for factor in WIDER]
        return tuple(self.under(replace(self.law, deviation=each), self.targets) for each in spreads)

    @cached_property
    def dead(self) -> Reals:
        """Of a line that conducts nothing."""
        return np.where(self.written, np.where(self.read < SILENT, 0.0, math.log(MISSES / self.full)), 0)

    @cached_property
    def stuck(self) -> Reals:
        """Of a device that is free or stuck, whichever is likelier."""
        ends = (self.read < NEAR) | (np.abs(self.read - self.full) < NEAR)
        return np.maximum(self.healthy, np.where(self.written & ends, math.log(STUCK_SHARE / 2), -math.inf))

    @cached_property
    def swapped(self) -> Reals:
        """Of a cell whose sides have changed places."""
        return self.under(self.law, self.targets[:, ::-1])
