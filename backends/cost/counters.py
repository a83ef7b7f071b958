"""The counters of one instruction: exact numbers, for one sample and for what is done once before the first."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from fractions import Fraction
from operator import add, attrgetter

Number = int | Fraction


@dataclass(frozen=True)
class Counters:
    """What was done: whole numbers for one sample; then what data decide, a mean over samples; then what is done once.

    `DATA` and `ONCE` name the last two.
    """

    issued: int = 0
    """instructions, loops expanded"""
    products: int = 0
    """vectors times blocks: one vector through one block"""
    phases: int = 0
    """conversions of all ADCs of a tile: ceil(columns / ADCs) x read phases for each product"""
    conversions: int = 0
    """columns x read phases for each product"""
    serial_phases: int = 0
    """phases one after another: of a layer's products, those of the busiest tile, as tiles work at the same time"""
    cells: int = 0
    """rows x columns for each product: cells that a product passes"""
    macs: int = 0
    """multiply-accumulates of the network: cells, those left out that are skipped and never programmed"""
    conductance: int = 0
    """sum of G+ + G- over the cells of each product, in 2^-fraction_bits levels: what charge is for inputs of code 1"""
    row_slots: int = 0
    """rows that could be driven: rows x phases for each product"""
    act_read: int = 0
    """bytes; a window reads every element each time it is used, once where a line buffer holds it, and none outside"""
    act_write: int = 0
    """bytes"""
    const_read: int = 0
    """bytes; multipliers, offsets and taps once an instruction, an entry of a table each time"""
    dig_mul: int = 0
    """multiplications of the digital unit, those of requantisation left out"""
    dig_add: int = 0
    """additions, subtractions and comparisons"""
    dig_table: int = 0
    """look-ups in a table"""
    dig_div: int = 0
    """divisions and roots"""
    requant: int = 0
    """requantisations: one multiplication, one addition, shift, rounding and clamp"""
    row_on: Number = 0
    """row slots whose input code is not 0"""
    pulse: Number = 0
    """sum of |code| over row slots, in code units"""
    charge: Number = 0
    """sum of |code| x (G+ + G-) over the cells of each product, in codes times 2^-fraction_bits levels"""
    adc_mag: Number = 0
    """sum of |code of the ADC| over conversions"""
    programmed: int = 0
    """cells programmed, once: those with a target alone where zeros are skipped"""
    rows_programmed: int = 0
    """rows that they lie in, once: the cells of a row take their pulses together"""
    cal_products: int = 0
    """products of drift calibration, once"""

    def __add__(self, other: "Counters") -> "Counters":
        if other is NOTHING:
            return self
        return other if self is NOTHING else Counters(*map(add, self.values(), other.values()))

    def __sub__(self, other: "Counters") -> "Counters":
        return self + other.times(-1)

    def times(self, count: Number) -> "Counters":
        """Return the counters of so many runs of the same."""
        if count == 1:
            return self
        return Counters(*(count * value for value in self.values()))  # type: ignore[arg-type]  # whole times whole

    def values(self) -> tuple[int, ...]:
        """Return the values in the order of NAMES."""
        values: tuple[int, ...] = _VALUES(self)
        return values

    def only(self, names: Iterable[str]) -> "Counters":
        """Return the counters of these names, the others 0."""
        return Counters(**{name: getattr(self, name) for name in names})


NAMES = tuple(one.name for one in fields(Counters))
_VALUES = attrgetter(*NAMES)
NOTHING = Counters()
DATA = ("row_on", "pulse", "charge", "adc_mag")
"""Counters that data decide: known only of a run that was counted."""
ONCE = ("programmed", "rows_programmed", "cal_products")
ARRAY = ("products", "phases", "conversions", "serial_phases", "cells", "macs", "conductance", "row_slots", *DATA)
"""Counters of what arrays do."""


def total(counts: Iterable[Counters]) -> Counters:
    """Return the sum of counters."""
    return Counters(*map(sum, zip(*(one.values() for one in counts), strict=True)))


@dataclass(frozen=True)
class Work:
    """What one instruction does: everything, and what of it the array of each tile does."""

    counters: Counters = NOTHING
    tiles: Mapping[int, Counters] = field(default_factory=dict)

    def with_data(self, tiles: Mapping[int, Counters]) -> "Work":
        """Return the work with what data decided on each tile added."""
        return Work(
            self.counters + total(tiles.values()),
            {tile: done + tiles.get(tile, Counters()) for tile, done in self.tiles.items()},
        )
