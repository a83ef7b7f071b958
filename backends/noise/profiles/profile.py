"""A noise profile: one technology's statistics, read from TOML and held to the schema."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from cimc.backends.machine.traps import Refusal
from cimc.backends.noise.profiles.curve import FORMS, Curve, Piece, constant
from cimc.backends.noise.profiles.schema import CHOICES, CURVES, PIECE, REDRAWS, SCALARS
from cimc.backends.noise.table import RANGE
from cimc.isa.documents import toml_value
from cimc.isa.names import did_you_mean
from cimc.isa.opening import read_regular
from cimc.tagged import TaggedText

Change = Decimal | str
"""What a constant is set to: a number, or a choice."""
FOLDER = Path(__file__).parent
NOTHING = constant("1", Decimal(0))
LARGEST_COEFFICIENT, LARGEST_EXPONENT = Decimal("1e9"), Decimal(100)
"""Magnitudes beyond which a coefficient, or the power in one, is no physics."""


@dataclass(frozen=True)
class Profile:
    """Constants by section.key: numbers, choices, curves over conductance, and (seconds, curve) of every redraw."""

    name: str
    summary: str
    numbers: Mapping[str, Decimal] = field(hash=False)
    choices: Mapping[str, str] = field(hash=False)
    curves: Mapping[str, Curve] = field(hash=False)
    redraws: tuple[tuple[int, Curve], ...] = field(hash=False)

    def curve(self, key: str) -> Curve:
        """Return a curve, 0 everywhere where the profile has none."""
        return self.curves.get(key, NOTHING)

    def with_numbers(self, **changes: Decimal) -> "Profile":
        """Return the profile with other numbers; programming__scale stands for programming.scale."""
        named = {key.replace("__", "."): value for key, value in changes.items()}
        return Profile(self.name, self.summary, {**self.numbers, **named}, self.choices, self.curves, self.redraws)

    def silent(self) -> "Profile":
        """Return the profile with every scale and every converter error at 0: its machine computes exactly."""
        kept = ("device.", "drift.start", "read.duration")
        zero = {key.replace(".", "__"): Decimal(0) for key in self.numbers if not key.startswith(kept)}
        return self.with_numbers(**zero)


def built_in_names() -> list[str]:
    """Return the names of the built-in profiles."""
    return sorted(path.stem for path in FOLDER.glob("*.toml"))


def load_profile(text: str) -> Profile:
    """Return a profile by NAME or FILE.toml, then any changes: `pcm,programming.scale=2,read.time=correlated`.

    Raises Refusal CIM0530 or CIM0531.
    """
    name, *changes = text.split(",")
    return parse_profile(profile_text(name), name, dict(_change(change) for change in changes))


def profile_text(name: str) -> str:
    """Return the TOML text of a profile by NAME or FILE.toml. Raises Refusal CIM0530 or CIM0531."""
    if name in built_in_names():
        return (FOLDER / f"{name}.toml").read_text()
    if not name.endswith(".toml"):
        hint = did_you_mean(name, built_in_names(), f"known profiles: {', '.join(built_in_names())}")
        raise Refusal("CIM0531", f"there is no noise profile named {name!r}", hint)
    try:
        return read_regular(name, "toml_bytes").decode()
    except OSError as error:
        reason = error.strerror or error
        raise Refusal(
            "CIM0531", f"cannot read the noise profile {name}: {reason}", "check the path and its permissions"
        ) from None
    except UnicodeDecodeError:
        raise Refusal("CIM0530", f"{name} is not UTF-8 text") from None


def _change(text: str) -> tuple[str, Change]:
    key, equals, value = text.partition("=")
    if equals and key in CHOICES:
        return key, value
    if equals and (key in SCALARS or key in CURVES):
        try:
            number = Decimal(value)
        except ArithmeticError:
            raise Refusal("CIM0531", f"{key} is to be {value!r}, a number is needed") from None
        if number.is_finite():
            return key, number
        raise Refusal("CIM0531", f"{key} is to be {value}, a finite number is needed")
    hint = did_you_mean(key, [*SCALARS, *CHOICES, *CURVES], "write NAME,section.key=value")
    raise Refusal("CIM0531", f"{text!r} changes no constant of a noise profile", hint)


def parse_profile(source: str, file: str, changes: Mapping[str, Change] | None = None) -> Profile:
    """Return the profile of a TOML text with some constants changed. Raises Refusal CIM0530 with every problem."""
    try:
        data = toml_value(source, file, Decimal)
    except (ValueError, ArithmeticError) as error:
        raise Refusal("CIM0530", f"{file}: {error}", "a noise profile is a TOML file") from None
    reader = _Reader(data)
    for key, value in (changes or {}).items():
        reader.change(key, value)
    profile = reader.profile()
    if reader.problems:
        raise Refusal("CIM0530", "; ".join(f"{file}: {problem}" for problem in reader.problems))
    return profile


class _Reader:
    """Reads the entries of a profile and collects every problem."""

    def __init__(self, data: Mapping[str, Any]) -> None:
        self.text = TaggedText(data)
        self.entries, self.problems = self.text.entries, self.text.problems

    def change(self, key: str, value: Change) -> None:
        """Set a number, a curve to one value everywhere, or a choice."""
        if key in CHOICES:
            self.entries[key] = value
            return
        unit = SCALARS[key].unit if key in SCALARS else self._unit(key)
        self.entries[key] = {"value": value, "unit": unit, "source": "unverified"}

    def _unit(self, key: str) -> str:
        old = self.entries.get(key)
        unit = old.get("unit") if isinstance(old, dict) else None
        return str(unit) if unit in CURVES[key] else CURVES[key][-1]

    def profile(self) -> Profile:
        """Return the profile; it holds only where `problems` stays empty."""
        self.text.check_names("profile", {*SCALARS, *CHOICES, *CURVES, REDRAWS})
        numbers = {key: self._number(key) for key in SCALARS}
        choices = {key: self._choice(key) for key in CHOICES}
        curves = {key: self._curve(key, self.entries[key], CURVES[key]) for key in CURVES if key in self.entries}
        self._relations(numbers, choices, curves)
        return Profile(self.text.name, self.text.summary, numbers, choices, curves, tuple(self._redraws()))

    def _relations(
        self, numbers: Mapping[str, Decimal], choices: Mapping[str, str], curves: Mapping[str, Curve]
    ) -> None:
        if numbers["device.highest"] <= numbers["device.lowest"]:
            self.problems.append("device.highest is not above device.lowest")
        if numbers["stuck.low"] + numbers["stuck.high"] > 1:
            self.problems.append("stuck.low and stuck.high are more than 1 together")
        for key in curves:
            self._require_positive(key, curves[key], numbers)
        for section in ("read", "cycle"):
            curve = curves.get(f"{section}.sigma")
            if curve and (curve.unit in RANGE) != (choices[f"{section}.kind"] == "absolute"):
                self.problems.append(
                    f"{section}.sigma has unit {curve.unit!r}, which is not {choices[f'{section}.kind']}"
                )

    def _require_positive(self, path: str, curve: Curve, numbers: Mapping[str, Decimal]) -> None:
        found = None if self.problems else curve.negative(numbers["device.lowest"], numbers["device.highest"])
        if found:
            piece, relative, value = found
            where = f"at the relative conductance {relative}"
            self.problems.append(f"{path}.pieces[{piece}]: {value:.4g} {where} is negative, 0 is the least")

    def _number(self, key: str) -> Decimal:
        schema = SCALARS[key]
        if schema.default is not None and key not in self.entries:
            return Decimal(schema.default)
        entry = self.text.entry(key)
        content = None if entry is None else self.text.content(key, entry, (schema.unit,))
        if content is None:
            return Decimal(key == "device.highest")
        number = self._decimal(key, content)
        if not Decimal(schema.low) <= number <= Decimal(schema.high):
            self.problems.append(f"{key}: {number} is outside {schema.low}..{schema.high}")
        return number

    def _choice(self, key: str) -> str:
        value = self.entries.get(key, CHOICES[key][0])
        if value not in CHOICES[key]:
            self.problems.append(f"{key}: {value!r} is not one of {', '.join(CHOICES[key])}")
        return str(value)

    def _curve(self, path: str, entry: Any, units: tuple[str, ...]) -> Curve:
        name = "value" if isinstance(entry, dict) and "value" in entry else "pieces"
        content = self.text.content(path, entry, units, name)
        if content is None:
            return NOTHING
        if name == "value":
            value = self._decimal(path, content)
            if value < 0:
                self.problems.append(f"{path}: {value} is negative, a spread is 0 or more")
            return constant(entry["unit"], value)
        if not isinstance(content, list) or not content:
            self.problems.append(f"{path} has no pieces")
            return NOTHING
        pieces = tuple(self._piece(f"{path}.pieces[{n}]", piece) for n, piece in enumerate(content))
        return Curve(entry["unit"], pieces) if self._in_order(path, pieces) else NOTHING

    def _in_order(self, path: str, pieces: Sequence[Piece]) -> bool:
        borders = [piece.below for piece in pieces]
        inner = [border for border in borders[:-1] if border is not None]
        if borders[-1] is None and len(inner) == len(borders) - 1 and inner == sorted(inner):
            return True
        self.problems.append(f"{path}: every piece but the last needs a `below`, in ascending order")
        return False

    def _piece(self, path: str, piece: Any) -> Piece:
        if not isinstance(piece, dict) or not isinstance(piece.get("coefficients"), list):
            self.problems.append(f"{path}: a piece is a table with a form and a list of coefficients")
            return NOTHING.pieces[0]
        self.problems += [f"{path} has no {name!r}" for name in piece if name not in PIECE]
        form, coefficients = str(piece.get("form", "")), self._decimals(f"{path}.coefficients", piece["coefficients"])
        low, high = self._clip(f"{path}.clip", piece.get("clip"))
        if form not in FORMS or FORMS[form][0] not in (None, len(coefficients)):
            self.problems.append(f"{path}: form {form!r} with {len(coefficients)} coefficients is not known")
            return NOTHING.pieces[0]
        self._require_possible(path, form, coefficients)
        below = self._decimal(f"{path}.below", piece["below"]) if "below" in piece else None
        return Piece(form, coefficients, below, low, high, piece.get("of") == "uS")

    def _require_possible(self, path: str, form: str, coefficients: Sequence[Decimal]) -> None:
        """Note coefficients that no device has: decimal arithmetic itself would take them."""
        for number, value in enumerate(coefficients):
            limit = LARGEST_EXPONENT if (form, number) == ("inverse-power", 1) else LARGEST_COEFFICIENT
            if value.copy_abs() > limit:
                self.problems.append(f"{path}.coefficients[{number}]: {value} is beyond {limit} in magnitude")
        if form == "inverse-power" and coefficients[2] <= 0:
            self.problems.append(f"{path}.coefficients[2]: {coefficients[2]} is what is divided by at least, above 0")

    def _clip(self, path: str, clip: Any) -> tuple[Decimal | None, Decimal | None]:
        if clip is None:
            return None, None
        if not isinstance(clip, list) or len(clip) != 2:
            self.problems.append(f"{path}: {clip!r} is not the lowest and the highest value")
            return None, None
        low, high = self._decimals(path, clip)
        if low > high:
            self.problems.append(f"{path}: the lowest value, {low}, is above the highest, {high}")
        return low, high

    def _redraws(self) -> Iterator[tuple[int, Curve]]:
        for n, entry in enumerate(self.entries.get(REDRAWS, [])):
            path, seconds = f"{REDRAWS}[{n}]", entry.get("seconds") if isinstance(entry, dict) else None
            if not isinstance(seconds, int) or seconds < 1:
                self.problems.append(f"{path}.seconds: {seconds!r} is not a time in whole seconds")
                continue
            yield seconds, self._curve(f"{path}.sigma", entry.get("sigma"), RANGE)

    def _decimals(self, path: str, values: Sequence[Any]) -> tuple[Decimal, ...]:
        return tuple(self._decimal(f"{path}[{n}]", value) for n, value in enumerate(values))

    def _decimal(self, path: str, value: Any) -> Decimal:
        if isinstance(value, bool) or not isinstance(value, (int, Decimal)) or not Decimal(value).is_finite():
            self.problems.append(f"{path}: {value!r} is not a number")
            return Decimal(0)
        return Decimal(value)
