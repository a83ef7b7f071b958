"""The room that a chip takes: its tiles, as wholes or by what they are made of, and what stands beside them."""

from collections.abc import Mapping
from fractions import Fraction

from cimc.targets.prices import Interval, constant, summed
from cimc.targets.schema import CONSTANTS
from cimc.targets.target import Target

MM2 = {"mm2": Fraction(1), "um2": Fraction(1, 10**6)}
"""mm2 in one of a unit of area."""
AREAS: Mapping[str, str] = {
    "tiles": "area.tile",
    "cells": "area.cell",
    "adcs": "area.adc",
    "rows": "area.row",
    "memory": "area.byte",
    "digital": "area.digital",
}
"""Part of a chip -> the area of one of what it is made of."""


def areas(target: Target) -> Mapping[str, Interval | None]:
    """Return the mm2 of each part of a chip, None where it is not known; of no part where tiles have no number."""
    counts = _counts(target)
    return {part: _taken(target, key, counts[part]) if counts else None for part, key in AREAS.items()}


def area(target: Target) -> Interval | None:
    """Return the mm2 of all parts whose area is known, None where there are none."""
    known = [one for one in areas(target).values() if one]
    return summed(known) if known else None


def _counts(target: Target) -> Mapping[str, int]:
    """Return how many tiles, cells and so on a chip has, nothing where its tiles have no number."""
    tiles, pairs = target.tiles, int(target.constants["array.pairs_per_weight"])
    if tiles is None:
        return {}
    return {
        "tiles": tiles,
        "cells": tiles * target.rows * target.columns * pairs,
        "adcs": tiles * target.converters,
        "rows": tiles * target.rows,
        "memory": target.activation_bytes + target.constant_bytes,
        "digital": 1,
    }


def _taken(target: Target, key: str, count: int) -> Interval | None:
    each = constant(target, key)
    return each.times(count * MM2[CONSTANTS[key].unit]) if each else None
