"""Files of one measured chip, chip.npz: docs/formats.md has the layout. What is wrong in one is told by its field."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cimc.backends.machine.facts import Machine, machine
from cimc.backends.noise.chip import HIGH, Chip, ChipTile
from cimc.backends.noise.converters import ERROR_BITS, GAIN_ERROR_BITS
from cimc.backends.noise.device_tables import SATURATION
from cimc.backends.noise.fixed_point import DAC_ERROR_BITS, FINE_BITS
from cimc.backends.noise.profiles import Profile, parse_profile
from cimc.backends.noise.profiles.writing import profile_toml
from cimc.backends.noise.sources import LATEST, require_sources
from cimc.diagnostics import DiagnosticError, fail
from cimc.driving.arrays import load_arrays
from cimc.isa.binary import program_digest
from cimc.isa.documents import json_value
from cimc.isa.limits import converters
from cimc.isa.manifest import target_hash
from cimc.isa.program import Program

Array = NDArray[Any]

FORMAT = 1
UNITS = ("codes", "uS")
LARGEST_GAIN_ERROR, LARGEST_LSB = 0.75, 256.0
"""Converter errors beyond these do not fit the number formats of the noise machine."""
SMALLEST_SHARE = 0.01
"""A chip whose largest conductance is below this share of the range was read in another unit."""
BELOW_ZERO = 0.25
"""Share of the range by which a reading may lie below 0: the meter's own error. It counts as 0."""
ADC = ("adc_offset", "adc_gain", "adc_inl")
"""Arrays of a tile about its ADCs, in the order of a ChipTile."""
CONVERTERS: Mapping[str, tuple[int, float, float]] = {
    "dac_gain": (DAC_ERROR_BITS, 1.0, LARGEST_GAIN_ERROR),
    "adc_offset": (ERROR_BITS, 0.0, LARGEST_LSB),
    "adc_gain": (GAIN_ERROR_BITS, 1.0, LARGEST_GAIN_ERROR),
    "adc_inl": (ERROR_BITS, 0.0, LARGEST_LSB),
}
"""Array of a tile -> fraction bits of its integers, the value of a perfect converter, the largest distance from it."""
SEE_LAYOUT = "docs/formats.md has the layout of a chip"
SEE_UNIT = "facts.unit says what the numbers are: codes, or uS with facts.range"
"""What to do about a fault."""


def chip_arrays(chip: Chip) -> dict[str, Array]:
    """Return what a chip file holds."""
    facts = {
        "format": FORMAT,
        "program": chip.program,
        "target": chip.target,
        "unit": "codes",
        "profile": chip.profile and profile_toml(chip.profile),
        "seed": chip.seed,
        "sources": sorted(chip.sources),
    }
    arrays = {"facts": np.array(json.dumps(facts))}
    for number, tile in sorted(chip.tiles.items()):
        arrays |= {f"tile{number}.{name}": array for name, array in _tile_arrays(tile).items()}
    return arrays


def _tile_arrays(tile: ChipTile) -> dict[str, Array]:
    """Return the arrays of a tile by field; what is perfect is left out."""
    found = {"read_s": np.array(tile.read_s), "conductance": tile.conductance / (1 << FINE_BITS)}
    if tile.programmed is not None:
        found["programmed"] = tile.programmed / (1 << FINE_BITS)
    faults = {"stuck": tile.stuck, "dead_rows": tile.dead_rows, "dead_columns": tile.dead_columns}
    found |= {name: array for name, array in faults.items() if array.any()}
    for (name, (bits, perfect, _)), errors in zip(CONVERTERS.items(), (tile.dac, *tile.adc), strict=True):
        if errors.any():
            found[name] = perfect + errors / (1 << bits)
    return found


def load_chip(path: str, program: Program) -> Chip:
    """Return the chip of a file, for the program that is in it.

    Raises CimcError CIM0214, which names the field, and CIM0215 where it is of another program or target.
    """
    reader = _Reader(path, load_arrays(path), machine(program.meta))
    facts = reader.facts
    hashes = {"program": program_digest(program), "target": target_hash(program.meta)}
    for name, wanted in hashes.items():
        if facts.get(name) != wanted:
            found = f"{path}: facts.{name} is {str(facts.get(name))[:12]!r}, the program run has {wanted[:12]!r}"
            raise fail("CIM0215", found, hint="give the program that was in the chip when it was read")
    used = sorted({one["tile"] for one in program.instructions if one.name in ("program", "pattern")})
    tiles = {number: reader.tile(number) for number in used}
    return Chip(tiles, hashes["program"], hashes["target"], reader.profile(), reader.seed(), reader.sources())


@dataclass
class _Reader:
    """Reads the fields of a chip file. Every method raises CimcError CIM0214, which names the field."""

    path: str
    arrays: Mapping[str, Array]
    machine: Machine

    @cached_property
    def facts(self) -> Mapping[str, Any]:
        """The facts of the file, its format and unit checked."""
        try:
            facts: Mapping[str, Any] = dict(json_value(str(self._array("facts")), self.path))
        except (ValueError, TypeError) as error:
            raise self._wrong("facts", f"no JSON object: {error}") from None
        if facts.get("format") != FORMAT:
            raise self._wrong("facts.format", f"{facts.get('format')!r}, {FORMAT} is known")
        if facts.get("unit") not in UNITS:
            raise self._wrong("facts.unit", f"{facts.get('unit')!r}, one of {', '.join(UNITS)} is needed")
        return facts

    def profile(self) -> Profile | None:
        """Return the profile that says how devices drift on, None where the file names none."""
        text = self.facts.get("profile")
        if text is None:
            return None
        if not isinstance(text, str):
            raise self._wrong("facts.profile", f"{text!r}, the TOML text of a noise profile or null is needed")
        return parse_profile(text, f"{self.path}: facts.profile")

    def seed(self) -> int:
        seed = self.facts.get("seed", 0)
        if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed < 1 << 64:
            raise self._wrong("facts.seed", f"{seed!r}, a whole number from 0 to 2^64 - 1 is needed")
        return seed

    def sources(self) -> frozenset[str]:
        names = self.facts.get("sources", [])
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise self._wrong("facts.sources", f"{names!r}, a list of sources of noise is needed")
        require_sources(names)
        return frozenset(names)

    def tile(self, number: int) -> ChipTile:
        """Return a tile, its conductances snapped to fine units."""
        facts, name = self.machine, f"tile{number}."
        devices = (facts.pairs, 2, facts.rows, facts.columns)
        conductance = self._conductances(name + "conductance", devices)
        known: dict[str, Array | None] = {"adc": self._converters(name)}
        if name + "programmed" in self.arrays:
            known["programmed"] = self._conductances(name + "programmed", devices)
        if name + "stuck" in self.arrays:
            known["stuck"] = self._whole(name + "stuck", devices, HIGH).astype(np.int8)
        for field, size in (("dead_rows", facts.rows), ("dead_columns", facts.columns)):
            if name + field in self.arrays:
                known[field] = self._whole(name + field, (size,), 1).astype(bool)
        if name + "dac_gain" in self.arrays:
            known["dac"] = self._errors(name, "dac_gain", (facts.rows,))
        return ChipTile.of(facts, self._read_s(name + "read_s"), conductance, **known)

    def _read_s(self, field: str) -> int:
        return int(self._whole(field, (), LATEST))

    def _conductances(self, field: str, shape: tuple[int, ...]) -> Array:
        """Return conductances [pairs, 2, rows, columns] in fine units; the axis of a single pair may be left out."""
        values = self._in_codes(self._of_shape(field, shape))
        full = self.machine.full_conductance
        for place in np.argwhere((values < -BELOW_ZERO * full) | (values > SATURATION * full))[:1]:
            found = f"{values[tuple(place)]:.4g} codes at {_at(place)}, 0 to {SATURATION * full} is possible"
            raise self._wrong(field, found, SEE_UNIT)
        if values.size and values.max() < SMALLEST_SHARE * full:
            found = f"at most {values.max():.4g} codes, the range is 0 to {full}"
            raise self._wrong(field, found, SEE_UNIT)
        return np.asarray(np.rint(np.maximum(values, 0) * (1 << FINE_BITS)), np.int64)

    def _in_codes(self, values: Array) -> Array:
        if self.facts["unit"] == "codes":
            return values
        limits = self.facts.get("range")
        match limits:
            case [int() | float() as low, int() | float() as high] if low < high:
                return (values - low) / (high - low) * self.machine.full_conductance
        wanted = "with the unit uS the conductances of code 0 and of the highest code are needed: [0.0, 25.0]"
        raise self._wrong("facts.range", f"{limits!r}, {wanted}")

    def _converters(self, name: str) -> Array:
        """Return offset, gain error and bow [3, columns] of the ADC of each column, from one for each ADC or column."""
        facts = self.machine
        adcs = converters(facts.columns, facts.multiplexing)
        found = np.zeros((len(ADC), facts.columns), np.int64)
        for n, field in enumerate(ADC):
            if name + field in self.arrays:
                errors = self._errors(name, field, (adcs,), (facts.columns,))
                per_column = len(errors) == facts.columns
                found[n] = errors if per_column else np.repeat(errors, facts.multiplexing)[: facts.columns]
        return found

    def _errors(self, name: str, field: str, *shapes: tuple[int, ...]) -> Array:
        """Return the distances of converters from the perfect value as integers."""
        (bits, perfect, reach), values = CONVERTERS[field], self._numbers(name + field, *shapes)
        for place in np.argwhere(np.abs(values - perfect) > reach)[:1]:
            possible = f"{perfect - reach:g} to {perfect + reach:g} is possible"
            raise self._wrong(name + field, f"{values[tuple(place)]:.4g} at {_at(place)}, {possible}")
        return np.rint((values - perfect) * (1 << bits)).astype(np.int64)

    def _whole(self, field: str, shape: tuple[int, ...], highest: int) -> Array:
        """Return whole numbers from 0 to `highest`."""
        values = self._of_shape(field, shape)
        if (values != np.floor(values)).any() or (values.size and not 0 <= values.min() <= values.max() <= highest):
            raise self._wrong(
                field, f"{values.min():g} to {values.max():g}, whole numbers from 0 to {highest} are needed"
            )
        return values

    def _of_shape(self, field: str, shape: tuple[int, ...]) -> Array:
        """Return numbers of a shape; of [pairs, 2, rows, columns] the axis of a single pair may be left out."""
        alone = len(shape) == 4 and shape[0] == 1
        return self._numbers(field, shape, shape[1:] if alone else shape).reshape(shape)

    def _numbers(self, field: str, *shapes: tuple[int, ...]) -> Array:
        """Return finite numbers of one of the shapes, as doubles."""
        values = self._array(field)
        if values.dtype.kind not in "biuf":
            raise self._wrong(field, f"of type {values.dtype}, numbers are needed")
        if values.shape not in shapes:
            wanted = " or ".join(dict.fromkeys(map(str, shapes)))
            raise self._wrong(field, f"of shape {values.shape}, {wanted} is needed")
        real = values.astype(np.float64)
        for place in np.argwhere(~np.isfinite(real))[:1]:
            raise self._wrong(
                field, f"{real[tuple(place)]} at {_at(place)}, a number is needed", "read the device again"
            )
        return real

    def _array(self, field: str) -> Array:
        if field not in self.arrays:
            raise fail("CIM0214", f"{self.path} has no array {field!r}", hint=SEE_LAYOUT)
        return self.arrays[field]

    def _wrong(self, field: str, found: str, hint: str = SEE_LAYOUT) -> DiagnosticError:
        return fail("CIM0214", f"{self.path}: {field} is {found}", hint=hint)


def _at(place: Sequence[int] | Array) -> str:
    return f"[{', '.join(str(int(one)) for one in place)}]"
