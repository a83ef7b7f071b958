"""What a target file may say: every constant with its unit and what values it takes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cimc.isa.limits import (
    ADC_BITS,
    ADC_CODES,
    CODES,
    FRACTION_BITS,
    PAIRS_MOST,
    PLACES_MOST,
    SIGNIFICANCE_MOST,
    VALUE_MOST,
)
from cimc.isa.phases import READ_PHASES, unsigned_problem
from cimc.tagged import TaggedText


@dataclass(frozen=True)
class Constant:
    """One constant: its unit, its type, and its bounds or choices."""

    unit: str
    kind: type
    low: float = 0
    high: float = float(1 << 48)
    choices: tuple[str, ...] = ()
    numbers: tuple[int, ...] = ()
    """The only numbers that it may be; all within the bounds where none are listed."""
    optional: bool = False
    """A price: a target that lacks it has no price for what it would pay for."""

    def problem(self, value: object) -> str | None:
        """Return what is wrong with a value, or None."""
        if isinstance(value, str) and value in self.choices:
            return None
        number_wanted = self.kind in (int, float)
        if number_wanted and isinstance(value, (int, float)) and not isinstance(value, bool):
            if self.kind is int and not isinstance(value, int):
                return f"{value} is not a whole number"
            if self.numbers and value not in self.numbers:
                return f"{value} is not one of {', '.join(map(str, self.numbers))}"
            return None if self.low <= value <= self.high else f"{value} is outside {self.low:g}..{self.high:g}"
        if self.kind is bool and isinstance(value, bool):
            return None
        wanted = f"one of {', '.join(self.choices)}" if self.choices else self.kind.__name__
        return f"{value!r} is not {wanted}"


def _stated_value(text: TaggedText, key: str, constant: Constant) -> Any:
    """Return a constant's value in a text, None where there is a problem with it, which is noted there."""
    entry = text.entry(key)
    value = None if entry is None else text.content(key, entry, (constant.unit,))
    problem = None if value is None else constant.problem(value)
    if problem:
        text.problems.append(f"{key}: {problem}")
    return value


def stated_values(text: TaggedText, constants: Mapping[str, Constant]) -> dict[str, Any]:
    """Return path -> value of what a text states or has to state; problems are noted in the text."""
    stated = (key for key, constant in constants.items() if key in text.entries or not constant.optional)
    return {key: _stated_value(text, key, constants[key]) for key in stated}


CONSTANTS: Mapping[str, Constant] = {
    "read_phases": Constant("reads per product", int, numbers=tuple(READ_PHASES)),
    "array.tiles": Constant("tiles", int, 1, PLACES_MOST, ("unbounded",)),
    "array.rows": Constant("rows", int, 1, PLACES_MOST),
    "array.columns": Constant("differential columns", int, 1, PLACES_MOST),
    "array.pairs_per_weight": Constant("device pairs", int, 1, PAIRS_MOST),
    "array.significance": Constant("first pair's share over the second's", int, 1, SIGNIFICANCE_MOST),
    "array.second_pair": Constant("what it is programmed to", str, choices=("copy", "rest")),
    "array.levels": Constant("levels per polarity", int, 1, 255),
    "array.fraction_bits": Constant("bits below a level", int, 0, FRACTION_BITS),
    "array.unprogrammed": Constant("2^-fraction_bits levels", int, 0, VALUE_MOST),
    "array.g_max": Constant("uS", float),
    "array.g_min": Constant("uS", float),
    "dac.bits": Constant("bits", int, 2, 8),
    "dac.codes": Constant("code range", str, choices=CODES),
    "adc.bits": Constant("bits", int, 2, ADC_BITS),
    "adc.codes": Constant("code range", str, choices=ADC_CODES),
    "adc.rounding": Constant("rounding", str, choices=("nearest-even",)),
    "adc.gain": Constant("granularity", str, choices=("array", "tile", "unity")),
    "adc.multiplexing": Constant("columns per ADC", int, 1, 1024),
    "digital.depthwise": Constant("capability", bool),
    "digital.lanes": Constant("multiplications per cycle", int, 1, 1 << 20),
    "digital.cycle": Constant("ns", float),
    "digital.tech_scale": Constant("energy here over that stated", float, optional=True),
    "memory.activation_bytes": Constant("bytes", int, 1, float(1 << 36)),
    "memory.constant_bytes": Constant("bytes", int, 1, float(1 << 36)),
    "memory.line_buffer": Constant("capability", bool, optional=True),
    "timing.phase": Constant("ns", float, optional=True),
    "timing.phase_6": Constant("ns", float, optional=True),
    "timing.phase_4": Constant("ns", float, optional=True),
    "timing.clock": Constant("ns", float, optional=True),
    "timing.settle": Constant("cycles", int, 0, 1 << 20, optional=True),
    "timing.overlap": Constant("capability", bool, optional=True),
    "energy.product_fixed": Constant("nJ", float),
    "energy.array_power": Constant("W", float),
    "energy.multiply": Constant("pJ", float),
    "energy.idle_rows": Constant("share of a phase", float, 0, 1, optional=True),
    "energy.pulse": Constant("pJ", float, optional=True),
    "energy.add": Constant("pJ", float, optional=True),
    "energy.table": Constant("pJ", float, optional=True),
    "energy.divide": Constant("pJ", float, optional=True),
    "energy.requant": Constant("pJ", float, optional=True),
    "energy.act_byte_read": Constant("pJ", float, optional=True),
    "energy.act_byte_write": Constant("pJ", float, optional=True),
    "energy.const_byte": Constant("pJ", float, optional=True),
    "energy.instruction": Constant("pJ", float, optional=True),
    "energy.leak": Constant("mW a tile", float, optional=True),
    "programming.pulses": Constant("pulses a cell", float, optional=True),
    "programming.pulse_energy": Constant("pJ", float, optional=True),
    "programming.pulse_time": Constant("ns", float, optional=True),
    "area.tile": Constant("mm2", float, optional=True),
    "area.cell": Constant("um2", float, optional=True),
    "area.adc": Constant("um2", float, optional=True),
    "area.row": Constant("um2", float, optional=True),
    "area.byte": Constant("um2", float, optional=True),
    "area.digital": Constant("mm2", float, optional=True),
    "bottom_up.conversion": Constant("pJ", float, optional=True),
    "bottom_up.row": Constant("pJ", float, optional=True),
    "bottom_up.charge": Constant("aJ", float, optional=True),
}
"""Section.key -> constant. All are required but those marked optional: prices, and of two ways to say a time one."""


def misfits(values: Mapping[str, object]) -> list[str]:
    """Return what is wrong with constants that go by themselves and not together."""
    problem = unsigned_problem(values["read_phases"], values["adc.codes"])
    found = [f"adc.codes: {problem}"] if problem else []
    return [*found, *_endless_leak(values), *_phase_time(values), *_timeless_power(values), *_tile_twice(values)]


def _timeless_power(values: Mapping[str, object]) -> list[str]:
    """Return what is wrong with a power that lasts no time."""
    stated = next((key for key in ("timing.phase", "timing.clock") if values.get(key) == 0), None)
    if stated is None or not values["energy.array_power"]:
        return []
    return [f"{stated} is 0 ns and energy.array_power is not 0 W: power needs a time, state one"]


def _phase_time(values: Mapping[str, object]) -> list[str]:
    """Return what is wrong with how long a phase lasts: said as a time, or as cycles of a converter's clock."""
    clocked = "timing.clock" in values
    if "timing.phase" not in values and not clocked:
        return ["constant 'timing.phase' is missing"]
    if not clocked:
        return ["timing.settle is in cycles of timing.clock: state that too"] if "timing.settle" in values else []
    twice = [key for key in ("timing.phase", "timing.phase_6", "timing.phase_4") if key in values]
    return [f"{key} is the time of a phase, as cycles of timing.clock are: state one or the other" for key in twice]


def _tile_twice(values: Mapping[str, object]) -> list[str]:
    """Return what is wrong with the area of a tile beside those of its parts: one of them would be paid twice."""
    part = next((key for key in ("area.cell", "area.adc", "area.row") if key in values), None)
    if part is None or "area.tile" not in values:
        return []
    return [f"{part} is the area of a part of a tile, and area.tile that of a whole one: state one or the other"]


def _endless_leak(values: Mapping[str, object]) -> list[str]:
    """Return what is wrong with a power of each of tiles that nobody has counted."""
    if values["array.tiles"] != "unbounded" or not values.get("energy.leak"):
        return []
    return ["energy.leak: how many tiles leak is not known where array.tiles is unbounded, state their number"]
