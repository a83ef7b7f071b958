"""Integer ranges: everything calibration decides, rounded so that it can be stored, compared and reused."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from xdsl.ir import Operation

from cimc.diagnostics import fail
from cimc.ir.facts import BITS, GAIN, MEANS, PEAKS, RANGE, ROWS, WIDE_RANGE, Fact, Value
from cimc.ir.graph import Graph
from cimc.ir.nn import Computed
from cimc.isa.limits import GAIN_LIMIT, GAIN_LOWEST, SHIFT_HIGHEST, SUM_LIMIT
from cimc.passes.seen import Seen

FORMAT = 1
SIGNIFICANT_BITS = 10
"""Ranges are rounded to 0.1 %, a quarter of an 8-bit step: differences of floating point between machines vanish."""
MEAN_LIMIT = 1e30
"""Means of channels: beyond it biases leave float32."""
FEWEST_BITS, MOST_BITS = 2, 16


@dataclass(frozen=True)
class Ranges:
    """What calibration found.

    `activations`: label -> (low, high), real values. `columns`: label of an mvm -> largest |array sum| of each
    (group, row block, column) at full conductance. `gain`: the ADC gain m / 2^k as (m, k), None if the target fixes it.
    `bits`: label of a layer that was lowered or raised -> (activation bits, weight bits).
    `wide`: as `activations`, for values whose codes have more bits than the DAC, where such get room.
    `inputs`: label of an input -> what calibration saw of it. `gains`: label of an mvm -> its own gain, where tiles
    have theirs. `reach`: label of a value -> the factor by which its range was chosen to differ from what data say.
    `rows`: label of a layer whose rows stand several times -> how often.
    `means`: label of a depthwise layer whose taps are lowered -> the mean real value of each channel that it reads.
    """

    activations: dict[str, tuple[float, float]] = field(default_factory=dict)
    columns: dict[str, tuple[int, ...]] = field(default_factory=dict)
    gain: tuple[int, int] | None = None
    bits: dict[str, tuple[int, int]] = field(default_factory=dict)
    inputs: dict[str, Seen] = field(default_factory=dict)
    gains: dict[str, tuple[int, int]] = field(default_factory=dict)
    wide: dict[str, tuple[float, float]] = field(default_factory=dict)
    reach: dict[str, float] = field(default_factory=dict)
    means: dict[str, tuple[float, ...]] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)

    def noted(self, graph: Graph) -> "Ranges":
        """Return these ranges with what passes have left on a graph; the first that was said of a label stays.

        Asked behind every pass: later ones use the facts up, relabel values or let layers share peaks.
        """
        labelled = {op.label.data: op for op in graph.operations if op.attributes and isinstance(op, Computed)}
        peaks = {label: ref for label, op in labelled.items() if label not in self.columns and (ref := PEAKS.get(op))}
        means = {label: ref for label, ref in _found(MEANS, labelled).items() if label not in self.means}
        return Ranges(
            _found(RANGE, labelled) | self.activations,
            {label: tuple(graph.weights.get(ref).ravel().tolist()) for label, ref in peaks.items()} | self.columns,
            self.gain or GAIN.get(graph.module),
            _found(BITS, labelled) | self.bits,
            self.inputs,
            _found(GAIN, labelled) | self.gains,
            _found(WIDE_RANGE, labelled) | self.wide,
            self.reach,
            {label: tuple(graph.weights.reals(ref).tolist()) for label, ref in means.items()} | self.means,
            _found(ROWS, labelled) | self.rows,
        )

    def to_json(self) -> dict[str, Any]:
        """Return the JSON object that `from_json` reads back."""
        facts = {
            "format": FORMAT,
            "activations": {label: list(bounds) for label, bounds in sorted(self.activations.items())},
            "columns": {label: list(peaks) for label, peaks in sorted(self.columns.items())},
            "gain": None if self.gain is None else list(self.gain),
        }
        more: dict[str, Any] = {
            "bits": {label: list(pair) for label, pair in sorted(self.bits.items())},
            "inputs": {label: seen.to_json() for label, seen in sorted(self.inputs.items())},
            "gains": {label: list(pair) for label, pair in sorted(self.gains.items())},
            "wide": {label: list(bounds) for label, bounds in sorted(self.wide.items())},
            "reach": dict(sorted(self.reach.items())),
            "means": {label: list(means) for label, means in sorted(self.means.items())},
            "rows": dict(sorted(self.rows.items())),
        }
        return facts | {name: known for name, known in more.items() if known}

    @staticmethod
    def from_json(data: object) -> "Ranges":
        """Return the ranges of a JSON object. Raises CimcError CIM0204."""
        try:
            return _parse(data)
        except (AttributeError, LookupError, OverflowError, TypeError, ValueError) as error:
            raise fail(
                "CIM0204",
                f"the ranges are malformed: {error}",
                hint="write them with `cimc compile --write-ranges FILE`",
            ) from None


def _found(fact: Fact[Value], labelled: Mapping[str, Operation]) -> dict[str, Value]:
    return {label: found for label, op in labelled.items() if (found := fact.get(op)) is not None}


def _parse(data: Any) -> Ranges:
    if data["format"] != FORMAT:
        raise ValueError(f"format {data['format']!r}, this version reads {FORMAT}")
    activations = _bounds("activations", data["activations"])
    columns = {str(label): _whole_numbers(f"columns.{label}", peaks) for label, peaks in data["columns"].items()}
    for label, peaks in columns.items():
        if not all(0 <= peak <= SUM_LIMIT for peak in peaks):
            raise ValueError(f"a peak of {label!r} is outside 0..{SUM_LIMIT}")
    gain = None if data["gain"] is None else _gain("gain", data["gain"])
    given = {str(label): _whole_numbers(f"bits.{label}", pair) for label, pair in data.get("bits", {}).items()}
    bits = {label: (value, weight) for label, (value, weight) in given.items()}
    for label, pair in bits.items():
        if not all(FEWEST_BITS <= one <= MOST_BITS for one in pair):
            raise ValueError(f"{label!r} has {pair} bits, outside {FEWEST_BITS}..{MOST_BITS}")
    inputs = {str(label): Seen.from_json(seen) for label, seen in data.get("inputs", {}).items()}
    gains = {str(label): _gain(f"gains.{label}", pair) for label, pair in data.get("gains", {}).items()}
    reach = {str(label): _factor(f"reach.{label}", factor) for label, factor in data.get("reach", {}).items()}
    means = {str(label): _reals(f"means.{label}", values) for label, values in data.get("means", {}).items()}
    rows = {str(label): _whole(f"rows.{label}", count) for label, count in data.get("rows", {}).items()}
    wide = _bounds("wide", data.get("wide", {}))
    return Ranges(activations, columns, gain, bits, inputs, gains, wide, reach, means, rows)


def _bounds(path: str, data: Any) -> dict[str, tuple[float, float]]:
    found = {
        str(label): (_real(f"{path}.{label}[0]", low), _real(f"{path}.{label}[1]", high))
        for label, (low, high) in data.items()
    }
    for label, (low, high) in found.items():
        if not (math.isfinite(high - low) and low <= 0.0 <= high and low < high):
            raise ValueError(f"range of {label!r} is {low}..{high}")
    return found


def _reals(path: str, values: Any) -> tuple[float, ...]:
    if not isinstance(values, list):
        raise TypeError(f"{path} is {values!r}, not a list")
    found = tuple(_real(f"{path}[{n}]", value) for n, value in enumerate(values))
    if not all(abs(value) <= MEAN_LIMIT for value in found):
        raise ValueError(f"{path} holds what is no number up to {MEAN_LIMIT:g}")
    return found


def _factor(path: str, value: Any) -> float:
    factor = _real(path, value)
    if not 0.0 < factor < math.inf:
        raise ValueError(f"{path} is {factor}, not a factor above 0")
    return factor


def _gain(path: str, pair: Any) -> tuple[int, int]:
    multiplier, shift = _whole_numbers(path, pair)
    if not (GAIN_LOWEST <= multiplier < GAIN_LIMIT and 0 <= shift <= SHIFT_HIGHEST):
        found = f"{path} {(multiplier, shift)}"
        raise ValueError(f"{found} is not a normalised multiplier and a shift up to {SHIFT_HIGHEST}")
    return multiplier, shift


def _whole_numbers(path: str, values: Any) -> tuple[int, ...]:
    """Return whole numbers of JSON as they stand. Raises TypeError for anything that would be rounded."""
    if not isinstance(values, list):
        raise TypeError(f"{path} is {values!r}, not a list")
    return tuple(_whole(f"{path}[{n}]", value) for n, value in enumerate(values))


def _whole(path: str, value: Any) -> int:
    if type(value) is not int:
        raise TypeError(f"{path} is {value!r}, not a whole number")
    return value


def _real(path: str, value: Any) -> float:
    if type(value) not in (int, float):
        raise TypeError(f"{path} is {value!r}, not a number")
    return float(value)


def rounded_outward(value: float) -> float:
    """Return the nearest number of 10 significant bits that is no smaller in magnitude."""
    mantissa, exponent = math.frexp(abs(value))
    scale = 1 << SIGNIFICANT_BITS
    return math.copysign(math.ldexp(math.ceil(mantissa * scale) / scale, exponent), value)


def rounded(value: float) -> float:
    """Return `value` rounded to 10 significant bits."""
    mantissa, exponent = math.frexp(value)
    scale = 1 << SIGNIFICANT_BITS
    return math.ldexp(round(mantissa * scale) / scale, exponent)
