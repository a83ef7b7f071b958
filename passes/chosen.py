"""What is chosen beside a pipeline and not by data: bits and rows, how far ranges reach, what training learnt."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from cimc.passes.ranges import Ranges


@dataclass(frozen=True)
class Chosen:
    """A choice, by labels; what it leaves out is found on the data.

    `bits`: layer -> bits of its input and of its weights, where they are lowered or raised. `reach`: value -> the
    factor by which its range differs from what calibration finds. `learnt`: ranges of some values and columns, which
    training has found. `rows`: layer of lowered bits -> how often its rows stand at most.
    """

    bits: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    reach: Mapping[str, float] = field(default_factory=dict)
    learnt: Ranges = field(default_factory=Ranges)
    rows: Mapping[str, int] = field(default_factory=dict)

    @staticmethod
    def of(ranges: Ranges) -> "Chosen":
        """Return what was chosen when stored ranges were found: enough to find them anew for other weights."""
        return Chosen(ranges.bits, ranges.reach, rows=ranges.rows)
