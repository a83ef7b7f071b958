"""The sources of noise as one table: what a profile may say of each, what is on by default, and who draws.

CONTRIBUTING.md lists what a new source takes: its record here, its law in the reference, the law's twin in the plan.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

RANGE = ("uS", "g_max")
"""Units of what lies within the conductance range: absolute, or relative to the range."""

PROGRAMMING, DRIFT, READ, REDRAW, STUCK, ADC_OFFSET, ADC_GAIN, ADC_INL, DAC, CYCLE, OUTPUT = range(1, 12)
POLARITY, FORMING, ADC_LEVEL, ADC_SKEW, FLICKER, STRETCH = range(12, 18)
"""What a random word is for. Part of its address (draws.py), so a number once given stays."""


@dataclass(frozen=True)
class Scalar:
    """A number: unit, bounds, and the default where a profile may leave it out (None: it may not)."""

    unit: str
    default: str | None = None
    low: str = "0"
    high: str = "1e12"


@dataclass(frozen=True)
class Source:
    """One source of noise and the constants that a profile may give it, each by section.key.

    `choices` have the default first. `curves` over conductance have the units that they may be in, and are 0 everywhere
    where a profile leaves them out.
    """

    name: str
    disturbs: str
    numbers: Mapping[str, Scalar] = field(default_factory=dict)
    choices: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    curves: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    by_default: bool = False


SOURCES: tuple[Source, ...] = (
    Source(
        "programming",
        "the value that a device is left at",
        numbers={"programming.scale": Scalar("1", "1", high="1000")},
        curves={"programming.sigma": RANGE},
        by_default=True,
    ),
    Source(
        "drift",
        "the value over time: power law, relaxation, or a new spread around the target",
        numbers={"drift.scale": Scalar("1", "1", high="1000"), "drift.start": Scalar("s", "1", low="1e-9")},
        choices={"drift.kind": ("none", "power", "redraw", "logarithm")},
        # shift and relaxation are functions of ln(t / s)
        curves={"drift.mean": ("1",), "drift.sigma": ("1",), "drift.shift": ("uS",), "drift.relaxation": ("uS",)},
        by_default=True,
    ),
    Source(
        "read",
        "the conductance, 1/f noise grown until this time",
        numbers={"read.scale": Scalar("1", "1", high="1000"), "read.duration": Scalar("s", "1e-6", low="1e-12")},
        choices={"read.kind": ("relative", "absolute"), "read.time": ("constant", "flicker", "correlated")},
        curves={"read.sigma": ("1", *RANGE)},
        by_default=True,
    ),
    Source(
        "cycle",
        "each array sum, by the fresh fluctuation of its devices",
        numbers={"cycle.scale": Scalar("1", "1", high="1000")},
        choices={"cycle.kind": ("relative", "absolute")},
        curves={"cycle.sigma": ("1", *RANGE)},
    ),
    Source("output", "each ADC input", numbers={"output.sigma": Scalar("LSB", "0", high="64")}),
    Source(
        "adc",
        "offset, gain and bow of each physical ADC (column // multiplexing)",
        numbers={
            "adc.offset": Scalar("LSB", "0", high="64"),
            "adc.gain": Scalar("1", "0", high="0.125"),
            "adc.inl": Scalar("LSB", "0", high="64"),
        },
    ),
    Source(
        "levels",
        "each threshold of each physical ADC: differential nonlinearity, and an odd integral one",
        numbers={"levels.sigma": Scalar("LSB", "0", high="64"), "levels.skew": Scalar("LSB", "0", high="64")},
    ),
    Source("dac", "the gain of each row's DAC", numbers={"dac.gain": Scalar("1", "0", high="0.125")}),
    Source(
        "stuck",
        "devices at zero or at full conductance, whatever they are asked for",
        numbers={"stuck.low": Scalar("1", "0", high="1"), "stuck.high": Scalar("1", "0", high="1")},
    ),
    Source(
        "forming",
        "the value that a device is left at, where forming decides it and not what was asked for: a share of the range",
        numbers={"forming.mean": Scalar("1", "0", high="1"), "forming.sigma": Scalar("1", "0", high="1")},
    ),
    Source(
        "ir_drop",
        "the conductance that a cell seems to have behind wires of finite resistance",
        numbers={"wire.resistance": Scalar("ohm", "0", high="1000")},
    ),
    Source(
        "polarity",
        "a device that conducts against the polarity of its side: minus ones at inputs above 0, plus ones below",
        numbers={"polarity.sigma": Scalar("1", "0", high="1")},
    ),
)

NAMES = tuple(source.name for source in SOURCES)
DEFAULTS = tuple(source.name for source in SOURCES if source.by_default)
