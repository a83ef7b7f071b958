"""The guard: data unlike those that a program was calibrated on are told, whatever command meets them."""

import warnings
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from cimc.diagnostics import fail
from cimc.isa.errors import CimcWarning
from cimc.isa.program import Port, Program
from cimc.passes.seen import Seen, middle_of

OUTSIDE = 0.01
"""Share of values beyond what calibration saw that is told: real test sets stay below 0.02 %."""
NARROW = 1 / 16
"""Share of the range seen that the middle 98 % of the data cover at least: half of the bits of 8-bit codes."""
LOOKED_AT = 256
"""Samples that are looked at."""

Reals = NDArray[np.float32]


def warn_of_data(program: Program, port: Port, real: Reals, path: str) -> None:
    """Warn of real values [N, ...] unlike those of the calibration, or outside the port's codes where none is kept."""
    looked_at = real[:LOOKED_AT]
    seen = seen_by(program, port.name)
    faults = _outside(port, looked_at, *_codes(port)) if seen is None else _unlike(port, looked_at, seen)
    hint = "check --offset, --scale, --normalise and --feed"
    if port.preprocessing is not None:
        hint = f"{hint}; the program preprocesses raw data, {port.preprocessing}"
    for fault in faults:
        warnings.warn(CimcWarning(f"{path}: {fault}", hint, "CIM0212"), stacklevel=3)


def seen_by(program: Program, name: str) -> Seen | None:
    """Return what calibration saw of an input, None where the program does not say. Raises CimcError CIM0204."""
    try:
        facts = program.meta.get("ranges", {}).get("inputs", {}).get(name)
        return None if facts is None else Seen.from_json(facts)
    except (AttributeError, LookupError, OverflowError, TypeError, ValueError) as error:
        raise fail("CIM0204", f"what the program says of its calibration is malformed: {error}") from None


def _codes(port: Port) -> tuple[float, float]:
    """Return the real values beyond which codes of a port are clipped."""
    return (port.low - 1 - port.zero) * port.scale, (port.high + 1 - port.zero) * port.scale


def _outside(port: Port, real: Reals, low: float, high: float) -> Iterator[str]:
    share = float(((real < low) | (real > high)).mean())
    if share > OUTSIDE:
        yield f"{100 * share:.0f} % of {port.name!r} lies outside the calibrated range {low:.4g} to {high:.4g}"


def _unlike(port: Port, real: Reals, seen: Seen) -> Iterator[str]:
    yield from _outside(port, real, seen.low, seen.high)
    low, high = middle_of(real)
    if high - low < NARROW * seen.reach <= seen.middle[1] - seen.middle[0]:
        covered = f"{low:.4g} to {high:.4g}, calibration saw {seen.low:.4g} to {seen.high:.4g}"
        yield f"98 % of {port.name!r} lies within {covered}: few codes are used"
    fractions = float((real != np.rint(real)).mean()) if seen.whole else 0.0
    if fractions > OUTSIDE:
        yield f"{100 * fractions:.0f} % of {port.name!r} are no integers, which the model takes and calibration saw"
