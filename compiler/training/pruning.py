"""Pruning: which weights of the array stay. The others are zero, and their cells need no devices."""

from collections.abc import Iterable, Iterator, Mapping
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import NDArray

from cimc.passes.channels import Course, courses
from cimc.training.array_facts import ArrayFacts
from cimc.training.batches import Data
from cimc.training.network import Network, Weights
from cimc.training.settings import Settings

Masks = Mapping[str, NDArray[np.bool_]]
"""Of weights of which some are pruned: those that stay."""
ANSWERS, AT_ONCE = 1024, 8
"""Answers that gradients are taken of, and how many of them are summed before they are squared."""


def kept(network: Network, facts: ArrayFacts, settings: Settings, data: Data, seed: int) -> Masks:
    """Return what stays when shares of the array's cells, or of its columns, are pruned; `data` say what is needed."""
    found = dict(_cells(network, facts, settings, _needed(network, settings, data, seed))) if settings.prune else {}
    for key, mask in _columns(network, facts, settings.prune_columns) if settings.prune_columns else ():
        found[key] = found.get(key, True) & mask
    return found


def masked(weights: Weights, masks: Masks) -> dict[str, Any]:
    """Return weights with those that are pruned set to zero."""
    return {key: np.where(masks.get(key, True), array, np.float32(0.0)) for key, array in weights.items()}


def _cells(network: Network, facts: ArrayFacts, settings: Settings, needed: Weights) -> Iterator[tuple[str, Any]]:
    """Yield which cells stay: all but those that are needed least, of all layers together."""
    keys = sorted({op.weight.key.data for op in network.layers if op.label.data in facts.converters})
    flat = [np.asarray(needed[key]).ravel() for key in keys]
    bound = np.quantile(np.concatenate(flat), settings.prune) if flat else 0.0
    yield from ((key, np.asarray(needed[key]) > bound) for key in keys)


def _needed(network: Network, settings: Settings, data: Data, seed: int) -> Weights:
    """Return of every weight how far answers move, to second order, when it becomes zero.

    That is its square times the mean squared gradient of the likelihood of answers that the network itself gives, the
    diagonal of Fisher's information (LeCun et al., Optimal Brain Damage, 1989; Theis et al., arXiv 1801.05787).
    """
    squares = jax.jit(partial(_squares, network, settings.objective))
    total = jax.tree.map(jnp.zeros_like, dict(network.weights))
    for first in range(0, ANSWERS, AT_ONCE):
        rows = data.rows(np.arange(first, first + AT_ONCE) % data.count)
        key = jax.random.fold_in(jax.random.key(seed), first)
        total = jax.tree.map(jnp.add, total, squares(network.weights, rows.inputs, key))
    return {key: jnp.square(weight) * total[key] for key, weight in network.weights.items()}


def _squares(
    network: Network, objective: str, weights: Weights, inputs: Mapping[str, Array], key: Array
) -> dict[str, Array]:
    def likelihood(weights: Weights) -> Array:
        found = network.values(weights, inputs)[network.logits]
        logits = found.reshape(len(found), -1)
        if objective == "classes":
            answers = jax.lax.stop_gradient(jax.random.categorical(key, logits))
            return jax.nn.log_softmax(logits)[jnp.arange(len(logits)), answers].sum()
        return (logits * jax.random.normal(key, logits.shape)).sum()

    return {key: jnp.square(slope) for key, slope in jax.grad(likelihood)(dict(weights)).items()}


def _columns(network: Network, facts: ArrayFacts, share: float) -> Iterator[tuple[str, Any]]:
    """Yield which columns stay, with the biases and the rows that are theirs: of each layer one at least."""
    found = [course for course in courses(network.graph) if course.layer.label.data in facts.converters]
    sizes = [_sizes(network, course) for course in found]
    bound = np.quantile(np.concatenate(sizes), share) if sizes else 0.0
    for course, size in zip(found, sizes, strict=True):
        yield from _of_course(network, course, size >= min(bound, size.max()))


def _sizes(network: Network, course: Course) -> NDArray[Any]:
    """Return how much each channel is worth beside the others: the size of its columns times that of its rows."""
    made = [_norms(network.weights[op.weight.key.data], range(len(op.weight.dims) - 1)) for op in course.made]
    read = [_rows_read(network, course, op.weight.key.data) for op in course.readers]
    size = np.prod(made, axis=0) * (np.sum(read, axis=0) if read else 1.0)
    return np.asarray(size / max(float(size.mean()), 1e-30))


def _rows_read(network: Network, course: Course, key: str) -> NDArray[Any]:
    weight = network.weights[key]
    return _norms(weight.reshape(-1, course.channels, weight.shape[-1]), (0, 2))


def _norms(weight: NDArray[Any], axes: Iterable[int]) -> NDArray[Any]:
    return np.asarray(np.sqrt(np.square(weight).sum(axis=tuple(axes))))


def _of_course(network: Network, course: Course, mask: NDArray[np.bool_]) -> Iterator[tuple[str, Any]]:
    for op in course.made:
        for ref in (op.weight, op.bias):
            if ref is not None:
                yield ref.key.data, np.broadcast_to(mask, network.weights[ref.key.data].shape)
    for op in course.readers:
        yield op.weight.key.data, np.broadcast_to(course.rows(op, mask)[:, None], op.weight.dims)
