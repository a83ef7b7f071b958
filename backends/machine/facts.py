"""The machine that a program is for: the facts of its target that decide bits."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from cimc.backends.machine.traps import Trap
from cimc.isa.limits import (
    ADC_BITS,
    ADC_CODES,
    CODES,
    FRACTION_BITS,
    PAIRS_MOST,
    PLACES_MOST,
    SIGNIFICANCE_MOST,
    VALUE_MOST,
    CodeRange,
    code_range,
    full_conductance,
)
from cimc.isa.phases import READ_PHASES, Phase, phases_read, unsigned_problem
from cimc.isa.program import Instruction
from cimc.isa.region import Region
from cimc.isa.streams import StreamState


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
    read_phases: int = 1

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

    def phases(self, source: StreamState) -> tuple[Phase, ...]:
        """Return the phases that the vectors of a stream are read in: those of signs that its elements can have."""
        fill = source.window.fill if source.window else 0
        return phases_read(self.read_phases, min(source.lowest, fill), max(source.highest, fill))

    @property
    def full_conductance(self) -> int:
        """Largest value that a device can be programmed to."""
        return full_conductance(self.levels, self.fraction_bits)

    def adc_of(self, column: int) -> int:
        """Return which ADC of its tile serves a column: neighbours share one."""
        return column // self.multiplexing

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


def _phases(target: Mapping[str, Any], adc: Mapping[str, Any]) -> int:
    """Return the target's read phases; traps where there is no such number, or its ADC's codes do not go with it."""
    count = target.get("read_phases", 1)
    if isinstance(count, bool) or count not in READ_PHASES:
        known = ", ".join(map(str, READ_PHASES))
        raise Trap(
            "CIM0520", f"the target has {count!r} read phases, one of {known} is needed", "choose another target"
        )
    problem = unsigned_problem(count, adc.get("codes"))
    if problem:
        raise Trap("CIM0520", f"the target has {problem}", "choose symmetric codes, or a target with four read phases")
    return int(count)


def machine(meta: Mapping[str, Any]) -> Machine:
    """Return the machine that a program's `meta["target"]` describes; traps with CIM0500 where a fact is missing."""
    if meta.get("target") is None:
        hint = 'add --target NAME, or `.meta "target"` to the text'
        raise Trap("CIM0500", "the program does not say for which target it is", hint)
    target = _section(meta, "target")
    array, dac, adc = (_section(target, name) for name in ("array", "dac", "adc"))
    unbounded = array.get("tiles") == "unbounded"
    two = array.get("pairs_per_weight", 1) != 1
    return Machine(
        tiles=None if unbounded else _integer(array, "tiles", 1, PLACES_MOST),
        rows=_integer(array, "rows", 1, PLACES_MOST),
        columns=_integer(array, "columns", 1, PLACES_MOST),
        levels=_integer(array, "levels", 1, 1 << 16),
        fraction_bits=_integer(array, "fraction_bits", 0, FRACTION_BITS),
        unprogrammed=_integer(array, "unprogrammed", 0, VALUE_MOST),
        dac_bits=_integer(dac, "bits", 2, 16),
        dac_codes=_choice({"codes": CODES[0], **dac}, "codes", CODES),
        adc_bits=_integer(adc, "bits", 2, ADC_BITS),
        adc_codes=_choice(adc, "codes", ADC_CODES),
        adc_rounding=_choice(adc, "rounding", ("nearest-even", "floor")),
        multiplexing=_integer(adc, "multiplexing", 1, 1 << 16),
        pairs=_integer(array, "pairs_per_weight", 1, PAIRS_MOST) if two else 1,
        significance=_integer(array, "significance", 1, SIGNIFICANCE_MOST) if two and "significance" in array else 1,
        second_pair=_choice(array, "second_pair", ("copy", "rest")) if two and "second_pair" in array else "copy",
        read_phases=_phases(target, adc),
    )
