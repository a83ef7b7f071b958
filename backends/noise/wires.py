"""IR drop: what wires of finite resistance leave of a block's conductances, a linear map while idle rows are at 0 V.

A row's driver sits before line 0 of its tile (line 2 * column + polarity), a line's ADC behind the last row; from cell
to cell, and to both ends, a wire has one resistance R. Each segment carries the current of all cells behind it, so cell
(i, l) sees, to first order, the load

    R * (sum over row segments up to l of the row's conductance from there on
         + sum over column segments from i on of the line's conductance up to there)

and conducts G / (1 + load), which comes near the second order of a uniform line as well. Only the block's own cells
load the wires. Against nodal analysis of random blocks the error is below 6 % of the largest drop where the worst cell
loses 30 % of its conductance, and below 2 % of it where that cell loses 10 %.
"""

from dataclasses import dataclass
from decimal import Decimal, localcontext
from functools import cache
from typing import Any

from numpy.typing import NDArray

from cimc.backends.machine.facts import Machine
from cimc.backends.machine.traps import Refusal
from cimc.backends.noise.device_tables import ceiling
from cimc.backends.noise.fixed_point import DIGITS, FINE_BITS, rounded, scaled
from cimc.backends.noise.profiles import Profile

Array = NDArray[Any]

LOAD_BITS = 20
MULTIPLIER_BITS = 16
SUM_BITS = 46
"""Sums of conductances over segments keep this many bits before they are multiplied."""
LARGEST_SUM_BITS = 62


@dataclass(frozen=True)
class Wires:
    """Sums of conductances over segments, in fine units of all pairs by their shares, as loads in Q20.

    load = round((sum >> shift) * multiplier / 2^divide); `base` is what a device of code 0 conducts, in the same units.
    """

    base: int
    shift: int
    multiplier: int
    divide: int

    def loads(self, sums: Any) -> Any:
        """Return the load (Q20) of a sum, or of an array of sums in int64."""
        return rounded((sums >> self.shift) * self.multiplier, self.divide)


@cache
def wires(profile: Profile, machine: Machine) -> Wires:
    """Return the wires of a machine under a profile. Raises Refusal CIM0533 where their sums have too many bits."""
    numbers = profile.numbers
    full = machine.full_conductance << FINE_BITS
    with localcontext() as context:
        context.prec = DIGITS
        span = numbers["device.highest"] - numbers["device.lowest"]
        base = scaled(numbers["device.lowest"] / span * full, 0) * sum(machine.shares)
        unit = numbers["wire.resistance"] * span * Decimal("1e-6") / full / sum(machine.shares) * (1 << LOAD_BITS)
        exponent = 0
        while 0 < unit * (1 << exponent) < 1 << MULTIPLIER_BITS - 1:
            exponent += 1
        multiplier = scaled(unit, exponent)
    largest = ceiling(profile, machine.full_conductance) * sum(machine.shares) + base
    bits = (largest * (4 * machine.columns**2 + machine.rows**2)).bit_length()
    shift = min(max(bits - SUM_BITS, 0), exponent)
    if bits > LARGEST_SUM_BITS or bits - shift + multiplier.bit_length() > LARGEST_SUM_BITS + 1:
        raise Refusal("CIM0533", f"IR drop on {machine.rows} x {machine.columns} cells needs sums of {bits} bits")
    return Wires(base, shift, multiplier, exponent - shift)
