"""Chips that are priced and never compiled for: what a product takes there, as prices times what it does."""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from cimc.diagnostics import Diagnostic, DiagnosticError, fail
from cimc.tagged import TaggedText
from cimc.targets.prices import Interval, constant, summed
from cimc.targets.schema import Constant, stated_values
from cimc.targets.texts import PRICED_ONLY, chip_tables, chip_text

FOLDER = Path(__file__).parent / "macros"

CONSTANTS: Mapping[str, Constant] = {
    "array.rows": Constant("rows", int, 1),
    "array.outputs": Constant("outputs a phase", int, 1),
    "array.macros": Constant("macros", int, 1),
    "array.settle": Constant("cycles", int, 0, optional=True),
    "array.steps": Constant("steps", int, 1, optional=True),
    "timing.phase": Constant("ns", float, optional=True),
    "timing.integrate": Constant("ns", float, optional=True),
    "timing.step": Constant("ns", float, optional=True),
    "timing.gap": Constant("ns", float, optional=True),
    "timing.clock": Constant("ns", float, optional=True),
    "energy.fixed": Constant("pJ", float, optional=True),
    "energy.row": Constant("pJ", float, optional=True),
    "energy.root": Constant("pJ", float, optional=True),
    "energy.integrate": Constant("pJ", float, optional=True),
    "energy.step": Constant("pJ", float, optional=True),
    "energy.input_bit": Constant("pJ", float, optional=True),
    "area.macro": Constant("mm2", float, optional=True),
}
"""Section.key -> constant. `timing` and `energy` are paid once for each of what a product does, by the same name."""

Done = Mapping[str, Fraction]
"""What a product does: how often each price is paid."""


@dataclass(frozen=True)
class Macro:
    """A chip by its constants, each with its tag, and bounds where it states them."""

    name: str
    summary: str
    constants: Mapping[str, Any]
    sources: Mapping[str, str]
    bounds: Mapping[str, tuple[float, float]]

    @property
    def operations(self) -> int:
        """Multiplications and additions of one product on one macro."""
        return 2 * int(self.constants["array.rows"] * self.constants["array.outputs"])

    def energy_pj(self, done: Done) -> Interval:
        """Return the energy of a product."""
        return self._spent("energy", done)

    def time_ns(self, done: Done) -> Interval:
        """Return the time of a product, nothing where none is published."""
        return self._spent("timing", done)

    def full(self) -> Done:
        """Return what a product does with every row driven, at the fewest bits, and a mean output of 0."""
        once = ("phase", "fixed", "integrate", "gap", "input_bit")
        steps = self.constants.get("array.steps", 0)
        return {
            **{name: Fraction(1) for name in once},
            "row": Fraction(self.constants["array.rows"]),
            "step": Fraction(steps),
            "clock": Fraction(self.constants.get("array.settle", 0) + steps),
        }

    @property
    def area_mm2(self) -> Interval | None:
        """The area of all macros, None where that of one is not known."""
        each = constant(self, "area.macro")
        return each.times(int(self.constants["array.macros"])) if each else None

    def _spent(self, section: str, done: Done) -> Interval:
        paid = ((constant(self, f"{section}.{name}"), count) for name, count in done.items())
        return summed(price.times(count) for price, count in paid if price)


def macro_names() -> list[str]:
    return [path.stem for path in sorted(FOLDER.glob("*.toml"))]


def is_macro(name: str) -> bool:
    """Return whether a name is that of a built-in macro, or a path to a file of one. Raises CIM0001, CIM0301."""
    if name.endswith(".toml"):
        return chip_tables(chip_text(name), name).get("kind") == PRICED_ONLY
    return name in macro_names()


def load_macro(name: str) -> Macro:
    """Return a built-in macro by name, or one from a .toml file by path.

    Raises CimcError CIM0301 with every problem, CIM0302 where there is none of that name.
    """
    if name.endswith(".toml"):
        return parse_macro(chip_text(name), name)
    if name not in macro_names():
        raise fail("CIM0302", f"there is no macro named {name!r}", hint=f"known macros: {', '.join(macro_names())}")
    return parse_macro((FOLDER / f"{name}.toml").read_text(), f"{name}.toml")


def parse_macro(source: str, file: str) -> Macro:
    """Return the macro of a TOML text. Raises CimcError CIM0301 with every problem."""
    data = chip_tables(source, file)
    kind = data.pop("kind", None)
    text = TaggedText(data)
    if kind != PRICED_ONLY:
        text.problems.append(f'kind is {kind!r}: a macro states kind = "{PRICED_ONLY}"')
    values = stated_values(text, CONSTANTS)
    bounds = {key: pair for key in values if (pair := text.bounds(key))}
    text.check_names("macro", CONSTANTS)
    text.problems += _uncounted(values)
    if text.problems:
        raise DiagnosticError([Diagnostic("CIM0301", f"{file}: {problem}") for problem in text.problems])
    return Macro(text.name, text.summary, values, {key: text.entries[key]["source"] for key in values}, bounds)


def _uncounted(values: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with prices of steps and cycles of which nobody says how many a product has."""
    if "array.steps" in values:
        return []
    each = (key for key in ("timing.step", "timing.clock", "energy.step") if key in values)
    return [f"{key} is paid for each step of a conversion: state array.steps" for key in each]
