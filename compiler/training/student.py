"""The student on a chip: every layer of the array by its cells and converters, with its outputs compensated."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import jax
import jax.numpy as jnp
from jax import Array

from cimc.ir import loop, nn
from cimc.training.chip import Cells, Chip, averaged, converted, copied, read
from cimc.training.network import LayerMeaning, Network, ValueMeaning, Values, Weights
from cimc.training.operations import biased, linear, product

GAINS = (0.25, 4.0)
"""What a refit may multiply a column by."""


@dataclass
class Sums:
    """A way of computing layers that keeps the products it gives, by label: what a refit aims at."""

    kept: dict[str, Array] = field(default_factory=dict)

    def __call__(self, op: nn.Layer, x: Array, weight: Array, bias: Array | None) -> Array:
        y = product(op, x, weight)
        if loop.scan_of(op) is None:
            self.kept[op.label.data] = jax.lax.stop_gradient(y)
        return biased(y, bias)


def on_chip(
    network: Network,
    chip: Chip,
    weights: Weights,
    inputs: Mapping[str, Array],
    key: Array,
    aims: Mapping[str, Array] | None = None,
    refit: bool | Array = True,
) -> Values:
    """Return every value of the network on a chip drawn by `key`; with `refit`, columns are fitted to the sums `aims`.

    Layers in loops are not refitted: their devices are the same in every step.
    """
    cells = {}
    for number, op in enumerate(network.layers):
        if op.label.data in chip.converters:
            cells[op.label.data] = chip.cells(op, weights[op.weight.key.data], jax.random.fold_in(key, number))
    return network.values(weights, inputs, layers(chip, cells, aims or {}, refit), codes(chip))


def layers(
    chip: Chip, cells: Mapping[str, list[Cells]], aims: Mapping[str, Array], refit: bool | Array = True
) -> LayerMeaning:
    """Return the way of computing layers on a chip: those with `cells` by them; `refit` fits columns to `aims`."""

    def layer(op: nn.Layer, x: Array, weight: Array, bias: Array | None) -> Array:
        label, outputs = op.label.data, weight.shape[-1]
        if label not in cells:
            return linear(op, x, weight, bias)
        at = chip.converters[label]
        copies = at.copies(outputs)
        driven = read(x, at)
        blocks = [converted(op, driven, block, at, chip.facts.adc) for block in cells[label]]
        y = blocks[0] if len(blocks) == 1 else jnp.sum(jnp.stack(blocks), axis=0)
        if label in aims:
            y = jnp.where(refit, refitted(y, copied(aims[label], copies)), y)
        return averaged(biased(y, None if bias is None else copied(bias, copies)), at.averaged, outputs)

    return layer


def codes(chip: Chip) -> ValueMeaning:
    """Return what is kept of a value that layers read: its codes, which all read, sums and pools too."""

    def kept(op: nn.Canonical, x: Array) -> Array:
        layer = chip.facts.coded.get(op.label.data)
        return x if layer is None else read(x, chip.converters[layer])

    return kept


def refitted(y: Array, aim: Array) -> Array:
    """Return columns with the gain and offset that fit them best, in least squares, to what they should be."""
    axes = tuple(range(y.ndim - 1))
    mean, wanted = y.mean(axes), aim.mean(axes)
    power = jnp.square(y - mean).mean(axes)
    gain = ((y - mean) * (aim - wanted)).mean(axes) / (power + 1e-9 * (jnp.square(wanted) + 1.0))
    return (y - mean) * jnp.clip(gain, *GAINS) + wanted
