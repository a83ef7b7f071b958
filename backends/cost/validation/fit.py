"""Prices fitted to published figures: least squares of relative errors, and each figure predicted by all others."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Matrix = Sequence[Sequence[float]]


def fitted(done: Matrix, spent: Sequence[float]) -> NDArray[np.float64]:
    """Return the prices [prices] with which what was done [points, prices] costs nearly what was spent [points]."""
    weighted = np.asarray(done, np.float64) / np.asarray(spent, np.float64)[:, None]
    return np.linalg.lstsq(weighted, np.ones(len(spent)), rcond=None)[0].astype(np.float64)


def left_out(done: Matrix, spent: Sequence[float]) -> list[float]:
    """Return each point's cost with prices fitted to the others."""
    rows, found = np.asarray(done, np.float64), []
    for index in range(len(spent)):
        others = [n for n in range(len(spent)) if n != index]
        prices = fitted(rows[others].tolist(), [spent[n] for n in others])
        found.append(float(rows[index] @ prices))
    return found
