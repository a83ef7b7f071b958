"""One row of the validation: published figures beside what the model gives, and how far apart they may lie."""

from collections.abc import Sequence
from dataclasses import dataclass

CALIBRATED, PREDICTED, RULE = "calibrated", "predicted", "rule"
"""Whether the constants of a row were fitted to its own figures, which proves nothing by itself, have not seen them, or
take no part: published figures beside others that were scaled or added up."""
OK, FAILS, EXPECTED, REPORTED = "ok", "FAILS", "expected failure", "reported"


@dataclass(frozen=True)
class Point:
    """One figure: what it is for, as published and as the model gives it."""

    label: str
    published: float
    ours: float

    @property
    def error(self) -> float:
        """How far the model is off, as a share of what is published."""
        return self.ours / self.published - 1


@dataclass(frozen=True)
class Row:
    """Figures of one chip and quantity; `most` and `mean` bound the error as shares, None where there is no test.

    `fitted` constants were fitted to these points. `expected` is the reason for which a row is known to fail.
    """

    chip: str
    quantity: str
    source: str
    kind: str
    points: Sequence[Point]
    most: float | None = None
    mean: float | None = None
    fitted: int = 0
    expected: str = ""
    note: str = ""

    def __post_init__(self) -> None:
        if not self.source:
            raise ValueError(f"{self.chip}, {self.quantity}: a row states the source of its figures")

    @property
    def worst(self) -> float:
        return max((abs(point.error) for point in self.points), default=0.0)

    @property
    def average(self) -> float:
        return sum(abs(point.error) for point in self.points) / max(len(self.points), 1)

    @property
    def holds(self) -> bool:
        """Whether the errors are within their bounds."""
        return (self.most is None or self.worst <= self.most) and (self.mean is None or self.average <= self.mean)

    @property
    def freedom(self) -> int:
        """Points minus constants fitted to them."""
        return len(self.points) - self.fitted

    @property
    def verdict(self) -> str:
        """A row that is known to fail and holds has to leave the ledger: it fails as well."""
        if self.most is None and self.mean is None:
            return REPORTED
        if self.expected:
            return FAILS if self.holds else EXPECTED
        return OK if self.holds else FAILS
