"""Calibration data: read once the inputs of a model are known, and told loudly where they can say little."""

import warnings
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from cimc.driving.arrays import Array, feed
from cimc.driving.feeding import RAW, Intake, taken_for
from cimc.isa.errors import CimcWarning

FEWEST = 16
"""Samples below which 1 % of later values may lie beyond all that calibration saw."""
HINT = "calibrate on at least 16 samples like those the program will meet"

Calibration = Callable[[list[Intake]], dict[str, Array]]
"""Gives the real values of every input."""


def calibration(
    arrays: Callable[[], Mapping[str, Array]], path: str, kind: str = RAW, limit: int | None = None
) -> Calibration:
    """Return what gives the calibration data of a compile; `arrays` is asked once the inputs are known.

    What it returns raises CimcError CIM0201 to CIM0203, which name `path`.
    """

    def data(intakes: list[Intake]) -> dict[str, Array]:
        real = feed(arrays(), taken_for(intakes, kind), path, limit)
        _warn(real, path)
        return real

    return data


def _warn(real: Mapping[str, NDArray[np.float32]], path: str) -> None:
    count = len(next(iter(real.values()), np.zeros(FEWEST)))
    if count < FEWEST:
        _tell(f"{path}: ONLY {count} CALIBRATION SAMPLE{'S' * (count > 1)}: ranges of so few say little")
    for name, values in real.items():
        low, high = float(values.min()), float(values.max())
        if low == high:
            _tell(f"{path}: CALIBRATION DATA WITHOUT CONTENT: every value of {name!r} is {low:g}")


def _tell(message: str) -> None:
    warnings.warn(CimcWarning(message, HINT, "CIM0213"), stacklevel=5)
