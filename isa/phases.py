"""Read phases: the conversions that make the code of one product, for the compiler and the machine alike.

x+ = max(x, 0), x- = max(-x, 0), element by element; G+ and G- are what the two sides of a block conduct.

| phases | sums, one conversion each | code of the product |
| --- | --- | --- |
| 1 | s = x (G+ - G-) | c(s) |
| 2 | s1 = x+ (G+ - G-), s2 = x- (G+ - G-) | c(s1) - c(s2) |
| 4 | s1 = x+ G+, s2 = x+ G-, s3 = x- G+, s4 = x- G- | c(s1) - c(s2) - c(s3) + c(s4) |
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from cimc.isa.limits import CodeRange


class Phase(NamedTuple):
    """One conversion: the sign of the inputs that it reads, 0 for all, and of the devices, 0 for their difference."""

    number: int
    inputs: int = 0
    side: int = 0

    @property
    def sign(self) -> int:
        """How its code counts in the code of the product."""
        return (self.inputs or 1) * (self.side or 1)

    def codes(self, converter: CodeRange) -> CodeRange:
        """Return the codes that it may add to the code of the product."""
        return converter if self.sign > 0 else CodeRange(-converter.high, -converter.low)


ONE = (Phase(0),)
BOTH_SIGNS = (Phase(0, 1), Phase(1, -1))
SIDES_APART = (Phase(0, 1, 1), Phase(1, 1, -1), Phase(2, -1, 1), Phase(3, -1, -1))

READ_PHASES: Mapping[int, Sequence[Phase]] = {len(phases): phases for phases in (ONE, BOTH_SIGNS, SIDES_APART)}
"""What a target's `read_phases` may be -> its phases in their order."""


def phases_read(count: int, low: int, high: int) -> tuple[Phase, ...]:
    """Return which of `count` phases inputs with codes low..high are read in: none of a sign that they do not have."""
    absent = {sign for sign, end in ((1, high), (-1, -low)) if end <= 0}
    return tuple(phase for phase in READ_PHASES[count] if phase.inputs not in absent)


def joined_range(phases: Sequence[Phase], converter: CodeRange) -> CodeRange:
    """Return what the joined codes of phases lie in, each of the codes of a converter."""
    ranges = [phase.codes(converter) for phase in phases]
    return CodeRange(sum(each.low for each in ranges), sum(each.high for each in ranges))


def reach(phases: Sequence[Phase], largest: int) -> int:
    """Return the largest magnitude of a joined code on an exact machine, `largest` being that of a conversion.

    The two sides of a pair are subtracted: where each is read apart, no sum is negative.
    """
    return largest * len({phase.inputs for phase in phases})


def unsigned_problem(phases: object, codes: object) -> str | None:
    """Return why an ADC cannot have `codes` with so many read phases, or None."""
    if codes != "unsigned" or phases == len(SIDES_APART):
        return None
    return f"unsigned codes with {phases} read phases: sums have both signs unless the sides of a pair are read apart"
