"""What calibration saw of an input: kept with the ranges, so that later data can be held against it."""

import hashlib
import math
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

SHARE = 0.01
"""How much lies on each side of the middle 98 % of all values."""


@dataclass(frozen=True)
class Seen:
    """The real values of an input in calibration: lowest, highest, ends of the middle 98 %, samples, sha256.

    `whole`: the model takes integers there, and all values were integers.
    """

    low: float
    high: float
    middle: tuple[float, float]
    samples: int
    sha256: str
    whole: bool = False

    @property
    def reach(self) -> float:
        return self.high - self.low

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object that `from_json` reads back."""
        return {**asdict(self), "middle": list(self.middle)}

    @staticmethod
    def from_json(facts: Any) -> "Seen":
        """Return what was seen, from a JSON object. Raises LookupError, TypeError or ValueError."""
        low, high, *middle = map(float, (facts["low"], facts["high"], *facts["middle"]))
        if not (math.isfinite(high - low) and len(middle) == 2 and low <= middle[0] <= middle[1] <= high):
            raise ValueError(f"seen are {low} to {high}, in the middle {middle}")
        samples, sha256, whole = facts["samples"], facts["sha256"], facts["whole"]
        if type(samples) is not int or samples < 1 or not isinstance(sha256, str) or not isinstance(whole, bool):
            raise TypeError(f"samples {samples!r}, sha256 {sha256!r} and whole {whole!r} are no number, text and truth")
        return Seen(low, high, (middle[0], middle[1]), samples, sha256, whole)


def seen_in(values: NDArray[np.float32], integers: bool) -> Seen:
    """Return what real values [N, ...] show; `integers`: the model takes integers there."""
    content = np.ascontiguousarray(values)
    digest = hashlib.sha256(f"{content.shape} {content.dtype.str} ".encode())
    digest.update(content.reshape(-1).view(np.uint8).data)
    whole = integers and bool((values == np.rint(values)).all())
    return Seen(float(values.min()), float(values.max()), middle_of(values), len(values), digest.hexdigest(), whole)


def middle_of(values: NDArray[np.float32]) -> tuple[float, float]:
    """Return the lowest and highest of the middle 98 % of all values."""
    below = int(SHARE * values.size)
    ends = np.partition(values.ravel(), (below, values.size - 1 - below))
    return float(ends[below]), float(ends[values.size - 1 - below])
