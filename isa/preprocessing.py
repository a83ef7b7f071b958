"""Preprocessing: how raw data become the real values that an input takes. It is part of an input's port."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from cimc.isa.errors import IsaError


@dataclass(frozen=True)
class Preprocessing:
    """Real value = float32((((x + offset) * scale) - mean) / std), in double with one rounding at the end.

    `mean` and `std` have one number for all values of a sample, or one for each channel; both are empty where nothing
    is normalised.
    """

    offset: float = 0.0
    scale: float = 1.0
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()

    def __str__(self) -> str:
        shifted = "x" if self.offset == 0.0 else f"(x {'-' if self.offset < 0 else '+'} {abs(self.offset):g})"
        scaled = shifted if self.scale == 1.0 else f"{shifted} * {self.scale:g}"
        return f"({scaled} - {_listed(self.mean)}) / {_listed(self.std)}" if self.mean else scaled

    def facts(self) -> dict[str, Any]:
        """Return the members that are not as in `Preprocessing()`, JSON-able."""
        usual = Preprocessing()
        return {name: value for name, value in asdict(self).items() if value != getattr(usual, name)}

    @staticmethod
    def of(facts: Any) -> "Preprocessing":
        """Return what `facts` gave. Raises IsaError CIM0425 where a member is unknown or no number."""
        names = [field.name for field in fields(Preprocessing)]
        if not isinstance(facts, Mapping) or not set(facts) <= set(names):
            raise IsaError("CIM0425", f"preprocessing {facts!r:.80} has other members than {', '.join(names)}")
        lists = {name: tuple(facts[name]) for name in ("mean", "std") if isinstance(facts.get(name), list)}
        return Preprocessing(**{**facts, **lists})


def channel_axis(count: int, shape: tuple[int, ...]) -> int | None:
    """Return the axis of a sample that has one of `count` numbers for each entry: the first or the last; else None.

    Where both are so long there is no telling, and it is None as well.
    """
    ends = {axis % len(shape) for axis in (0, -1) if shape and shape[axis] == count}
    return ends.pop() if len(ends) == 1 else None


def fault_of(steps: Any, shape: tuple[int, ...]) -> str:
    """Return what is wrong with the preprocessing of an input of this per-sample shape, "" where nothing is."""
    if steps is None:
        return ""
    if not _is_number(steps.offset) or not _is_number(steps.scale) or steps.scale == 0.0:
        return f"offset {steps.offset!r} and scale {steps.scale!r} are not a finite number and one that is not zero"
    if not all(isinstance(part, tuple) and all(map(_is_number, part)) for part in (steps.mean, steps.std)):
        return "mean and std are not lists of finite numbers"
    if len(steps.mean) != len(steps.std):
        return f"mean has {len(steps.mean)} numbers, std {len(steps.std)}"
    if 0.0 in steps.std:
        return "std has a zero, by which nothing can be divided"
    if len(steps.mean) > 1 and channel_axis(len(steps.mean), shape) is None:
        return f"mean has {len(steps.mean)} numbers, no single end of the shape {shape} has so many channels"
    return ""


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _listed(values: tuple[float, ...]) -> str:
    shown = ", ".join(f"{value:g}" for value in values)
    return shown if len(values) == 1 else f"[{shown}]"
