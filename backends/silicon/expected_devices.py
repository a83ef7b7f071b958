"""What single devices of a profile are read at, by their targets: mean, spread and the share that reads nothing.

As device_moments.py has it for cells, by simulation: a virtual tile holds every target many times, and the laws of
noise program it, let it drift and read it.
"""

from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from numpy.typing import NDArray

from cimc.backends.machine.facts import Machine
from cimc.backends.machine.traps import Refusal
from cimc.backends.noise.fixed_point import FINE_BITS
from cimc.backends.noise.sources import LATEST, Noise
from cimc.backends.plan.devices import Devices, DeviceState
from cimc.backends.silicon.device_moments import OF_DEVICES
from cimc.isa.region import Region

Reals = NDArray[np.float64]

TARGETS, TARGETS_OF_AGES = 129, 17
"""Targets looked at, evenly spread: between them all numbers change slowly."""
DRAWS = 256
"""Columns of the virtual tile: two devices for each target in each."""
LEAST_SPREAD = 0.5
"""Codes: no device is held to be known better."""
LARGEST_SKEWNESS, LARGEST_EXCESS = 0.4, 0.8
"""Three to four times what 512 draws of a normal variable show by chance."""
STEPS = (-2, -1.5, -1, -0.5, 0.5, 1, 1.5, 2)
"""Powers of ten of the ages at which a drifted tile is looked for."""


@dataclass(frozen=True)
class Expected:
    """Mean and standard deviation, in codes, of what a device of each target 0..C is read at, and how many read 0.

    `normal` says of which targets the spread is that of a normal variable: no device is held back at an end of the
    range.
    """

    mean: Reals
    deviation: Reals
    silent: Reals
    normal: NDArray[np.bool_]


def expected(machine: Machine, noise: Noise, count: int = TARGETS) -> Expected:
    """Return what devices of every target are read at, at the time of `noise`, free ones. Raises Refusal CIM0532."""
    sources = noise.sources & OF_DEVICES - {"stuck"}
    return _simulated(replace(machine, pairs=1), Noise(noise.profile, 0, noise.time_s, sources), count)


@cache
def _simulated(machine: Machine, noise: Noise, count: int) -> Expected:
    full = machine.full_conductance
    targets = np.unique(np.linspace(0, full, min(full + 1, count)).round().astype(np.int64))
    cells = Region(0, 0, 0, len(targets), DRAWS)
    virtual = replace(machine, rows=cells.rows, columns=cells.cols)
    laws, state = Devices(virtual, noise), DeviceState.fresh(cells.rows, cells.cols)
    asked = np.broadcast_to(targets[:, None], (2, cells.rows, cells.cols))
    laws.program(state, cells, asked, np.ones(asked.shape, bool))
    codes = laws.fine(state, cells, noise.time_s) / (1 << FINE_BITS)
    found = (codes.mean(axis=(0, 2)), codes.std(axis=(0, 2)), (codes < 1).mean(axis=(0, 2)), _is_normal(codes))
    mean, deviation, silent, normal = (np.interp(np.arange(full + 1), targets, values) for values in found)
    return Expected(mean, np.maximum(deviation, LEAST_SPREAD), silent, normal == 1)


def _is_normal(codes: Reals) -> NDArray[np.bool_]:
    """Return whether codes [2, targets, draws] of a target have the skewness and the tails of a normal variable."""
    scores = codes - codes.mean(axis=(0, 2), keepdims=True)
    scores /= np.maximum(codes.std(axis=(0, 2), keepdims=True), np.finfo(float).tiny)
    skewness, tails = (np.power(scores, power).mean(axis=(0, 2)) for power in (3, 4))
    return np.asarray((np.abs(skewness) < LARGEST_SKEWNESS) & (np.abs(tails - 3) < LARGEST_EXCESS))


def at_other_ages(machine: Machine, noise: Noise) -> dict[int, Expected]:
    """Return what devices would be read at after other times, by seconds: those that the profile can say."""
    start = float(noise.profile.numbers["drift.start"])
    found = dict[int, Expected]()
    for step in STEPS:
        seconds = round((noise.time_s + start) * 10**step - start)
        if 0 <= seconds <= LATEST:
            try:
                found[seconds] = expected(machine, replace(noise, time_s=seconds), TARGETS_OF_AGES)
            except Refusal:
                continue
    return found
