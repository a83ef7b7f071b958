"""The optimiser: Adam on weights in units of their columns, one chip a step, and an average of the weights."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from cimc.training.array_facts import ArrayFacts
from cimc.training.batches import Data, batch
from cimc.training.chip import DeviceTable
from cimc.training.network import Network, Weights
from cimc.training.objective import Objective
from cimc.training.pruning import Masks, masked
from cimc.training.settings import Settings

WARM_UP = 30
"""Steps until the learning rate is whole; it then falls to zero with a cosine."""
BETA2 = 0.99
"""Adam's memory of squared gradients: shorter than usual, for runs of some hundred steps."""
BIAS_SHARE = 0.3
TYPICAL_SHARE = 0.25
"""Biases move in units of a share of their column's output, whose inputs are typically a share of the largest."""


class State(NamedTuple):
    """What is carried from step to step; `step` is the next one, `done` the sum of the averages of ended runs."""

    step: Any
    weights: Any
    average: Any
    optimiser: Any
    done: Any


@dataclass(frozen=True)
class Run:
    """Training, in one run or several; times are those of `tables`.

    `measure` asks the compiler for the facts of some weights. The network's own weights are the teacher's; of them the
    student has those that the masks `kept` leave.
    """

    network: Network
    settings: Settings
    data: Data
    seed: int
    tables: Sequence[DeviceTable]
    measure: Callable[[Weights], ArrayFacts]
    kept: Masks

    def begin(self, units: Weights) -> State:
        """Return the state of the first step: weights in units of their columns."""
        weights = self._start(units)
        none = jax.tree.map(jnp.zeros_like, weights)
        return State(jnp.zeros((), jnp.int32), weights, weights, self._adam.init(weights), none)

    def steps(self, state: State, units: Weights) -> Iterator[tuple[State, float]]:
        """Yield the state behind every step, and its loss. Facts are measured anew every `settings.measure` steps.

        The step is compiled once: facts of other weights have the same shapes, and what differs is an argument.
        """
        facts: ArrayFacts | None = None
        compiled: Any = None
        turns = self.settings.turns
        for step in range(int(state.step), self.settings.all_steps):
            if facts is None or step % self.settings.measure == 0:
                facts = self.measure(real(state.weights, units))
                compiled = compiled or jax.jit(partial(self._step, Objective(self.network, self.settings, facts)))
            refit = turns[step % len(turns)] == "refit"
            table = self.tables[(step // len(turns)) % len(self.tables)]
            drawn = batch(self.data, self.settings, self.seed, step)
            key = jax.random.fold_in(jax.random.key(self.seed), step)
            arrays = drawn.inputs, drawn.labels, facts.converters, table
            state, loss = compiled(state, units, self.network.weights, *arrays, key, refit)
            if (step + 1) % self.settings.steps == 0:
                state = self._behind_run(state, units, (step + 1) // self.settings.steps)
            yield state, float(loss)

    def _start(self, units: Weights) -> dict[str, Array]:
        return {key: jnp.asarray(in_units(array, units[key])) for key, array in self.begun.items()}

    @property
    def begun(self) -> dict[str, Any]:
        """The weights that the student begins with."""
        return masked(self.network.weights, self.kept)

    def _left(self, weights: Weights) -> Any:
        """Return weights of which those that pruning has left out are zero."""
        return {key: _masked(value, self.kept.get(key)) for key, value in weights.items()}

    def _behind_run(self, state: State, units: Weights, runs: int) -> State:
        """Return the state from which the next of the runs begins: the mean of the start and the `runs` behind it."""
        done = jax.tree.map(jnp.add, state.done, state.average)
        mean = jax.tree.map(lambda start, total: (start + total) / (runs + 1), self._start(units), done)
        return State(state.step, mean, mean, self._adam.init(mean), done)

    @property
    def _adam(self) -> Any:
        return optax.adam(partial(_rate, self.settings), b2=BETA2)

    def _step(
        self,
        objective: Objective,
        state: State,
        units: Weights,
        teacher: Weights,
        inputs: Mapping[str, Array],
        labels: Array | None,
        converters: Any,
        table: DeviceTable,
        key: Array,
        refit: Array,
    ) -> tuple[State, Array]:
        def loss(weights: Weights) -> Array:
            return objective.loss(real(weights, units), teacher, inputs, labels, converters, table, key, refit)

        found, gradient = jax.value_and_grad(loss)(state.weights)
        updates, optimiser = self._adam.update(gradient, state.optimiser)
        weights = self._left(optax.apply_updates(state.weights, updates))
        kept = self.settings.average
        average = jax.tree.map(lambda old, new: kept * old + (1.0 - kept) * new, state.average, weights)
        return State(state.step + 1, weights, average, optimiser, state.done), found


def _rate(settings: Settings, step: Array) -> Array:
    warm = jnp.minimum(1.0, (step + 1) / WARM_UP)
    return settings.rate * warm * 0.5 * (1.0 + jnp.cos(jnp.pi * step / settings.steps))


def real(weights: Weights, units: Weights) -> dict[str, Any]:
    """Return weights in units of their columns as what they are."""
    return {key: value * units[key] for key, value in weights.items()}


def _masked(value: Array, mask: Any) -> Array:
    """Return weights without those that a mask leaves out; factors of columns have no cells to leave out."""
    return value if mask is None or mask.shape != value.shape else jnp.where(mask, value, 0.0)


def in_units(array: Any, unit: Any) -> Any:
    """Return weights in units of their columns: for a unit that is the weight itself, the factor of each column."""
    return np.ones(array.shape[-1], np.float32) if np.ndim(unit) > 1 else array / unit


def of_columns(network: Network, begun: Weights, units: Weights) -> dict[str, Any]:
    """Return units that are the weights themselves: what is learnt is then a factor of each column, and its bias."""
    return {**units, **{op.weight.key.data: begun[op.weight.key.data] for op in network.layers}}


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
