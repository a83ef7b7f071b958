"""The counters of one instruction: exact integers, for one sample and for what is done once before the first."""

from dataclasses import dataclass, fields


@dataclass(frozen=True)
class Counters:
    """What was done. All but the last two are per sample; those are done once, whatever the number of samples."""

    issued: int = 0
    """instructions, loops expanded"""
    products: int = 0
    """vectors times blocks: one vector through one block"""
    phases: int = 0
    """conversions of all ADCs of a tile: ceil(columns / ADCs) x read phases for each product"""
    conversions: int = 0
    """columns x read phases for each product"""
    serial_phases: int = 0
    """phases one after another: those of the busiest tile, as tiles convert at the same time"""
    cells: int = 0
    """rows x columns for each product: multiply-accumulates of the array"""
    row_slots: int = 0
    """rows that could be driven: rows x phases for each product"""
    act_read: int = 0
    """bytes; a window reads every element each time it is used, what lies outside the tensor is not read"""
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
    programmed: int = 0
    """cells programmed, once"""
    cal_products: int = 0
    """products of drift calibration, once"""

    def __add__(self, other: "Counters") -> "Counters":
        return Counters(*(a + b for a, b in zip(self.values(), other.values(), strict=True)))

    def times(self, count: int) -> "Counters":
        """Return the counters of so many runs of the same."""
        return Counters(*(count * value for value in self.values()))

    def values(self) -> tuple[int, ...]:
        """Return the values in the order of NAMES."""
        return tuple(getattr(self, name) for name in NAMES)

    def to_json(self) -> dict[str, int]:
        return dict(zip(NAMES, self.values(), strict=True))


NAMES = tuple(field.name for field in fields(Counters))
