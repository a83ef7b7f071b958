"""The file of a sweep: models with their data, and the lists whose products are tried."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import product
from math import prod
from pathlib import Path
from typing import Any

from cimc.backends.noise.table import DEFAULTS
from cimc.diagnostics import fail
from cimc.driving.durations import seconds
from cimc.driving.feeding import EVERY, Values
from cimc.isa.budgets import require
from cimc.isa.documents import toml_value
from cimc.isa.names import did_you_mean
from cimc.isa.opening import named, read_regular
from cimc.passes.pipeline import DEFAULT, with_options
from cimc.targets import DEFAULT_TARGET
from cimc.targets.schema import CONSTANTS

COMPENSATIONS = ("none", "block", "column", "refit")
METRICS = ("accuracy", "mse")
NO_NOISE = "none"


@dataclass(frozen=True)
class Subject:
    """A model, the inputs its ranges come from (`refit_samples` of them are what refit reads), and labelled data."""

    name: str
    file: Path
    calib: Path
    data: Path
    preprocessing: Mapping[str, Values] = field(default_factory=dict, hash=False)
    limit: int | None = None
    refit_samples: int = 64
    metric: str = "accuracy"


@dataclass(frozen=True)
class Build:
    """One program of the grid: a subject compiled for a target with some options of passes changed."""

    subject: Subject
    target: str
    passes: str

    @property
    def pipeline(self) -> str:
        return with_options(DEFAULT, self.passes)

    def __str__(self) -> str:
        return " ".join(filter(None, (self.subject.name, self.target, self.passes)))


@dataclass(frozen=True)
class Trial:
    """One chip with one program: scored at every time. Without noise there is one chip and no time.

    Of a measured chip, `noise` is its file.
    """

    build: Build
    noise: str
    sources: str
    compensation: str
    seed: int
    times: tuple[str, ...]
    measured: bool = False

    def __str__(self) -> str:
        return f"{self.build}{self._chip}, compensation {self.compensation}"

    @property
    def _chip(self) -> str:
        if self.measured:
            return f" on {self.noise}"
        return "" if self.noise == NO_NOISE else f" on chip {self.seed} of {self.noise}"


@dataclass(frozen=True)
class Grid:
    """A whole sweep; the trials come in the order of the file, chips last."""

    subjects: tuple[Subject, ...]
    targets: tuple[str, ...] = (DEFAULT_TARGET,)
    passes: tuple[str, ...] = ("",)
    noise: tuple[str, ...] = ("pcm",)
    chips: tuple[Path, ...] = ()
    sources: tuple[str, ...] = (",".join(DEFAULTS),)
    times: tuple[str, ...] = ("1d",)
    compensation: tuple[str, ...] = ("column",)
    seeds: int = 20
    first_seed: int = 0

    def builds(self) -> list[Build]:
        return [Build(*point) for point in product(self.subjects, self.targets, self.passes)]

    @property
    def most_trials(self) -> int:
        """Return a bound of the number of trials, found without listing one."""
        every = prod(map(len, (self.subjects, self.targets, self.passes, self.compensation)))
        return every * (len(self.noise) * len(self.sources) * max(self.seeds, 1) + len(self.chips))

    def trials(self) -> Iterator[Trial]:
        """Yield every chip of every point."""
        for build in self.builds():
            if NO_NOISE in self.noise:
                yield Trial(build, NO_NOISE, "", "none", 0, ("0s",))
            noisy = [noise for noise in self.noise if noise != NO_NOISE]
            for noise, sources, compensation in product(noisy, self.sources, self.compensation):
                for seed in range(self.first_seed, self.first_seed + self.seeds):
                    yield Trial(build, noise, sources, compensation, seed, self.times)
            for chip, compensation in product(self.chips, self.compensation):
                yield Trial(build, str(chip), "", compensation, 0, self.times, measured=True)


TEXTS, COUNT, NUMBER, TEXT = "a text or a list of texts", "a whole number", "a number", "a text"
NUMBERS = "a number or a list of numbers"

MODEL_KEYS: Mapping[str, str] = {
    "name": TEXT,
    "file": TEXT,
    "calib": TEXT,
    "data": TEXT,
    "offset": NUMBER,
    "scale": NUMBER,
    "mean": NUMBERS,
    "std": NUMBERS,
    "limit": COUNT,
    "refit_samples": COUNT,
    "metric": TEXT,
}
SECTIONS = {key.partition(".")[0] for key in CONSTANTS if "." in key}
"""Sections of a target: `array.rows = [256, 512]` in a grid is an axis of its own."""
GRID_KEYS: Mapping[str, str] = {
    "target": TEXTS,
    "passes": TEXTS,
    "noise": TEXTS,
    "chip": TEXTS,
    "sources": TEXTS,
    "time": TEXTS,
    "compensation": TEXTS,
    "seeds": COUNT,
    "first_seed": COUNT,
}


def read_grid(path: Path) -> Grid:
    """Return the sweep of a TOML file; paths in it start at its folder. Raises CimcError CIM0001, CIM0003, CIM0206."""
    try:
        facts = toml_value(read_regular(path, "toml_bytes").decode(), str(path))
    except OSError as error:
        raise fail("CIM0001", f"cannot read {path}: {error.strerror or error}") from None
    except ValueError as error:
        raise _unusable(path, f"it is not TOML: {error}") from None
    _require_keys(path, "the file", facts, {"model": "", "grid": ""})
    models = facts.get("model")
    if not isinstance(models, list) or not models or not all(isinstance(model, dict) for model in models):
        raise _unusable(path, "it has no [[model]]")
    subjects = tuple(_subject(path, index, model) for index, model in enumerate(models))
    names = [subject.name for subject in subjects]
    if len(set(names)) < len(names):
        raise _unusable(path, f"two models have the same name: {', '.join(names)}")
    grid = facts.get("grid", {})
    if not isinstance(grid, dict):
        raise _unusable(path, "grid is not a table")
    return _grid(path, subjects, grid)


def _subject(path: Path, index: int, facts: Mapping[str, Any]) -> Subject:
    place = f"[[model]] {index + 1}"
    _require_keys(path, place, facts, MODEL_KEYS)
    for key in ("file", "calib", "data"):
        if key not in facts:
            raise _unusable(path, f"{place}: {key} is missing")
    values = {key: _value(path, f"{place}, {key}", facts[key], MODEL_KEYS[key]) for key in facts}
    files = {key: _file(path, f"{place}, {key}", values.pop(key)) for key in ("file", "calib", "data")}
    steps = {key: values.pop(key) for key in ("offset", "scale", "mean", "std") if key in values}
    metric = values.get("metric", "accuracy")
    if metric not in METRICS:
        raise _unusable(path, f"{place}: metric is {metric!r}, known are {', '.join(METRICS)}")
    if values.get("limit") == 0:
        raise _unusable(path, f"{place}: limit is 0, at least one sample is needed")
    stated = {EVERY: steps} if steps else {}
    return Subject(**{"name": files["file"].stem, **values, **files, "preprocessing": stated})


def _grid(path: Path, subjects: tuple[Subject, ...], facts: Mapping[str, Any]) -> Grid:
    axes = dict(_axes(path, facts))
    facts = {key: value for key, value in facts.items() if key not in SECTIONS}
    _require_keys(path, "[grid]", facts, GRID_KEYS)
    values = {key: _value(path, f"[grid] {key}", facts[key], GRID_KEYS[key]) for key in facts}
    if "target" in values:
        values["targets"] = tuple(_source(path, "target", name) for name in values.pop("target"))
    if axes:
        values["targets"] = tuple(_with_constants(values.get("targets", Grid.targets), axes))
    if "noise" in values:
        values["noise"] = tuple(_source(path, "noise", name) for name in values["noise"])
    if "chip" in values:
        values = {"noise": (), **values}
        values["chips"] = tuple(_file(path, "[grid] chip", name) for name in values.pop("chip"))
    if "time" in values:
        values["times"] = values.pop("time")
    grid = Grid(subjects, **values)
    require("trials", grid.most_trials, f"the trials of {path}")
    for time in grid.times:
        seconds(time, f"{path}: [grid] time")
    for name in grid.compensation:
        if name not in COMPENSATIONS:
            raise _unusable(path, f"[grid] compensation: {name!r}, known are {', '.join(COMPENSATIONS)}")
    for text in grid.passes:
        with_options(DEFAULT, text)
    return grid


def _axes(path: Path, facts: Mapping[str, Any]) -> Iterator[tuple[str, list[Any]]]:
    """Yield the constants of targets that the grid has values for, section.key, each with its values."""
    for section in (key for key in facts if key in SECTIONS):
        entries = facts[section] if isinstance(facts[section], dict) else {"": None}
        for name, values in entries.items():
            key = f"{section}.{name}"
            if key not in CONSTANTS:
                raise _unusable(path, f"[grid] {key} is no constant of a target")
            listed = values if isinstance(values, list) else [values]
            for problem in filter(None, map(CONSTANTS[key].problem, listed)):
                raise _unusable(path, f"[grid] {key}: {problem}")
            yield key, listed


def _with_constants(targets: Sequence[str], axes: Mapping[str, Sequence[Any]]) -> Iterator[str]:
    """Yield every target with every choice of values, as `load_target` reads it."""
    for target, *values in product(targets, *axes.values()):
        yield ",".join([target, *(f"{key}={_word(value)}" for key, value in zip(axes, values, strict=True))])


def _word(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _file(path: Path, place: str, name: str) -> Path:
    """Return a file that the sweep names, as `isa.opening` allows it, seen from the sweep's folder."""
    try:
        named(path.parent, name)
    except (OSError, ValueError) as error:
        raise _unusable(path, f"{place} is {name!r}: {getattr(error, 'strerror', None) or error}") from None
    return path.parent / name


def _source(path: Path, key: str, name: str) -> str:
    """Return the name of a built-in target or profile, or its file as seen from the sweep's folder."""
    file, *changes = name.split(",")
    return ",".join([str(_file(path, f"[grid] {key}", file)), *changes]) if file.endswith(".toml") else name


def _texts(value: Any) -> tuple[str, ...] | None:
    values = [value] if isinstance(value, str) else value
    return (
        tuple(values) if isinstance(values, list) and values and all(isinstance(one, str) for one in values) else None
    )


def _numbers(value: Any) -> tuple[float, ...] | None:
    values = value if isinstance(value, list) else [value]
    return tuple(map(float, values)) if all(_number(one, (int, float)) is not None for one in values) else None


def _number(value: Any, kinds: type | tuple[type, ...]) -> Any:
    return value if isinstance(value, kinds) and not isinstance(value, bool) else None


READERS: Mapping[str, Callable[[Any], Any]] = {
    TEXTS: _texts,
    TEXT: lambda value: value if isinstance(value, str) else None,
    COUNT: lambda value: _number(value, int) if _number(value, int) is not None and value >= 0 else None,
    NUMBER: lambda value: None if _number(value, (int, float)) is None else float(value),
    NUMBERS: _numbers,
}


def _value(path: Path, place: str, value: Any, wanted: str) -> Any:
    found = READERS[wanted](value)
    if found is None:
        raise _unusable(path, f"{place} is {value!r}, wanted {wanted}")
    return found


def _require_keys(path: Path, place: str, facts: Mapping[str, Any], known: Mapping[str, str]) -> None:
    for key in facts:
        if key not in known:
            hint = did_you_mean(key, known, f"known: {', '.join(known)}")
            raise fail("CIM0206", f"{path}: {place} has no {key!r}", hint=hint)


def _unusable(path: Path, sentence: str) -> Exception:
    return fail("CIM0206", f"{path}: {sentence}", hint="docs/sweeps.md shows a whole file")
