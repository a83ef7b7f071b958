"""Calibrate activations: the range of every value from data, by the largest |x| or a histogram of them."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from cimc.diagnostics import fail
from cimc.evaluate import Batch, Evaluator, samples_at_once
from cimc.ir.attributes import int_values
from cimc.ir.facts import RANGE, WIDE_RANGE, Fact
from cimc.ir.graph import Graph
from cimc.ir.location import names_of
from cimc.ir.nn import HIDDEN, Canonical, Computed, InputOp, Layer, QuantiseOp, RecodeOp
from cimc.passes.chosen import Chosen
from cimc.passes.fixed_codes import fixed_operations
from cimc.passes.histogram import RULES, Tail
from cimc.passes.ranges import Ranges, rounded, rounded_outward
from cimc.passes.shared_codes import same_codes
from cimc.targets import Target

BINS = 4096
"""Bins of a histogram up to the largest |x|: 32 for each level of an 8-bit code."""
LEAST_PERCENTILE = 99.0
"""From here on 1 % of all values at most lie beyond the range: keeping those is cheaper than a second run."""
MARGIN = 16.0
"""Below the lowest score that counts: exp(-16) is less than half of 2^-20, the step of softmax's exponentials."""
WHOLE_LIMIT = 32767
"""The largest 16-bit code: whole numbers are their own codes."""
LARGEST, LEAST = 1e30, 1e-34
"""Real values that codes may stand for at their ends: beyond them float32 loses what the passes reckon with."""
AT_ONCE = 1 << 16
"""Values looked at at once where many have to be copied: they stay in the processor's second cache."""
DAC_BITS = 8
"""Bits of the DACs where no target says them."""


Bounds = Mapping[str, tuple[float, float]]
"""Label of a value -> its lowest and highest real value."""


@dataclass(frozen=True)
class Calibrate:
    """Write `cim.range` (low, high) on every operation whose codes are not fixed; stored `ranges` win over data.

    `method` is minmax, percentile, mse or entropy (passes/histogram.py); the last two reckon with codes of as many
    bits as the DAC has. With `room`, codes of more bits than the DAC has reach so many times as far as the largest |x|
    of the data: their last bit is worth less than what clips.
    What is `chosen` multiplies what is found by the factors of `reach`. Ranges that training has learnt stand in its
    place; codes of more bits than the DAC has keep the room of both.
    """

    name: ClassVar[str] = "calibrate"
    data: Batch = field(default_factory=dict, repr=False)
    ranges: Ranges | None = field(default=None, repr=False)
    method: str = "percentile"
    percentile: float = 99.99
    inputs: str = "auto"
    room: float = 0.0
    target: Target | None = field(default=None, repr=False)
    chosen: Chosen = field(default_factory=Chosen, repr=False)

    def __call__(self, graph: Graph) -> Graph:
        if self.method not in RULES:
            raise fail("CIM0305", f"calibrate has no method {self.method!r}", hint=f"methods: {', '.join(RULES)}")
        computed = self.open_to_choice(graph)
        if not self.ranges:
            self._require_rows(graph)
        found, wide = self._stored(computed) if self.ranges else self._measured(graph, computed)
        for op in computed:
            _note(RANGE, op, found)
            if op.label.data in wide:
                _note(WIDE_RANGE, op, wide)
        return graph

    def open_to_choice(self, graph: Graph) -> list[Canonical]:
        """Return the operations whose codes the model does not fix, or not for this target's DAC."""
        fixed = fixed_operations(graph)
        computed = (op for op in graph.operations if isinstance(op, Canonical))
        return [op for op in computed if op not in fixed or self._is_replaced(op)]

    def _is_replaced(self, op: Computed) -> bool:
        """Return whether the target's DAC may need other codes for a value than those that the model fixes."""
        if self.target is None:
            return False
        if isinstance(op, RecodeOp):
            return bool(op.target.bits.data > self.target.constants["dac.bits"])
        return isinstance(op, QuantiseOp) and not self.target.drives(op.code.low.data, op.code.high.data)

    def _require_rows(self, graph: Graph) -> None:
        for op in graph.operations:
            if isinstance(op, InputOp) and op.integers is not None:
                _require_known(op, self.data[op.label.data])

    def _stored(self, computed: Sequence[Computed]) -> tuple[Bounds, Bounds]:
        assert self.ranges is not None
        known = self.ranges.activations
        for op in computed:
            if op.label.data not in known:
                node = ", ".join(names_of(op.location))
                raise fail(
                    "CIM0204",
                    f"the ranges have no entry for value {op.label.data!r}",
                    node=node,
                    hint="they belong to another model or version",
                )
        return known, self.ranges.wide

    def _measured(self, graph: Graph, computed: list[Canonical]) -> tuple[Bounds, Bounds]:
        """Return the ranges of all values, and the wide ones of those for which there may be room."""
        if not computed:
            return {}, {}
        labels = [op.label.data for op in computed]
        evaluator = Evaluator(graph, values=labels, batch=samples_at_once(graph))
        bounds = {label: [math.inf, -math.inf] for label in labels}
        tails: dict[str, Tail] = {}
        for label, array in evaluator.arrays(self.data):
            low, high = _extremes(array)
            if not math.isfinite(low + high):
                raise fail(
                    "CIM0203",
                    f"value {label!r} is not finite on the calibration data",
                    hint="check the calibration data and its --scale and --offset",
                )
            bounds[label] = [min(bounds[label][0], low), max(bounds[label][1], high)]
            if self._is_short:
                tail = tails.setdefault(label, self._tail(array))
                for magnitudes in _magnitudes(array):
                    tail.add(magnitudes)
        for label, ends in bounds.items():
            _require_size(label, *ends)
        reach = {label: self._reach(max(abs(low), abs(high))) for label, (low, high) in bounds.items()}
        seen = {label: largest for label, largest in reach.items() if any(bounds[label])}
        if self._is_short:
            reach |= {label: _last_bin(tails[label].reach(), largest) for label, largest in seen.items()}
        elif self.method != "minmax":
            reach |= self._clipped(evaluator, seen)
        found = {label: _range(bounds[label][0], bounds[label][1], reach[label]) for label in labels}
        found |= {op.label.data: known for op in computed if (known := _known(graph, op))}
        found |= {op.label.data: _hidden(found[op.label.data]) for op in computed if op.can_hide}
        inputs = [op for op in computed if isinstance(op, InputOp)]
        found |= {op.label.data: self._range_of_input(op) for op in inputs}
        learnt, factors = self.chosen.learnt.activations, self.chosen.reach
        _require_labels([*learnt, *factors], found)
        found |= {label: _scaled(found[label], factor) for label, factor in factors.items()}
        wide = {op.label.data: self._wide(op, bounds[op.label.data]) for op in computed if self._has_room(op)}
        return found | learnt, {label: _hull(found[label], reach) for label, reach in learnt.items()} | wide

    def _has_room(self, op: Canonical) -> bool:
        """Return whether unseen data may give a value beyond those of the calibration, which its codes can hold."""
        known = op.known_values or op.known_range or op.is_whole or (isinstance(op, InputOp) and op.integers)
        return self.room > 0.0 and not known

    def _wide(self, op: Canonical, ends: Sequence[float]) -> tuple[float, float]:
        low, high = _range(ends[0], ends[1], self._reach(self.room * max(abs(ends[0]), abs(ends[1]))))
        return _hidden((low, high)) if op.can_hide else (low, high)

    def _range_of_input(self, op: InputOp) -> tuple[float, float]:
        values = self.data[op.label.data]
        return _input_range(values, self.inputs) if op.integers is None else _whole_range(op, values)

    @property
    def _is_short(self) -> bool:
        """Whether so few values lie beyond the range that keeping them spares a second run over the data."""
        return self.method == "percentile" and self.percentile >= LEAST_PERCENTILE

    def _tail(self, first: NDArray[np.generic]) -> Tail:
        """Return the tail of a value, given its first chunk."""
        return Tail(len(next(iter(self.data.values()))) * math.prod(first.shape[1:]), self.percentile)

    def _reach(self, largest: float) -> float:
        """Return the range used for a value that is zero on all the data: 1, by definition."""
        return largest if largest > 0.0 else 1.0

    def _clipped(self, evaluator: Evaluator, largest: dict[str, float]) -> dict[str, float]:
        """Return the range that the chosen rule keeps of each value: the upper edge of its last bin."""
        counts = {label: np.zeros(BINS, np.int64) for label in largest}
        for label, array in evaluator.arrays(self.data):
            for magnitudes in _magnitudes(array) if label in largest else ():
                counts[label] += np.bincount(_bins(magnitudes, largest[label]), minlength=BINS)
        rule = RULES[self.method]
        levels = (1 << (self._dac_bits - 1)) - 1
        return {label: largest[label] * rule(counts[label], levels, self.percentile) / BINS for label in largest}

    @property
    def _dac_bits(self) -> int:
        return DAC_BITS if self.target is None else int(self.target.constants["dac.bits"])


def ranges_read(graph: Graph, target: Target) -> dict[str, str]:
    """Return, by the label of a layer, that of the value whose range its codes have, where that is open to choice."""
    chosen = set(Calibrate(target=target).open_to_choice(graph))
    layers = [op for op in graph.operations if isinstance(op, Layer)]
    return {
        layer.label.data: root.label.data
        for layer in layers
        for root in same_codes(layer)[:1]
        if root in chosen and root.known_range is None and root.known_values is None
    }


def _note(fact: Fact[tuple[float, float]], op: Canonical, found: Bounds) -> None:
    """Leave a range on an operation. Raises CimcError CIM0304."""
    _require_size(op.label.data, *found[op.label.data])
    fact.note(op, found[op.label.data])


def _require_labels(labels: Sequence[str], found: Bounds) -> None:
    """Refuse choices for values that are not there. Raises CimcError CIM0204."""
    for label in (label for label in labels if label not in found):
        message = f"a range was chosen for {label!r}, which is no value whose range is a matter of choice"
        raise fail("CIM0204", message, hint="it belongs to another model or version")


def _require_size(label: str, low: float, high: float) -> None:
    """Refuse a range that codes cannot stand for. Raises CimcError CIM0304."""
    reach = max(-low, high)
    if reach > LARGEST or 0.0 < reach < LEAST:
        message = f"value {label!r} reaches {reach:.3g} in calibration, codes stand for {LEAST:g} to {LARGEST:g}"
        raise fail("CIM0304", message, hint="scale the data, or the weights before it, by a power of ten")


def _extremes(array: NDArray[Any]) -> tuple[float, float]:
    """Return the lowest and highest value, those that stand for minus infinity left out; zeros where all do."""
    low, high = float(array.min()), float(array.max())
    if -math.inf < low <= HIDDEN:
        seen = array[array > HIDDEN]
        low, high = (float(seen.min()), float(seen.max())) if seen.size else (0.0, 0.0)
    return low, high


def _known(graph: Graph, op: Canonical) -> tuple[float, float] | None:
    """Return the range of a value that the data need not show: of all rows of a table, of a constant."""
    if op.known_values is None:
        return None
    low, high = _extremes(graph.weights.get(op.known_values))
    return _range(low, high, max(abs(low), abs(high)) or 1.0)


def _hidden(bounds: tuple[float, float]) -> tuple[float, float]:
    """Return a range with room below for what is hidden: exp(-MARGIN) is less than half a step of the exponentials."""
    return rounded(bounds[0] - MARGIN), bounds[1]


def _magnitudes(array: NDArray[Any]) -> Iterator[NDArray[Any]]:
    """Yield |x| of all values but those that stand for minus infinity.

    They come AT_ONCE at a time: copies of all would be the most that a compile holds.
    """
    flat = array.reshape(-1)
    for start in range(0, flat.size, AT_ONCE):
        some = flat[start : start + AT_ONCE]
        yield np.abs(some if some.min() > HIDDEN else some[some > HIDDEN])


def _bins(magnitudes: NDArray[np.float32], largest: float) -> NDArray[np.int64]:
    """Return the bin of each |x| in a histogram up to `largest`."""
    return np.asarray(np.minimum((magnitudes * np.float32(BINS / largest)).astype(np.int64), BINS - 1))


def _hull(first: tuple[float, float], second: tuple[float, float]) -> tuple[float, float]:
    return min(first[0], second[0]), max(first[1], second[1])


def _scaled(bounds: tuple[float, float], factor: float) -> tuple[float, float]:
    return rounded(bounds[0] * factor), rounded(bounds[1] * factor)


def _last_bin(magnitude: np.float32, largest: float) -> float:
    """Return the upper edge of the bin that |x| lies in."""
    return largest * (int(_bins(np.array([magnitude]), largest)[0]) + 1) / BINS


def _input_range(values: NDArray[np.float32], coding: str) -> tuple[float, float]:
    """Return the range of a model input: all of its data and zero ("full"), or that made symmetric about zero.

    "auto" takes the one whose codes are smaller in the mean: rows then drive less current, and whatever is wrong by a
    share of what a column sums, as drift is, is less.
    """
    low, high = min(rounded_outward(float(values.min())), 0.0), max(rounded_outward(float(values.max())), 0.0)
    reach = max(-low, high) or 1.0
    real = values.astype(np.float64)
    centred = np.abs(real - (low + high) / 2.0).mean() < np.abs(real).mean()
    full = low < high and (coding == "full" or (coding == "auto" and centred))
    return (low, high) if full else (-reach, reach)


def _require_known(op: InputOp, values: NDArray[np.float32]) -> None:
    """Refuse numbers for which a table has no row. Raises CimcError CIM0208."""
    bounds = int_values(op.integers) or (-WHOLE_LIMIT, WHOLE_LIMIT)
    bad = np.argwhere((values != np.rint(values)) | (values < bounds[0]) | (values > bounds[1]))
    if bad.size:
        place = tuple(int(index) for index in bad[0])
        message = (
            f"input {op.label.data!r} is {values[place]:g} at {place}, it takes whole numbers from {bounds[0]} to "
        )
        raise fail("CIM0208", f"{message}{bounds[1]}", hint="check the vocabulary and the padding of the data")


def _whole_range(op: InputOp, values: NDArray[np.float32]) -> tuple[float, float]:
    """Return the range of an input of whole numbers: the model's own, or up to powers of two around the data and 0..1.

    Powers of two, because stored ranges are rounded.
    """
    if bounds := int_values(op.integers):
        return float(bounds[0]), float(max(bounds[1], 1))
    low, high = min(float(values.min()), 0.0), max(float(values.max()), 1.0)
    return -_power_below(-low), _power_below(high)


def _power_below(reach: float) -> float:
    """Return the lowest 1, 2, 4 ... 2^14, or 2^15 - 1, that is at least `reach`; 0 for 0."""
    return min(float(1 << math.ceil(math.log2(reach))), float(WHOLE_LIMIT)) if reach > 0.0 else 0.0


def _range(low: float, high: float, reach: float) -> tuple[float, float]:
    reach = rounded(reach)
    return (0.0 if low >= 0.0 else -reach, 0.0 if high <= 0.0 < -low else reach)
