"""Laws of the noise of every product that both interpreters share: addresses and units."""

from cimc.backends.machine.facts import Region
from cimc.backends.noise.fixed_point import rounded

VARIANCE_LIMIT = 1 << 53

CYCLE_SHIFT = 4
"""Cycle spreads are kept in units of 2^-8 of a code, coarser where the variance's bound asks for it."""


def stream_of(cells: Region) -> int:
    """Return the stream id of per-product draws: tile and first row."""
    return cells.tile << 16 | cells.row


def cycle_shift(largest: int, devices: int, largest_input: int) -> int:
    """Return the bits that spreads of up to `largest` fine units lose, for the variance of a column to stay exact."""
    shift = CYCLE_SHIFT
    while devices * (largest_input * int(rounded(largest, shift))) ** 2 >= VARIANCE_LIMIT:
        shift += 1
    return shift
