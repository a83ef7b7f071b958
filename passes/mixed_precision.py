"""Mixed precision: fewer bits for the inputs and weights of single layers, by measured sensitivity, within a budget."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from xdsl.dialects.builtin import ModuleOp
from xdsl.rewriter import Rewriter

from cimc.diagnostics import fail
from cimc.evaluate import Batch, Evaluator, samples_at_once
from cimc.ir.facts import BITS
from cimc.ir.graph import Graph
from cimc.ir.loop import ScanOp, retype_results
from cimc.ir.nn import Canonical, Computed, InputOp, Layer
from cimc.ir.types import CodeType, code_of, code_tensor, float_tensor, shape_of
from cimc.passes.chosen import Chosen
from cimc.passes.code_types import bounds, input_type, narrowed
from cimc.passes.layer_bits import FULL, is_raised
from cimc.passes.ranges import Ranges
from cimc.passes.rounding import rounded_taps, rounded_weights
from cimc.passes.shared_codes import followers, same_codes
from cimc.passes.tap_bias import Means, correct_bias, measured_means
from cimc.targets import Target

LADDER = (6, 4, 3, 2)
"""Bits that are tried, in order: two of them add 12 dB of rounding noise; targets have converters of 6 and 4 bits."""
TAP_RUNGS = (4,)
"""Bits that are tried of the digital unit's taps: two of them lie in a byte, and no more."""
LEAST = 4
"""Bits below which nothing is lowered unless that is asked for."""
SAMPLES = 64
"""Samples that outputs are compared on: every rung of every knob takes one run over them."""
LEAST_NOISE = 1e-12
"""Share of the signal power taken for the noise of 8 bits where there is less of it."""

Outputs = Mapping[str, NDArray[np.float64]]


@dataclass(frozen=True, order=True)
class Knob:
    """What can be lowered on its own: the codes of value `label`, or the weights of layer `label`."""

    label: str
    weights: bool


Choice = Mapping[Knob, int]
"""The bits of every lowered knob."""


@dataclass(frozen=True)
class Rung:
    """One knob one rung down, and the output noise that this adds, as a share of the signal."""

    knob: Knob
    bits: int
    cost: float


@dataclass(frozen=True)
class MixedPrecision:
    """Lower inputs and weights of the crossbar's layers to 6, 4 ... `least` bits while outputs stay within `budget`.

    `budget` is the loss, in dB, of the outputs' signal-to-noise ratio against the float model, on the first 64 samples
    of the calibration data, compared with 8 bits everywhere; 0 changes nothing. The ADC is not part of it. `lower` is
    both, weights or activations, or taps: the weights of depthwise layers, to 4 bits, and nothing else. Bits of
    stored `ranges` win over those `chosen`, and these over data.
    """

    name: ClassVar[str] = "mixed-precision"
    target: Target
    data: Batch = field(default_factory=dict, repr=False)
    ranges: Ranges | None = field(default=None, repr=False)
    budget: float = 0.0
    lower: str = "both"
    least: int = LEAST
    chosen: Chosen = field(default_factory=Chosen, repr=False)

    def __call__(self, graph: Graph) -> Graph:
        if self.lower not in ("both", "weights", "activations", "taps"):
            hint = "it lowers both, weights, activations or taps"
            raise fail("CIM0305", f"mixed-precision cannot lower {self.lower!r}", hint=hint)
        choice = _stored(graph, self.chosen.bits if self.ranges is None else self.ranges.bits)
        if not choice and self.ranges is None and self.budget > 0.0:
            choice = self._found(graph)
        if choice:
            lowered = [layer for layer in _layers(graph) if layer.is_depthwise and _weights_of(layer) in choice]
            taps = [graph.weights.reals(layer.weight) for layer in lowered]
            means = self._means(graph, lowered)
            _apply(graph, choice)
            _mark(graph, choice)
            for layer, before in zip(lowered, taps, strict=True):
                if layer.label.data in means:
                    correct_bias(graph, layer, before, means)
        return graph

    def _means(self, graph: Graph, lowered: Sequence[Layer]) -> Means:
        """Return the means of what layers read: those stored, else those of the data; none of files that have none."""
        if self.ranges is not None:
            return self.ranges.means
        data = {name: array[:SAMPLES] for name, array in self.data.items()}
        return measured_means(graph, lowered, data) if lowered else {}

    def _found(self, graph: Graph) -> Choice:
        kept = graph.weights.names()
        meter = _Meter(graph, {name: array[:SAMPLES] for name, array in self.data.items()})
        allowed = meter.noise({}) * 10.0 ** (self.budget / 10.0)
        steps = _chosen(_costs(meter, self._knobs(graph)), allowed - meter.noise({}))
        while steps and meter.noise(_choice(steps)) > allowed:
            steps.remove(_dearest(steps))
        graph.weights.keep(kept)
        return _choice(steps)

    def _knobs(self, graph: Graph) -> dict[Knob, Sequence[int]]:
        """Return everything that can be lowered and the bits to try, in order."""
        layers = list(_layers(graph))
        if self.lower == "taps":
            return {_weights_of(layer): TAP_RUNGS for layer in layers if layer.is_depthwise}
        found: dict[Knob, Sequence[int]] = {}
        for layer in (layer for layer in layers if not layer.is_depthwise):
            group = same_codes(layer)
            if group and self.lower != "weights":
                found[Knob(group[0].label.data, False)] = self._rungs(code_of(layer.x).bits.data)
            if self.lower != "activations":
                found[_weights_of(layer)] = self._rungs(FULL)
        return found

    def _rungs(self, full: int) -> Sequence[int]:
        return [bits for bits in LADDER if self.least <= bits < full]


class _Meter:
    """Output noise of a choice, measured on copies of the graph: summed over outputs, each as a share of its signal."""

    def __init__(self, graph: Graph, data: Batch) -> None:
        self._graph, self._data = graph, data
        self._exact = self._outputs(_float_copy(graph))
        self._signal = {name: float(array.var()) or 1.0 for name, array in self._exact.items()}
        self._full = self._outputs(graph)

    def noise(self, choice: Choice) -> float:
        """Return the noise against the float model."""
        return max(self._power(self._lowered(choice), self._exact), LEAST_NOISE)

    def added(self, choice: Choice) -> float:
        """Return the noise against full bits."""
        return self._power(self._lowered(choice), self._full)

    def _lowered(self, choice: Choice) -> Outputs:
        if not choice:
            return self._full
        copy = _copy(self._graph)
        _apply(copy, choice)
        return self._outputs(copy)

    def _outputs(self, graph: Graph) -> Outputs:
        found = Evaluator(graph, batch=samples_at_once(graph)).run(self._data)
        return {name: np.asarray(array, np.float64) for name, array in found.items()}

    def _power(self, found: Outputs, wanted: Outputs) -> float:
        return sum(float(np.square(found[name] - wanted[name]).mean()) / self._signal[name] for name in wanted)


def _costs(meter: _Meter, knobs: Mapping[Knob, Sequence[int]]) -> dict[Knob, list[Rung]]:
    """Return the steps of every knob, in order, each with the noise it adds to the one before."""
    found = {}
    for knob, rungs in sorted(knobs.items()):
        noise = [0.0, *np.maximum.accumulate([meter.added({knob: bits}) for bits in rungs])] if rungs else [0.0]
        found[knob] = [Rung(knob, bits, float(b - a)) for bits, a, b in zip(rungs, noise, noise[1:], strict=False)]
    return found


def _chosen(costs: Mapping[Knob, list[Rung]], budget: float) -> list[Rung]:
    """Return the cheapest steps, in the order taken, whose costs sum up to at most `budget`."""
    waiting = {knob: list(steps) for knob, steps in costs.items()}
    taken: list[Rung] = []
    spent = 0.0
    while heads := [steps[0] for steps in waiting.values() if steps]:
        step = min(heads, key=lambda one: (one.cost, one.knob))
        spent += step.cost
        if spent > budget:
            break
        taken.append(waiting[step.knob].pop(0))
    return taken


def _dearest(steps: Sequence[Rung]) -> Rung:
    """Return the most costly step that no other step builds on."""
    lowest = _choice(steps)
    return max((step for step in steps if lowest[step.knob] == step.bits), key=lambda one: (one.cost, one.knob))


def _choice(steps: Sequence[Rung]) -> Choice:
    return {step.knob: step.bits for step in steps}


def _stored(graph: Graph, bits: Mapping[str, tuple[int, int]]) -> Choice:
    found = {}
    layers = {layer.label.data: layer for layer in _layers(graph)}
    lowered = {label: pair for label, pair in bits.items() if not is_raised(pair)}
    for label, (activation, weight) in lowered.items():
        if label not in layers:
            hint = "they belong to another model or version"
            raise fail("CIM0204", f"the ranges give bits to {label!r}, which is no layer with weights", hint=hint)
        group = same_codes(layers[label])
        if group and activation < code_of(layers[label].x).bits.data:
            found[Knob(group[0].label.data, False)] = activation
        if weight < FULL:
            found[Knob(label, True)] = weight
    return found


def _apply(graph: Graph, choice: Choice) -> None:
    ops = {op.label.data: op for op in graph.operations if isinstance(op, Canonical)}
    for knob, bits in sorted(choice.items()):
        op = ops[knob.label]
        if knob.weights:
            assert isinstance(op, Layer)
            rounded = (rounded_taps if op.is_depthwise else rounded_weights)(graph.weights.get(op.weight), bits)
            op.properties["weight"] = graph.weights.add(op.weight.key.data, rounded)
            op.properties.pop("steps", None)
        else:
            code = with_bits(code_of(op.out), bits, isinstance(op, InputOp))
            for one in followers(op):
                Rewriter.replace_value_with_new_type(one.out, code_tensor(shape_of(one.out), code))


def _mark(graph: Graph, choice: Choice) -> None:
    """Write `cim.bits` on every layer of which anything is lowered: of depthwise layers, the weights."""
    reading = _reading_fewer(graph, choice)
    for layer in _layers(graph):
        weights = _weights_of(layer)
        if weights in choice or layer in reading:
            BITS.note(layer, (code_of(layer.x).bits.data, choice.get(weights, FULL)))


def _reading_fewer(graph: Graph, choice: Choice) -> list[Layer]:
    """Return the layers whose input is lowered; depthwise ones read what others do."""
    layers = (op for op in graph.operations if isinstance(op, Layer) and not op.is_depthwise)
    return [op for op in layers if any(Knob(root.label.data, False) in choice for root in same_codes(op)[:1])]


def _weights_of(layer: Layer) -> Knob:
    return Knob(layer.label.data, True)


def with_bits(code: CodeType, bits: int, is_input: bool) -> CodeType:
    """Return codes of the same form for the same real range with fewer bits."""
    if not is_input:
        return narrowed(code, bits, offset=code.zero.data != 0)
    return input_type(*bounds(code), bits)


def _layers(graph: Graph) -> Iterator[Layer]:
    """Yield the layers with weights that are not raised."""
    return (op for op in graph.operations if isinstance(op, Layer) and BITS.get(op) is None)


def _copy(graph: Graph) -> Graph:
    module = graph.module.clone()
    assert isinstance(module, ModuleOp)
    return Graph(module, graph.weights, graph.name)


def _float_copy(graph: Graph) -> Graph:
    """Return the graph on real values: what the codes stand for."""
    copy = _copy(graph)
    for op in copy.operations:
        if isinstance(op, Computed):
            Rewriter.replace_value_with_new_type(op.out, float_tensor(shape_of(op.out)))
    for op in copy.operations:
        if isinstance(op, ScanOp):
            retype_results(op)
    return copy
