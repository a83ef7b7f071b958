"""The optimiser: Adam on what is learnt, in units of columns, one chip a step, and an average of what it was."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array

from cimc.passes.ranges import Ranges
from cimc.training.array_facts import ArrayFacts, Converters
from cimc.training.batches import Data, batch
from cimc.training.chip import DeviceTable
from cimc.training.learnt import Learning, Parameters, real
from cimc.training.network import Network, Weights
from cimc.training.objective import Objective
from cimc.training.pruning import Masks
from cimc.training.settings import Settings

WARM_UP = 30
"""Steps until the learning rate is whole; it then falls to zero with a cosine."""
BETA2 = 0.99
"""Adam's memory of squared gradients: shorter than usual, for runs of some hundred steps."""


class State(NamedTuple):
    """What is carried from step to step; `step` is the next one, `done` the sum of the averages of ended runs."""

    step: Any
    learnt: Any
    average: Any
    optimiser: Any
    done: Any


@dataclass(frozen=True)
class Run:
    """Training, in one run or several; times are those of `tables`.

    `measure` asks the compiler for the facts of some weights and learnt ranges. The network's own weights are the
    teacher's; the student has what the masks `kept` leave of those that learning has begun with.
    """

    learning: Learning
    data: Data
    seed: int
    tables: Sequence[DeviceTable]
    measure: Callable[[Weights, Ranges], ArrayFacts]
    kept: Masks

    @property
    def network(self) -> Network:
        return self.learning.network

    @property
    def settings(self) -> Settings:
        return self.learning.settings

    def begin(self, units: Parameters) -> State:
        """Return the state of the first step: parameters in units."""
        start = self.learning.start(units)
        none = jax.tree.map(jnp.zeros_like, start)
        return State(jnp.zeros((), jnp.int32), start, start, self._adam.init(start), none)

    def steps(self, state: State, units: Parameters) -> Iterator[tuple[State, float]]:
        """Yield the state behind every step, and its loss. Facts are measured anew every `settings.measure` steps.

        The step is compiled once: facts of other weights have the same shapes, and what differs is an argument.
        """
        facts: ArrayFacts | None = None
        compiled: Any = None
        turns = self.settings.turns
        for step in range(int(state.step), self.settings.all_steps):
            if facts is None or step % self.settings.measure == 0:
                made = real(state.learnt, units)
                facts = self.measure(made.weights, self.learning.ranges(made))
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

    def _left(self, learnt: Parameters) -> Parameters:
        """Return parameters whose weights that pruning has left out are zero."""
        return learnt._replace(
            weights={key: _masked(value, self.kept.get(key)) for key, value in learnt.weights.items()}
        )

    def _behind_run(self, state: State, units: Parameters, runs: int) -> State:
        """Return the state from which the next of the runs begins: the mean of the start and the `runs` behind it."""
        done = jax.tree.map(jnp.add, state.done, state.average)
        mean = jax.tree.map(lambda start, total: (start + total) / (runs + 1), self.learning.start(units), done)
        return State(state.step, mean, mean, self._adam.init(mean), done)

    @property
    def _adam(self) -> Any:
        return optax.adam(partial(_rate, self.settings), b2=BETA2)

    def _step(
        self,
        objective: Objective,
        state: State,
        units: Parameters,
        teacher: Weights,
        inputs: Mapping[str, Array],
        labels: Array | None,
        found: Mapping[str, Converters],
        table: DeviceTable,
        key: Array,
        refit: Array,
    ) -> tuple[State, Array]:
        def loss(learnt: Parameters) -> Array:
            made = real(learnt, units)
            converters = self.learning.converters(found, made)
            return objective.loss(made.weights, teacher, inputs, labels, converters, table, key, refit)

        reached, gradient = jax.value_and_grad(loss)(state.learnt)
        updates, optimiser = self._adam.update(gradient, state.optimiser)
        learnt = self._left(optax.apply_updates(state.learnt, updates))
        kept = self.settings.average
        average = jax.tree.map(lambda old, new: kept * old + (1.0 - kept) * new, state.average, learnt)
        return State(state.step + 1, learnt, average, optimiser, state.done), reached


def _rate(settings: Settings, step: Array) -> Array:
    warm = jnp.minimum(1.0, (step + 1) / WARM_UP)
    return settings.rate * warm * 0.5 * (1.0 + jnp.cos(jnp.pi * step / settings.steps))


def _masked(value: Array, mask: Any) -> Array:
    """Return weights without those that a mask leaves out; factors of columns have no cells to leave out."""
    return value if mask is None or mask.shape != value.shape else jnp.where(mask, value, 0.0)
