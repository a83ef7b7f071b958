"""What a noise profile may say: every constant with its unit, bounds and default."""

from collections.abc import Mapping
from dataclasses import dataclass

TAGS = ("verified", "secondary", "derived", "unverified")


@dataclass(frozen=True)
class Scalar:
    """A number: unit, bounds, and the default where a profile may leave it out (None: it may not)."""

    unit: str
    default: str | None = None
    low: str = "0"
    high: str = "1e12"


SCALARS: Mapping[str, Scalar] = {
    "device.lowest": Scalar("uS"),
    "device.highest": Scalar("uS"),
    "programming.scale": Scalar("1", "1", high="1000"),
    "drift.scale": Scalar("1", "1", high="1000"),
    "drift.start": Scalar("s", "1", low="1e-9"),
    "read.scale": Scalar("1", "1", high="1000"),
    "read.duration": Scalar("s", "1e-6", low="1e-12"),
    "cycle.scale": Scalar("1", "1", high="1000"),
    "output.sigma": Scalar("LSB", "0", high="64"),
    "adc.offset": Scalar("LSB", "0", high="64"),
    "adc.gain": Scalar("1", "0", high="0.125"),
    "adc.inl": Scalar("LSB", "0", high="64"),
    "dac.gain": Scalar("1", "0", high="0.125"),
    "stuck.low": Scalar("1", "0", high="1"),
    "stuck.high": Scalar("1", "0", high="1"),
    "wire.resistance": Scalar("ohm", "0", high="1000"),
}

CHOICES: Mapping[str, tuple[str, ...]] = {
    "device.limits": ("zero", "both"),
    "drift.kind": ("none", "power", "redraw", "logarithm"),
    "read.kind": ("relative", "absolute"),
    "read.time": ("constant", "flicker"),
    "cycle.kind": ("relative", "absolute"),
}
"""Key -> choices, the default first."""

RANGE = ("uS", "g_max")
CURVES: Mapping[str, tuple[str, ...]] = {
    "programming.sigma": RANGE,
    "drift.mean": ("1",),
    "drift.sigma": ("1",),
    "drift.shift": ("uS",),
    "drift.relaxation": ("uS",),
    "read.sigma": ("1", *RANGE),
    "cycle.sigma": ("1", *RANGE),
}
"""Key -> units it may have. A curve left out is 0 everywhere; shift and relaxation are functions of ln(t / s)."""

REDRAWS = "drift.redraws"
"""A list of { seconds, sigma }: the spread around the target at each time of drift.kind = "redraw"."""
