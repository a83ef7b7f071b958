"""What the devices of a profile come to at a time, by simulation: moments for each target, and their law of error.

A virtual tile holds every target many times; the laws of noise program it, let it drift and read it. So whatever a
profile says, and however a chip pairs its devices, the numbers are those of the chips that a program will run on.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from cimc.backends.machine.facts import Machine
from cimc.backends.noise.sources import Noise
from cimc.backends.plan.devices import Devices, DeviceState
from cimc.isa.region import Region

OF_DEVICES = frozenset({"programming", "drift", "read", "stuck"})
"""The sources whose errors stay with a device; wires and converters are not its own."""
DRAWS = 512
"""Cells for each target: their standard deviation is known to 3 %."""
MOST_TARGETS = 513
"""Targets beyond this many are sampled evenly: moments change slowly with the target."""

Reals = NDArray[np.float64]


@dataclass(frozen=True)
class Moments:
    """Mean and standard deviation of what cells conduct, plus side less minus side, at the targets of the plus side.

    All in conductance units (2^-fraction_bits levels); targets ascend from 0 to the largest.
    """

    targets: Reals
    mean: Reals
    deviation: Reals

    @property
    def factor(self) -> float:
        """The mean drift: the share of their targets that cells conduct, by least squares."""
        return float(self.mean @ self.targets / (self.targets @ self.targets))

    @property
    def variance(self) -> Reals:
        """The mean square of what is left of a cell's error once the mean drift is divided out."""
        return np.square(self.deviation / self.factor) + np.square(self.mean / self.factor - self.targets)


def moments(machine: Machine, noise: Noise, skips: bool = False) -> Moments:
    """Return the moments of a machine's cells at the time of `noise`, of its sources those of devices.

    With `skips`, devices with target zero are not programmed.
    """
    full = machine.full_conductance
    targets = np.unique(np.linspace(0, full, min(full + 1, MOST_TARGETS)).round().astype(np.int64))
    cells = Region(0, 0, 0, len(targets), DRAWS)
    devices = Devices(replace(machine, rows=cells.rows, columns=cells.cols), _of_devices(noise))
    pairs = [DeviceState.fresh(cells.rows, cells.cols, pair) for pair in range(machine.pairs)]
    sides = np.zeros((2, cells.rows, cells.cols), np.int64)
    sides[0] = targets[:, None]
    devices.write(pairs, cells, sides, sides != 0 if skips else np.ones(sides.shape, bool))
    plus, minus = devices.conductances(pairs, cells, noise.time_s)
    found = (plus - minus).astype(np.float64)
    return Moments(targets.astype(np.float64), found.mean(axis=1), found.std(axis=1))


def error_law(found: Moments) -> tuple[float, float]:
    """Return (sigma, growth) of the law variance = sigma^2 + growth * target that fits best in relative terms."""
    variance = np.maximum(found.variance, 1e-9)
    growth, floor = np.polyfit(found.targets, variance, 1, w=1.0 / variance)
    if growth <= 0.0:
        return float(np.sqrt(variance.mean())), 0.0
    return float(np.sqrt(max(floor, 0.0))), float(growth)


def _of_devices(noise: Noise) -> Noise:
    return replace(noise, sources=noise.sources & OF_DEVICES)
