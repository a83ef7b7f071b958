"""The machine that a program is for: the facts of its target that decide bits."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from cimc.backends.machine.traps import Trap
from cimc.isa.limits import (
    ADC_BITS,
    CODES,
    FRACTION_BITS,
    PAIRS_MOST,
    PLACES_MOST,
    SIGNIFICANCE_MOST,
    CodeRange,
    code_range,
    full_conductance,
)
from cimc.isa.program import Instruction
from cimc.isa.region import Region


@dataclass(frozen=True)
class Gain:
    """An ADC gain: multiplier / 2^divide."""

    multiplier: int
    divide: int


def gain(load: Instruction) -> Gain:
    """Return the gain that a `gain` instruction loads."""
    return Gain(load["multiplier"], load["divide"])


@dataclass(frozen=True)
class Machine:
    """Array, DAC and ADC of a target; `tiles` is None where there are as many as needed.

    Conductances are in units of 2^-fraction_bits levels; a cell conducts the mean of its `pairs` of devices, where the
    first of two counts `significance` times. The second holds a copy, or the rest that the first leaves open.
    """

    tiles: int | None
    rows: int
    columns: int
    levels: int
    fraction_bits: int
    unprogrammed: int
    dac_bits: int
    dac_codes: str
    adc_bits: int
    adc_codes: str
    adc_rounding: str
    multiplexing: int
    pairs: int = 1
    significance: int = 1
    second_pair: str = "copy"

    @property
    def shares(self) -> tuple[int, ...]:
        """How often each pair counts in the mean that a cell conducts."""
        return (self.significance, 1)[-self.pairs :]

    @cached_property
    def dac_range(self) -> CodeRange:
        """The input codes that the array can be driven with."""
        return code_range(self.dac_bits, self.dac_codes)

    @cached_property
    def adc_range(self) -> CodeRange:
        """The codes of the ADC."""
        return code_range(self.adc_bits, self.adc_codes)

    @property
    def full_conductance(self) -> int:
        """Largest value that a device can be programmed to."""
        return full_conductance(self.levels, self.fraction_bits)

    def require_tile(self, tile: int) -> None:
        """Trap unless the tile exists."""
        if self.tiles is not None and tile >= self.tiles:
            raise Trap("CIM0510", f"tile {tile} is named, the target has {self.tiles}", "compile for this target")

    def require_cell(self, tile: int, row: int, col: int) -> Region:
        """Return one cell as a region; trap unless it exists."""
        cell = Region(tile, row, col, 1, 1)
        self.require_region(cell)
        return cell

    def require_region(self, cells: Region) -> None:
        """Trap unless every cell of the region exists."""
        self.require_tile(cells.tile)
        if cells.row + cells.rows > self.rows or cells.col + cells.cols > self.columns:
            end = f"row {cells.row + cells.rows - 1}, column {cells.col + cells.cols - 1}"
            raise Trap(
                "CIM0510",
                f"cells up to {end} are named, a tile has {self.rows} x {self.columns}",
                "compile for this target",
            )


def _integer(section: Mapping[str, Any], name: str, low: int, high: int) -> int:
    value = section.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise Trap("CIM0500", f"the target's `{name}` is {value!r}, an integer from {low} to {high} is needed")
    return value


def _choice(section: Mapping[str, Any], name: str, choices: tuple[str, ...]) -> str:
    value = section.get(name)
    if value not in choices:
        raise Trap("CIM0500", f"the target's `{name}` is {value!r}, one of {', '.join(choices)} is needed")
    return str(value)


def _section(target: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    section = target.get(name)
    if not isinstance(section, Mapping):
        raise Trap("CIM0500", f"the target has no section `{name}`")
    return section


def _require_one_phase(target: Mapping[str, Any]) -> None:
    phases = target.get("read_phases", 1)
    if phases != 1:
        raise Trap(
            "CIM0520", f"the target has {phases!r} read phases, 1 is supported", "choose a target with one read phase"
        )


def machine(meta: Mapping[str, Any]) -> Machine:
    """Return the machine that a program's `meta["target"]` describes; traps with CIM0500 where a fact is missing."""
    target = _section(meta, "target")
    _require_one_phase(target)
    array, dac, adc = (_section(target, name) for name in ("array", "dac", "adc"))
    unbounded = array.get("tiles") == "unbounded"
    two = array.get("pairs_per_weight", 1) != 1
    return Machine(
        tiles=None if unbounded else _integer(array, "tiles", 1, PLACES_MOST),
        rows=_integer(array, "rows", 1, PLACES_MOST),
        columns=_integer(array, "columns", 1, PLACES_MOST),
        levels=_integer(array, "levels", 1, 1 << 16),
        fraction_bits=_integer(array, "fraction_bits", 0, FRACTION_BITS),
        unprogrammed=_integer(array, "unprogrammed", 0, (1 << 16) - 1),
        dac_bits=_integer(dac, "bits", 2, 16),
        dac_codes=_choice({"codes": CODES[0], **dac}, "codes", CODES),
        adc_bits=_integer(adc, "bits", 2, ADC_BITS),
        adc_codes=_choice(adc, "codes", CODES),
        adc_rounding=_choice(adc, "rounding", ("nearest-even", "floor")),
        multiplexing=_integer(adc, "multiplexing", 1, 1 << 16),
        pairs=_integer(array, "pairs_per_weight", 1, PAIRS_MOST) if two else 1,
        significance=_integer(array, "significance", 1, SIGNIFICANCE_MOST) if two and "significance" in array else 1,
        second_pair=_choice(array, "second_pair", ("copy", "rest")) if two and "second_pair" in array else "copy",
    )
