"""How a network's loss curves with the weights of layers, column by column: Fisher's information."""

from collections.abc import Mapping, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import NDArray

from cimc.passes.split import balanced_cuts
from cimc.training.batches import Data, batch
from cimc.training.network import Network, Weights
from cimc.training.settings import Settings

ANSWERS = 8192
"""Answers that curvature is the sum over, at least."""
BLOCK = 1024
"""Rows of a column whose curvature is reckoned together, at most: so many numbers are kept for each weight."""
DAMPING = 0.01
"""The share of itself that the diagonal is made larger by: answers are too few to tell every direction."""
LEAST = 1e-12
"""What the diagonal is at least, for weights that no answer needs, as a share of its mean."""

Blocks = Sequence[NDArray[Any]]
"""Of a layer's weight: arrays [columns, rows, rows], one for each block of rows."""


def blocks(rows: int) -> list[slice]:
    """Return the blocks that a layer's rows are cut into."""
    return [slice(*ends) for ends in pairwise(balanced_cuts(rows, BLOCK))]


def curvature(network: Network, keys: Sequence[str], settings: Settings, data: Data, seed: int) -> Mapping[str, Blocks]:
    """Return how the loss curves with the weights of `keys`: of each column of a block a positive definite matrix.

    That is the sum of the gradient, times itself, of the likelihood of answers that the network itself gives (Theis et
    al., arXiv 1801.05787, who keep the diagonal), on batches as training has them.
    """
    slopes = jax.jit(partial(_added, network, settings.objective))
    found: Any = {key: [np.float32(0.0) for _ in blocks(_rows(network.weights[key]))] for key in keys}
    for step in range(-(-ANSWERS // settings.batch)):
        drawn = jax.random.fold_in(jax.random.key(seed), step)
        found = slopes(found, network.weights, batch(data, settings, seed, step).inputs, drawn)
    return {key: [_damped(np.asarray(total, np.float64)) for total in found[key]] for key in keys}


def _added(
    network: Network, objective: str, found: Any, weights: Weights, inputs: Mapping[str, Array], key: Array
) -> Any:
    """Return sums of gradients times themselves, those of a batch added."""

    def likelihood(own: Weights, sample: Mapping[str, Array], key: Array) -> Array:
        one = {name: array[None] for name, array in sample.items()}
        logits = network.values({**weights, **own}, one)[network.logits].ravel()
        if objective == "classes":
            return jax.nn.log_softmax(logits)[jax.lax.stop_gradient(jax.random.categorical(key, logits))]
        return (logits * jax.random.normal(key, logits.shape)).sum()

    keys = jax.random.split(key, len(next(iter(inputs.values()))))
    slopes = jax.vmap(jax.grad(likelihood), (None, 0, 0))({name: weights[name] for name in found}, inputs, keys)
    return {name: _summed(totals, slopes[name]) for name, totals in found.items()}


def _summed(totals: Sequence[Any], slopes: Array) -> list[Array]:
    rows = slopes.reshape(len(slopes), -1, slopes.shape[-1])
    parts = [rows[:, part] for part in blocks(rows.shape[1])]
    return [total + jnp.einsum("sic,sjc->cij", part, part) for total, part in zip(totals, parts, strict=True)]


def _damped(totals: NDArray[Any]) -> NDArray[Any]:
    """Return sums [columns, n, n] that have an inverse, also of weights that no answer needs."""
    own = totals.diagonal(axis1=1, axis2=2)
    more = DAMPING * own + LEAST * own.mean() + np.finfo(np.float32).tiny
    return np.asarray(totals + more[:, :, None] * np.eye(totals.shape[1]))


def _rows(weight: NDArray[Any]) -> int:
    return int(np.prod(weight.shape[:-1]))
