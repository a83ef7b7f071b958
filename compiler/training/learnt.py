"""What is learnt: weights and biases, and ranges of converters, each in units of what it was when training began."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from cimc.diagnostics import fail
from cimc.ir import nn
from cimc.ir.graph import Graph
from cimc.passes.calibrate import ranges_read
from cimc.passes.chosen import Chosen
from cimc.passes.ranges import Ranges, rounded
from cimc.passes.weight_mapping import columns_of
from cimc.targets import Target
from cimc.training.array_facts import ArrayFacts, Converters
from cimc.training.chip import copied
from cimc.training.network import Network, Weights
from cimc.training.settings import Settings

BIAS_SHARE = 0.3
TYPICAL_SHARE = 0.25
"""Biases move in units of a share of their column's output, whose inputs are typically a share of the largest."""


class Parameters(NamedTuple):
    """Weights and biases by name; by the label of a value, the largest |real value| of its codes (`inputs`).

    `columns` (row block, column), by the label of a layer, are the real sums at which the ADC's codes end. In units,
    weights are multiples of theirs and ranges the logarithms of such multiples; what is not learnt has none.
    """

    weights: Mapping[str, Any]
    inputs: Mapping[str, Any]
    columns: Mapping[str, Any]


@dataclass(frozen=True)
class Learning:
    """What of a network is learnt, from the weights and the facts that training begins with.

    `reads` has, by the label of a layer, the label of the value that it reads, where the range of that is open to
    choice: of other layers no range is learnt.
    """

    network: Network
    settings: Settings
    begun: Weights
    facts: ArrayFacts
    reads: Mapping[str, str]

    @property
    def units(self) -> Parameters:
        """The units of all weights, and of the ranges that are learnt.

        Where columns learn a factor the weights that training begins with are the units, and where weights stay, too.
        """
        weights = units_of(self.network, self.facts)
        if self.settings.learns("columns"):
            weights |= {op.weight.key.data: self.begun[op.weight.key.data] for op in self.network.layers}
        elif not self.settings.learns("all"):
            weights = dict(self.begun)
        found = self.facts.converters
        layers = [op for op in self.network.layers if op.label.data in found.keys() & self.reads.keys()]
        layers = layers if self.settings.learns("ranges") else []
        inputs = {self.reads[op.label.data]: _largest_value(found[op.label.data]) for op in layers}
        return Parameters(weights, inputs, {op.label.data: self._ends(op) for op in layers if self._has_gain(op)})

    def start(self, units: Parameters) -> Parameters:
        """Return what training begins with, in units."""
        learnt = self.begun if self.settings.learns("all") or self.settings.learns("columns") else {}
        weights = {key: jnp.asarray(in_units(array, units.weights[key])) for key, array in learnt.items()}
        return Parameters(weights, *({label: jnp.zeros_like(one) for label, one in many.items()} for many in units[1:]))

    def converters(self, found: Mapping[str, Converters], made: Parameters) -> dict[str, Converters]:
        """Return the converters that the compiler has found, with learnt ranges in place of their own."""
        changed = dict(found)
        for op in self.network.layers:
            label = op.label.data
            if label in found and self.reads.get(label) in made.inputs:
                scale = made.inputs[self.reads[label]] / _largest_code(found[label])
                changed[label] = found[label]._replace(scale=scale)
            if label in made.columns:
                peak = made.columns[label] / self._step(op, made.weights, changed[label])
                changed[label] = changed[label]._replace(peak=peak)
        return changed

    def ranges(self, made: Parameters) -> Ranges:
        """Return learnt ranges as the passes take them: codes of values, and peaks of columns in products' order."""
        changed = self.converters(self.facts.converters, made)
        read = {self.reads[label]: at for label, at in changed.items() if self.reads.get(label) in made.inputs}
        peaks = {self.facts.products[label]: changed[label].peak for label in made.columns}
        return Ranges(
            activations={value: _ends_of_codes(at) for value, at in read.items()},
            columns={product.label: _in_order(peak, product.groups) for product, peak in peaks.items()},
        )

    def _has_gain(self, op: nn.Layer) -> bool:
        """Return whether columns fill ADCs by a gain: where ADCs have none, no sums were measured."""
        return bool(self.facts.converters[op.label.data].peak.any())

    def _ends(self, op: nn.Layer) -> Any:
        """Return the real sums at which columns end, as the compiler has it."""
        at = self.facts.converters[op.label.data]
        return np.asarray(np.maximum(at.peak, 1.0) * self._step(op, self.begun, at), np.float32)

    def _step(self, op: nn.Layer, weights: Weights, at: Converters) -> Array:
        """Return (row block, column) what a unit of the array sum is worth at full conductance."""
        weight = jax.lax.stop_gradient(jnp.asarray(weights[op.weight.key.data]))
        flat = copied(jnp.abs(weight.reshape(-1, weight.shape[-1])), at.copies(weight.shape[-1]))
        largest = jnp.stack([flat[first:last].max(axis=0) for first, last in self.facts.cuts[op.label.data]])
        return jnp.asarray(jnp.where(largest > 0.0, largest, 1.0) / self.facts.full * at.scale)


def renamed(chosen: Chosen, graph: Graph, written: Graph, target: Target) -> Chosen:
    """Return what was chosen and learnt for a graph under the labels of what was written of it and read again.

    Layers are the same in the same order. Raises CimcError CIM0121 where they are not.
    """
    layers, others = ([op for op in one.operations if isinstance(op, nn.Layer)] for one in (graph, written))
    came, back = [graph.weights.get(op.weight) for op in layers], [written.weights.get(op.weight) for op in others]
    names = {op.label.data: other.label.data for op, other in zip(layers, others, strict=False)}
    reads, now = ranges_read(graph, target), ranges_read(written, target)
    same = len(layers) == len(others) and all(map(np.array_equal, came, back))
    if not same or {names[label] for label in reads} != now.keys():
        message = "read again, the model that is written has layers with other weights: what was chosen is not for them"
        hint = "give -o TRAINED.mlir, and compile that with `cimc compile TRAINED.mlir --from graph`"
        raise fail("CIM0121", message, hint=hint)
    values = {value: now[names[label]] for label, value in reads.items()}
    _require_read(chosen.reach, values)
    products = names | {columns_of(label): columns_of(other) for label, other in names.items()}
    activations = {values[label]: ends for label, ends in chosen.learnt.activations.items()}
    columns = {products[label]: peaks for label, peaks in chosen.learnt.columns.items()}
    return Chosen(
        {products[label]: bits for label, bits in chosen.bits.items() if label in products},
        {values[label]: factor for label, factor in chosen.reach.items()},
        Ranges(activations, columns),
        {products[label]: count for label, count in chosen.rows.items() if label in products},
    )


def _require_read(factors: Collection[str], values: Collection[str]) -> None:
    """Raise CimcError CIM0204 for the factor of a range that no layer reads: nothing else is chosen by `cimc tune`."""
    for label in (label for label in factors if label not in values):
        message = f"the ranges hold a factor for {label!r}, which is no value that layers read"
        raise fail("CIM0204", message, hint="write them with `cimc tune` for this model")


def real(found: Parameters, units: Parameters) -> Parameters:
    """Return parameters in units as what they are; weights that are not learnt are their units."""
    weights = {key: found.weights[key] * unit if key in found.weights else unit for key, unit in units.weights.items()}
    logarithms = zip(found[1:], units[1:], strict=True)
    return Parameters(weights, *({key: jnp.exp(many[key]) * unit[key] for key in many} for many, unit in logarithms))


def in_units(array: Any, unit: Any) -> Any:
    """Return weights in units of their columns: for a unit that is the weight itself, the factor of each column."""
    return np.ones(array.shape[-1], np.float32) if np.ndim(unit) > 1 else array / unit


def units_of(network: Network, facts: ArrayFacts) -> dict[str, Any]:
    """Return the unit of every weight, the mean |weight| of its column, and of every bias, a share of its sums.

    Batch norms that were fused leave columns of very unlike scale: one learning rate suits none of them otherwise.
    """
    found = {}
    for op in network.layers:
        weight = network.weights[op.weight.key.data]
        flat = np.abs(weight.reshape(-1, weight.shape[-1]))
        column = np.where(flat.max(axis=0) > 0.0, flat.mean(axis=0), 1.0)
        found[op.weight.key.data] = column
        if op.bias is not None:
            reach = TYPICAL_SHARE * facts.reach.get(op.label.data, 1.0)
            found[op.bias.key.data] = BIAS_SHARE * column * reach * np.sqrt(len(flat))
    return {key: np.asarray(value, np.float32) for key, value in found.items()}


def _largest_code(at: Converters) -> Any:
    """Return the largest |code|, counted from the zero point."""
    return jnp.maximum(at.high - at.zero, at.zero - at.low)


def _largest_value(at: Converters) -> Any:
    return np.asarray(at.scale * _largest_code(at), np.float32)


def _ends_of_codes(at: Converters) -> tuple[float, float]:
    """Return the real values of the lowest and the highest code, as ranges are stored."""
    return rounded(float(at.scale * (at.low - at.zero))), rounded(float(at.scale * (at.high - at.zero)))


def _in_order(peaks: Any, groups: int) -> tuple[int, ...]:
    """Return peaks (row block, column of all groups) in the order of (group, row block, column)."""
    apart = np.moveaxis(np.asarray(peaks, np.float64).reshape(len(peaks), groups, -1), 1, 0)
    return tuple(max(int(rounded(peak)), 1) for peak in apart.ravel().tolist())
