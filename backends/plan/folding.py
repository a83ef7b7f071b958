"""Turns of a loop folded into one: what they have in common, and how what differs moves on from turn to turn."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from itertools import pairwise
from typing import Any

import numpy as np

from cimc.backends.plan.moving import STILL, Moving
from cimc.backends.plan.read_noise import Address
from cimc.backends.plan.state import Effect
from cimc.backends.plan.steps import Step, Turns
from cimc.isa.streams import StreamState

COMPARED = 3
"""Turns that are compared. A stream that the body defines at its end may lie elsewhere in the first turn than in all
others: two turns would show a step where there is none."""


class Unlike(Exception):
    """The turns differ by more than even steps."""


@dataclass(frozen=True)
class Folding:
    """Folds a loop of `count` turns, with `depth` loops around it, over memories of these sizes in bytes."""

    depth: int
    count: int
    sizes: Mapping[str, int]

    def body(self, turns: Sequence[Sequence[Step | Turns]]) -> tuple[Step | Turns, ...] | None:
        """Return the first of some neighbouring turns as all turns do it, None where they do not move on evenly.

        Every stream lies in its memory in all turns of the loop: addresses are linear in between.
        """
        try:
            body: tuple[Step | Turns, ...] = self._common([tuple(turn) for turn in turns])
        except Unlike:
            return None
        return body

    def _common(self, parts: Sequence[Any]) -> Any:
        """Return what the same part of a step is in every turn."""
        _require(len({type(part) for part in parts}) == 1)
        match parts[0]:
            case StreamState():
                return self._stream(parts)
            case Address():
                return self._address(parts)
            case Effect(is_planned=True):
                raise Unlike  # what a calibration finds while planning holds for the turn that was walked
            case np.ndarray():
                _require(all(part is parts[0] or np.array_equal(part, parts[0]) for part in parts))
                return parts[0]
            case tuple():
                return self._tuple(parts)
            case first if is_dataclass(first):
                return self._fields(parts)
        _require(all(part == parts[0] for part in parts))
        return parts[0]

    def _tuple(self, parts: Sequence[Any]) -> Any:
        first = parts[0]
        _require(len({len(part) for part in parts}) == 1)
        common = [self._common(part) for part in zip(*parts, strict=True)]
        return first if all(new is old for new, old in zip(common, first, strict=True)) else tuple(common)

    def _fields(self, parts: Sequence[Any]) -> Any:
        first = parts[0]
        common = {f.name: self._common([getattr(part, f.name) for part in parts]) for f in fields(first)}
        changed = {name: value for name, value in common.items() if value is not getattr(first, name)}
        return replace(first, **changed) if changed else first

    def _stream(self, parts: Sequence[Any]) -> Any:
        first = parts[0]
        _require(all(replace(part, base=first.base) == first for part in parts))
        step = _step([part.base for part in parts])
        return self._moving(first, step) if step else first

    def _moving(self, first: StreamState, step: int) -> Moving:
        """Return a stream that moves on by a step in each turn, where it stays within its memory."""
        low, high = first.reach if isinstance(first, Moving) else (0, 0)
        most = step * (self.count - 1)
        plain = {f.name: getattr(first, f.name) for f in fields(StreamState)}
        moving = Moving(**plain, steps=self._steps(first, step), reach=(low + min(most, 0), high + max(most, 0)))
        start, end = moving.extent()
        _require(start >= 0 and end <= self.sizes[first.space])
        return moving

    def _address(self, parts: Sequence[Any]) -> Any:
        first = parts[0]
        _require(all(replace(part, occurrence=first.occurrence) == first for part in parts))
        step = _step([part.occurrence for part in parts])
        return replace(first, steps=self._steps(first, step)) if step else first

    def _steps(self, first: object, step: int) -> tuple[int, ...]:
        """Return the steps of all depths: those of loops inside are known."""
        steps = list(getattr(first, "steps", STILL))
        steps[self.depth] = step
        return tuple(steps)


def _step(places: Sequence[int]) -> int:
    """Return by how much each place lies behind the one before."""
    step, *others = (b - a for a, b in pairwise(places))
    _require(all(other == step for other in others))
    return step


def _require(condition: bool) -> None:
    if not condition:
        raise Unlike
