"""What training minimises: the student on a noisy chip, and without noise, against its teacher."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from cimc.training.array_facts import ArrayFacts, Converters
from cimc.training.chip import Chip, DeviceTable
from cimc.training.network import Network, Values, Weights
from cimc.training.settings import Settings
from cimc.training.student import Sums, on_chip

Inputs = Mapping[str, Array]


@dataclass(frozen=True)
class Objective:
    """The loss of a network's weights on a batch."""

    network: Network
    settings: Settings
    facts: ArrayFacts

    def loss(
        self,
        weights: Weights,
        teacher: Weights,
        inputs: Inputs,
        labels: Array | None,
        converters: Mapping[str, Converters],
        table: DeviceTable,
        key: Array,
        refit: Array,
    ) -> Array:
        """Return the loss of weights on one chip drawn by `key`, whose columns are fitted where `refit`.

        `labels` [N, classes] are shares of classes.
        """
        taught = self.network.values(teacher, inputs)
        clean = Sums()
        alone = self.network.values(weights, inputs, clean)
        chip = Chip(self.facts, converters, table)
        aims = clean.kept if "refit" in self.settings.turns else {}
        noisy = on_chip(self.network, chip, weights, inputs, key, aims, refit)
        total = self.distance(noisy, taught) + self.settings.clean * self.distance(alone, taught)
        if self.settings.feature:
            total = total + self.settings.feature * self._features(noisy, taught)
        if labels is not None and self.settings.labels:
            total = total + self.settings.labels * cross_entropy(self._logits(noisy), labels)
        return total

    def distance(self, student: Values, teacher: Values) -> Array:
        """Return the cross entropy of classes, or the squared difference of values over their variance."""
        if self.settings.objective == "classes":
            return cross_entropy(self._logits(student), jax.nn.softmax(self._logits(teacher)))
        return difference(student[self.network.logits], teacher[self.network.logits])

    def _logits(self, values: Values) -> Array:
        logits = values[self.network.logits]
        return logits.reshape(len(logits), -1)

    def _features(self, student: Values, teacher: Values) -> Array:
        found = [difference(student[value], teacher[value]) for value in self.network.features]
        return sum(found, jnp.zeros(())) / max(len(found), 1)


def cross_entropy(logits: Array, shares: Any) -> Array:
    """Return the mean cross entropy of logits [N, classes] with shares of classes."""
    return jnp.asarray(-(shares * jax.nn.log_softmax(logits)).sum(-1).mean())


def difference(student: Array, teacher: Array) -> Array:
    """Return the mean squared difference over the mean variance of a channel."""
    channels = teacher.reshape(-1, teacher.shape[-1])
    return jnp.asarray(jnp.square(student - teacher).mean() / (channels.var(0).mean() + 1e-12))
