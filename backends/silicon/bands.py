"""Tolerance bands for silicon: what chips of one noise profile do to every layer, and whether a measured chip is one.

Of each layer's codes, on inputs that are kept, three numbers say how a chip differs from the exact machine: the mean
difference, log2 of its root mean square, and log2 of the largest mean difference of a column. Over chips each is taken
as normal, and the band is the prediction interval of one more chip, mean +- t s sqrt(1 + 1/n), at the level
1 - (1 - confidence) / numbers (Bonferroni): a chip of the same statistics lies within all bands with at least the
stated confidence.
"""

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cimc.backends.interpreter import Interpreter
from cimc.backends.machine.observer import Writes
from cimc.backends.noise.sources import Noise
from cimc.backends.silicon.student import student
from cimc.isa.program import Program

Codes = NDArray[Any]
Reals = NDArray[np.float64]

STATISTICS = ("mean difference", "log2 rms difference", "log2 largest column mean")
ORIGIN = "layers.origin"
"""The array of a measured file that says, as JSON, what its layers were measured on."""
BATCH = 64
SMALLEST = 2.0**-20
"""A difference below this many codes counts as this one: its logarithm is kept finite."""


@dataclass(frozen=True)
class Band:
    """The limits [statistics] of one layer, and its exact codes [samples, vectors, columns]."""

    name: str
    exact: Codes
    low: Reals
    high: Reals


@dataclass(frozen=True)
class Verdict:
    """One statistic of one measured layer against its band."""

    name: str
    statistic: str
    value: float
    low: float
    high: float

    @property
    def inside(self) -> bool:
        return self.low <= self.value <= self.high

    def __str__(self) -> str:
        place = "is within" if self.inside else "is outside"
        return f"{self.name}: {self.statistic} {self.value:.4g} {place} {self.low:.4g} to {self.high:.4g}"


def layer_codes(program: Program, inputs: Mapping[str, Codes], noise: Noise | None = None) -> dict[str, Codes]:
    """Return the codes [samples, vectors, columns] that every layer on the crossbar writes, by its name.

    Vectors of all copies of its blocks, and of all turns of a loop, are in a row.
    """
    names = {i: program.layer_name(i) for i, one in enumerate(program.instructions) if one.name == "mvm"}
    parts = defaultdict[str, list[Codes]](list)
    interpreter = Interpreter(program, chunk=BATCH, noise=noise)
    for first in range(0, len(next(iter(inputs.values()), np.zeros(1))), BATCH):
        turns: dict[str, list[Codes]] = defaultdict(list)

        def keep(index: int, values: Codes, turns: dict[str, list[Codes]] = turns) -> None:
            if index in names:
                turns[names[index]].append(values)

        batch = {name: codes[first : first + BATCH] for name, codes in inputs.items()}
        interpreter.run(batch, Writes(keep), first=first)
        for name, values in turns.items():
            parts[name].append(np.concatenate(values, axis=1))
    return {name: np.concatenate(batches) for name, batches in parts.items()}


def differences(exact: Codes, measured: Codes) -> Reals:
    """Return the STATISTICS of one layer's codes."""
    difference = measured.astype(np.float64) - exact
    column = np.abs(difference.reshape(-1, difference.shape[-1]).mean(axis=0)).max()
    root = math.sqrt(np.square(difference).mean())
    return np.array([difference.mean(), math.log2(max(root, SMALLEST)), math.log2(max(float(column), SMALLEST))])


def bands(exact: Mapping[str, Codes], chips: Sequence[Mapping[str, Reals]], confidence: float) -> list[Band]:
    """Return the band of each layer from the `differences` of at least two chips, by layer."""
    count = len(chips)
    level = 1 - (1 - confidence) / (len(exact) * len(STATISTICS))
    factor = student(level, count - 1) * math.sqrt(1 + 1 / count)
    result = []
    for name, codes in exact.items():
        values = np.stack([chip[name] for chip in chips])
        centre, reach = values.mean(axis=0), factor * values.std(axis=0, ddof=1)
        result.append(Band(name, codes, centre - reach, centre + reach))
    return result


def judged(band: Band, measured: Codes) -> list[Verdict]:
    """Return the verdict on each statistic of a measured layer, shaped as the exact codes."""
    rows = zip(STATISTICS, differences(band.exact, measured), band.low, band.high, strict=True)
    return [Verdict(band.name, statistic, float(v), float(a), float(b)) for statistic, v, a, b in rows]
