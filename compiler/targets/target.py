"""A target: one chip's constants, read from TOML and held to the schema."""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from cimc.diagnostics import Diagnostic, DiagnosticError, fail
from cimc.isa.limits import CodeRange, code_range, converters, full_conductance
from cimc.isa.names import did_you_mean
from cimc.tagged import TaggedText
from cimc.targets.schema import CONSTANTS, misfits, stated_values
from cimc.targets.texts import PRICED_ONLY, chip_tables, chip_text

FOLDER = Path(__file__).parent
DEFAULT_TARGET = "aon-cim"
"""What is compiled for where no target is named."""


@dataclass(frozen=True)
class Target:
    """A chip. `constants` maps section.key to its value, `sources` to its tag (schema.CONSTANTS has the units)."""

    name: str
    summary: str
    constants: Mapping[str, Any]
    sources: Mapping[str, str]
    bounds: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """Lowest and highest value of the constants that state them."""
    tiles_a_chip: int | None = None
    """Tiles of one chip, where `with_tiles` put another number in its place; programs do not carry this."""

    def with_constants(self, changes: Mapping[str, Any]) -> "Target":
        """Return the target with other values of some constants, derived ones, without bounds of their own."""
        problems = [f"{key}: {problem}" for key, value in changes.items() if (problem := CONSTANTS[key].problem(value))]
        merged = {**self.constants, **changes}
        problems += [] if problems else misfits(merged)
        if problems:
            raise DiagnosticError([Diagnostic("CIM0301", problem) for problem in problems])
        return replace(
            self,
            name=",".join([self.name, *(f"{key}={_shown(value).strip(chr(34))}" for key, value in changes.items())]),
            constants={key: merged[key] for key in CONSTANTS if key in merged},
            sources={**self.sources, **dict.fromkeys(changes, "derived")},
            bounds={key: pair for key, pair in self.bounds.items() if key not in changes},
        )

    def with_tiles(self, tiles: int | None) -> "Target":
        """Return the target with another number of tiles, None for as many as needed: several chips taken as one."""
        found = self.with_constants({"array.tiles": "unbounded" if tiles is None else tiles})
        return replace(found, name=self.name, tiles_a_chip=self.tiles_a_chip or self.tiles)

    @property
    def tiles(self) -> int | None:
        """Number of tiles, or None where there are as many as needed."""
        return None if self.constants["array.tiles"] == "unbounded" else int(self.constants["array.tiles"])

    @property
    def rows(self) -> int:
        return int(self.constants["array.rows"])

    @property
    def columns(self) -> int:
        return int(self.constants["array.columns"])

    @property
    def full_conductance(self) -> int:
        """The largest conductance target, in units of 2^-fraction_bits levels."""
        return full_conductance(self.constants["array.levels"], self.constants["array.fraction_bits"])

    @property
    def dac_range(self) -> CodeRange:
        """The codes that the array can be driven with."""
        return code_range(self.constants["dac.bits"], self.constants["dac.codes"])

    def drives(self, low: int, high: int) -> bool:
        """Return whether the array can be driven with all codes low..high."""
        return self.dac_range.low <= low and high <= self.dac_range.high

    @property
    def adc_range(self) -> CodeRange:
        """The codes of the ADC."""
        return code_range(self.constants["adc.bits"], self.constants["adc.codes"])

    @property
    def converters(self) -> int:
        """ADCs of a tile."""
        return converters(self.columns, int(self.constants["adc.multiplexing"]))

    @property
    def activation_bytes(self) -> int:
        return int(self.constants["memory.activation_bytes"])

    @property
    def constant_bytes(self) -> int:
        return int(self.constants["memory.constant_bytes"])

    def sections(self) -> dict[str, Any]:
        """Return the nested plain values that a program embeds, with the tags beside them."""
        result: dict[str, Any] = {"name": self.name, "summary": self.summary, "sources": dict(self.sources)}
        for key, value in self.constants.items():
            section, _, name = key.rpartition(".")
            (result.setdefault(section, {}) if section else result)[name] = value
        return result | ({"bounds": {key: list(pair) for key, pair in self.bounds.items()}} if self.bounds else {})

    def render(self) -> str:
        """Return the target as a TOML text that `load_target` reads back."""
        lines = [f"name = {_quoted(self.name)}", f"summary = {_quoted(self.summary)}"]
        section = ""
        for key, value in self.constants.items():
            head, _, name = key.rpartition(".")
            if head != section:
                lines += ["", f"[{head}]"]
                section = head
            low_high = "low = {}, high = {}, ".format(*self.bounds[key]) if key in self.bounds else ""
            tags = f'unit = "{CONSTANTS[key].unit}", source = "{self.sources[key]}"'
            lines.append(f"{name} = {{ value = {_shown(value)}, {low_high}{tags} }}")
        return "\n".join(lines) + "\n"


def _shown(value: Any) -> str:
    """Return a constant's value as TOML writes it."""
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else str(value)


def _quoted(string: str) -> str:
    """Return a TOML basic string, which escapes as JSON does."""
    return json.dumps(string, ensure_ascii=False).replace("\x7f", "\\u007f")


def built_in_names() -> list[str]:
    """Return the names of the built-in targets, variants included."""
    names = []
    for path in sorted(FOLDER.glob("*.toml")):
        names.append(path.stem)
        names += [f"{path.stem}-{variant}" for variant in chip_tables(path.read_text(), path.name).get("variants", {})]
    return names


def load_target(name: str) -> Target:
    """Return a built-in target by name, or one from a .toml file by path, with constants changed where any are.

    `aon-cim,array.rows=512` is another target of that name. Raises CimcError CIM0301 or CIM0302.
    """
    base, *changes = name.split(",")
    target = _unchanged(base)
    return target.with_constants(dict(map(_change, changes))) if changes else target


def _change(text: str) -> tuple[str, Any]:
    """Return path and value of a change, KEY=VALUE: a whole number, a number, true or false, or a word."""
    key, equals, value = text.partition("=")
    if not equals or key not in CONSTANTS:
        hint = did_you_mean(key, CONSTANTS, "`cimc target show aon-cim` lists the constants of a target")
        raise fail("CIM0301", f"{text!r} does not change a constant of a target", hint=hint)
    for kind in (int, float):
        with suppress(ValueError):
            return key, kind(value)
    return key, {"true": True, "false": False}.get(value, value)


def _unchanged(name: str) -> Target:
    if name.endswith(".toml"):
        return parse_target(chip_text(name), name)
    if name not in built_in_names():
        hint = did_you_mean(name, built_in_names(), f"known targets: {', '.join(built_in_names())}")
        raise fail("CIM0302", f"there is no target named {name!r}", hint=hint)
    path = FOLDER / f"{name}.toml"
    if path.exists():
        return parse_target(path.read_text(), path.name)
    base, _, variant = name.rpartition("-")
    return parse_target((FOLDER / f"{base}.toml").read_text(), f"{base}.toml", variant)


def parse_target(source: str, file: str, variant: str = "") -> Target:
    """Return the target of a TOML text, one of its variants applied. Raises CimcError CIM0301 with every problem."""
    data = chip_tables(source, file)
    _require_compiled(data.pop("kind", None), file)
    variants = data.pop("variants", {})
    if not isinstance(variants, dict) or not all(isinstance(one, dict) for one in variants.values()):
        raise fail("CIM0301", f"{file}: variants is {variants!r}, a table of tables is needed")
    text = TaggedText(data)
    if variant:
        text.name = f"{text.name}-{variant}"
        text.amend(variants[variant])
    values = stated_values(text, CONSTANTS)
    bounds = {key: pair for key in values if (pair := text.bounds(key))}
    text.check_names("target", CONSTANTS)
    text.problems += [] if text.problems else _untimed(values, TaggedText(variants.get(variant, {})).entries)
    text.problems += misfits(values)
    if text.problems:
        raise DiagnosticError([Diagnostic("CIM0301", f"{file}: {problem}") for problem in text.problems])
    return Target(text.name, text.summary, values, {key: text.entries[key]["source"] for key in values}, bounds)


def _untimed(values: Mapping[str, Any], variant: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with a variant of other input codes that does not say how long their phase is."""
    if "dac.bits" not in variant or "timing.phase" in variant or not values.get("timing.phase"):
        return []
    bits = values["dac.bits"]
    return [f"timing.phase is that of other input codes: a variant of dac.bits = {bits} states its own"]


def target_of(sections: Mapping[str, Any]) -> Target:
    """Return the target that a program embeds (the inverse of Target.sections). Raises KeyError, CimcError CIM0301."""
    values: dict[str, Any] = {}
    for key in CONSTANTS:
        section, _, name = key.rpartition(".")
        within = sections.get(section, {}) if CONSTANTS[key].optional else sections[section] if section else sections
        if name in within or not CONSTANTS[key].optional:
            values[key] = within[name]
    problems = [f"{key}: {problem}" for key, value in values.items() if (problem := CONSTANTS[key].problem(value))]
    problems += misfits(values)
    if problems:
        raise DiagnosticError(
            [Diagnostic("CIM0301", f"the target inside the program: {problem}") for problem in problems]
        )
    bounds = {key: (low, high) for key, (low, high) in sections.get("bounds", {}).items()}
    return Target(sections["name"], sections["summary"], values, dict(sections["sources"]), bounds)


def _require_compiled(kind: object, file: str) -> None:
    """Raise CimcError CIM0301 where a chip is of the kind that has prices alone, or of one that there is not."""
    if kind == PRICED_ONLY:
        message = f'{file} has kind = "{PRICED_ONLY}": it is priced, and nothing compiles for it'
        raise fail("CIM0301", message, hint=f"`cimc cost --peak {file}` tells its peak")
    if kind is not None:
        message = f'{file}: kind is {kind!r}, there is only "{PRICED_ONLY}", of chips that are priced alone'
        raise fail("CIM0301", message, hint="leave kind out for a chip to compile for")
