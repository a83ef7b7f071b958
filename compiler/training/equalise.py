"""Scales moved between layers before training: the function stays, devices and DACs add less to what columns sum.

Channels of a value get a positive scale: the columns that make them are multiplied by it, the rows that read them are
divided. Noise is that of devices in units of their column's largest weight, and of the DAC's rounding, as shares of the
signal; which scales make it least is found by gradients.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array
from xdsl.ir import Operation, SSAValue

from cimc.ir import nn
from cimc.ir.attributes import float_values, int_value
from cimc.ir.types import shape_of
from cimc.training.array_facts import ArrayFacts
from cimc.training.chip import DeviceTable
from cimc.training.network import Network
from cimc.training.operations import product

RATE = 0.02
"""Adam's, of the logarithms of scales."""
LARGEST = 4.0
"""How far the logarithm of a scale may go: weights stay numbers that float32 knows well."""

TINY = 1e-30
"""Taken for a column without weights or signal."""

Scales = Mapping[SSAValue, Array]
"""Logarithms of the scales [channels], by the value that stands for all that share them."""


@dataclass
class Groups:
    """Which values share their scales: each is led to one that stands for all; `fixed` are those that keep theirs."""

    leaders: dict[SSAValue, SSAValue] = field(default_factory=dict)
    fixed: set[SSAValue] = field(default_factory=set)

    def leader(self, value: SSAValue) -> SSAValue:
        while (above := self.leaders.get(value, value)) is not value:
            value = above
        return value

    def join(self, *values: SSAValue) -> None:
        first, *others = map(self.leader, values)
        for other in others:
            if other is not first:
                self.leaders[other] = first

    def fix(self, *values: SSAValue) -> None:
        self.fixed.update(values)

    def free(self, values: Iterable[SSAValue]) -> list[SSAValue]:
        """Return those that stand for groups none of whose values is fixed, in order."""
        kept = {self.leader(value) for value in self.fixed}
        return [one for one in dict.fromkeys(map(self.leader, values)) if one not in kept]


def groups_of(network: Network) -> Groups:
    """Return which values of a network share scales; those of operations for which scales do not pass are fixed."""
    groups = Groups()
    weights = [op.weight.key.data for op in network.layers]
    for op in network.graph.module.ops:
        if isinstance(op, nn.Layer):
            if not _takes_scales(op) or weights.count(op.weight.key.data) > 1:
                groups.fix(op.x, op.out)
            elif not _is_homogeneous(op):
                groups.fix(op.out)
        elif isinstance(op, nn.AddOp | nn.AvgPoolOp | nn.MaxPoolOp | nn.ReshapeOp) and _passes_scales(op):
            groups.join(op.out, *op.operands)
        else:
            for inner in op.walk():
                groups.fix(*inner.operands, *inner.results)
    return groups


def _takes_scales(op: nn.Layer) -> bool:
    """Return whether a layer's rows repeat the channels that it reads, or each column has one of its own."""
    channels = shape_of(op.x)[-1]
    if isinstance(op, nn.ConvOp) and int_value(op.group) > 1:
        return op.is_depthwise and channels == shape_of(op.out)[-1]
    return bool(op.weight.dims[-2] == channels)


def _is_homogeneous(op: Operation) -> bool:
    """Return whether an operation's clamp, if there is one, is a ReLU: positive scales go through it."""
    clamp = op.clamp if isinstance(op, nn.Activated) else None
    if clamp is None:
        return True
    low, high = float_values(clamp)
    return (low == 0.0 or low <= -nn.UNBOUNDED) and high >= nn.UNBOUNDED


def _passes_scales(op: nn.Canonical) -> bool:
    last = {shape_of(operand)[-1] for operand in op.operands}
    return _is_homogeneous(op) and last == {shape_of(op.out)[-1]}


class Flow(NamedTuple):
    """Of one layer: mean square and largest of the channels [rows] that its columns read, variance of the columns."""

    square: Any
    largest: Any
    variance: Any


@dataclass(frozen=True)
class Equaliser:
    """A network; facts of the array, and the deviations of its devices."""

    network: Network
    facts: ArrayFacts
    table: DeviceTable

    @cached_property
    def groups(self) -> Groups:
        """Which values share scales."""
        return groups_of(self.network)

    @property
    def layers(self) -> list[nn.Layer]:
        """The layers outside of loops."""
        return [op for op in self.network.graph.module.ops if isinstance(op, nn.Layer)]

    def weights(self, scales: Scales) -> dict[str, Any]:
        """Return the network's weights and biases with scales moved."""
        found: dict[str, Any] = dict(self.network.weights)
        for op in self.layers:
            made, read = self._scale(scales, op.out), self._scale(scales, op.x)
            rows = read if op.is_depthwise else read[:, None]
            found[op.weight.key.data] = found[op.weight.key.data] / rows * made
            if op.bias is not None:
                found[op.bias.key.data] = found[op.bias.key.data] * made
        return found

    def noise(self, flows: Mapping[str, Flow], scales: Scales) -> Array:
        """Return noise over signal: the mean over the columns of each layer on the array, summed over layers."""
        weights = self.weights(scales)
        shares = [
            self._share(op, self._scaled(flows[op.label.data], op, scales), weights[op.weight.key.data])
            for op in self.layers
            if op.label.data in flows
        ]
        return jnp.asarray(sum(shares, jnp.zeros(())))

    def flows(self, inputs: Mapping[str, Array]) -> dict[str, Flow]:
        """Return what flows through the layers of the array whose rows take scales, before any: others' noise stays."""
        values = self.network.values(self.network.weights, inputs)
        return {
            op.label.data: _flow(op, values[op.x], self.network.weights[op.weight.key.data])
            for op in self.layers
            if op.label.data in self.facts.converters and _takes_scales(op) and not op.is_depthwise
        }

    def _scaled(self, flow: Flow, op: nn.Layer, scales: Scales) -> Flow:
        made, read = self._scale(scales, op.out), self._scale(scales, op.x)
        return Flow(flow.square * read**2, flow.largest * read, flow.variance * made**2)

    def _steps(self, op: nn.Layer) -> float:
        """Return how many codes of a layer's DACs the largest input that they take is worth."""
        return self.facts.reach[op.label.data] / float(self.facts.converters[op.label.data].scale)

    def _share(self, op: nn.Layer, flow: Flow, weight: Array) -> Array:
        copies = self.facts.converters[op.label.data].copies(weight.shape[-1])
        flat = weight.reshape(-1, *weight.shape[-2:])
        largest = jnp.abs(flat).max((0, 1)) + TINY
        known = jnp.asarray(self.table.deviation)
        deviation = jnp.interp(jnp.abs(flat) / largest * self.facts.full, jnp.arange(len(known)), known)
        devices = jnp.square(deviation / self.facts.full * largest) * flow.square[:, None] / copies
        rounding = jnp.square(flow.largest.max() / self._steps(op) * flat) / 12.0
        return jnp.asarray(((devices + rounding).sum((0, 1)) / flow.variance).mean())

    def _scale(self, scales: Scales, value: SSAValue) -> Array:
        """Return the scales [channels] of a value, a single 1 for one that keeps its own."""
        leader = self.groups.leader(value)
        return jnp.exp(scales[leader]) if leader in scales else jnp.ones(1)


def equalised(equaliser: Equaliser, inputs: Mapping[str, Array], steps: int) -> dict[str, Any]:
    """Return the weights of the network with the scales found in so many steps; the function is what it was."""
    flows = jax.jit(equaliser.flows)(inputs)
    values = [value for op in equaliser.layers for value in (op.x, op.out)]
    free = equaliser.groups.free(values)
    adam = optax.adam(RATE)

    def step(logs: list[Array], state: Any) -> tuple[list[Array], Any]:
        gradient = jax.grad(lambda found: equaliser.noise(flows, dict(zip(free, found, strict=True))))(logs)
        updates, state = adam.update(gradient, state)
        moved = optax.apply_updates(logs, updates)
        return [jnp.clip(one, -LARGEST, LARGEST) for one in moved], state

    logs = [jnp.zeros(shape_of(value)[-1]) for value in free]
    state, compiled = adam.init(logs), jax.jit(step)
    for _ in range(steps):
        logs, state = compiled(logs, state)
    found = equaliser.weights(dict(zip(free, logs, strict=True)))
    return {key: np.asarray(array, np.float32) for key, array in found.items()}


def _flow(op: nn.Layer, x: Array, weight: Array) -> Flow:
    y = product(op, x, weight)
    channels = x.reshape(-1, x.shape[-1])
    return Flow(jnp.square(channels).mean(0), jnp.abs(channels).max(0), y.reshape(-1, y.shape[-1]).var(0) + TINY)
