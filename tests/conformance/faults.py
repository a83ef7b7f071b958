"""Mistakes that people make in a tile, its digital unit or its sequencer: switches of the outsider's executor.

Killed means that a record or a trap of a directed program differs. What a target cannot show is told by `unseen`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

ADC = (
    "ADC half up",
    "ADC floor",
    "ADC keeps the lowest code",
    "ADC saturation lost",
    "ADC wraps",
    "shift one less",
    "clips counted at the ends",
)
TILE = (
    "plus and minus swapped",
    "minus array ignored",
    "stale DAC register where the code is 0",
    "DAC code unsigned",
    "DAC codes out of range clipped",
    "accumulator of 16 bits",
    "accumulator of 18 bits",
    "accumulator keeps the column before",
    "first row of a block dropped",
    "row address off by one",
    "column address off by one",
    "gain of a tile ignored",
    "common gain leaves the gains of tiles",
    "zeros left as they were",
    "unprogrammed devices conduct nothing",
    "readcell reads the plus device",
    "tolerance excluded",
)
PHASES = (
    "phases joined before conversion",
    "negative inputs not read",
    "minus devices not read",
    "codes of phases added",
)
EPILOGUE = (
    "requantise half up",
    "requantise floor",
    "epilogue low clamp lost",
    "epilogue high clamp lost",
    "epilogue of 32 bits",
    "bias lost",
    "drift factors ignored",
    "drift factors rounded down",
    "calibration sums codes with their signs",
    "one drift factor for a block",
)
DIGITAL = (
    "pool misses the last tap",
    "pool begins at 0",
    "one position for a pool",
    "period ignored",
    "operands of add swapped",
    "zero point of b lost",
    "quotient truncated",
    "0 where the divisor is 0",
    "table begins at 0",
    "codes outside of a table clipped",
    "softmax quotient truncated",
    "mean not removed",
    "root of few bits",
    "select the other way round",
    "argmax takes the largest",
    "argmax takes the first of equals",
)
STREAMS = (
    "fill taken as 0",
    "taps column-major",
    "window one column to the right",
    "padding ignored",
    "dilation ignored",
    "strides swapped",
    "negative pitch taken as positive",
    "elements big-endian",
    "sign of elements lost",
    "sign of half bytes lost",
    "high half of a byte first",
    "outputs out of range wrap",
    "writes before all reads",
    "advance in bytes",
    "tensor keeps the window",
    "one turn more",
)
FAULTS = (*ADC, *TILE, *PHASES, *EPILOGUE, *DIGITAL, *STREAMS)

Sections = Mapping[str, Any]


@dataclass(frozen=True)
class Unseen:
    """Faults that no program shows on targets of some kind, and why."""

    faults: tuple[str, ...]
    reason: str
    where: Callable[[Sections], bool]


UNSEEN = (
    Unseen(
        ("ADC keeps the lowest code", "ADC saturation lost", "ADC wraps", "clips counted at the ends"),
        "its ADC has a code for every sum",
        lambda target: bool(target["adc"]["bits"] == 33),
    ),
    Unseen(PHASES, "its products are read in one phase", lambda target: target.get("read_phases", 1) == 1),
    Unseen(
        ("minus devices not read",),
        "its phases read both devices of a cell at once",
        lambda target: target.get("read_phases", 1) == 2,
    ),
    Unseen(
        ("unprogrammed devices conduct nothing",),
        "that is what they do",
        lambda target: target["array"]["unprogrammed"] == 0,
    ),
)


def unseen(target: Sections) -> dict[str, str]:
    """Return the faults that a target, given by its sections, cannot show, each with the reason."""
    return {fault: one.reason for one in UNSEEN if one.where(target) for fault in one.faults}
