"""Pruning: which weights of the array stay. The others are zero, and their cells need no devices."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cimc.passes.channels import Course, courses
from cimc.training.array_facts import ArrayFacts
from cimc.training.batches import Data
from cimc.training.curvature import Blocks, blocks, curvature
from cimc.training.network import Network, Weights
from cimc.training.settings import Settings
from cimc.training.surgeon import made_up, removal_costs

Masks = Mapping[str, NDArray[np.bool_]]
"""Of weights of which some are pruned: those that stay."""
MOST = 0.9
"""The share of a column that may go while other columns keep more."""


class Pruned(NamedTuple):
    """Weights: those that the masks `kept` leave out are zero, and others of their column make up for them."""

    weights: Weights
    kept: Masks


def pruned(network: Network, facts: ArrayFacts, settings: Settings, data: Data, seed: int) -> Pruned:
    """Return what is left when shares of the array's cells, or of its columns, are pruned; `data` say which."""
    weights: dict[str, Any] = dict(network.weights)
    kept: dict[str, Any] = {}
    for key, found, mask in _cells(network, facts, settings, data, seed) if settings.prune else ():
        weights[key], kept[key] = found, mask
    for key, mask in _columns(network, facts, settings.prune_columns) if settings.prune_columns else ():
        kept[key] = kept.get(key, True) & mask
    left = {key: np.where(kept.get(key, True), weight, np.float32(0.0)) for key, weight in weights.items()}
    return Pruned(left, kept)


def _cells(
    network: Network, facts: ArrayFacts, settings: Settings, data: Data, seed: int
) -> Iterator[tuple[str, NDArray[Any], NDArray[np.bool_]]]:
    """Yield weights without those that cost least to remove, of all layers together, and which of them stay."""
    keys = sorted({op.weight.key.data for op in network.layers if op.label.data in facts.converters})
    curves = curvature(network, keys, settings, data, seed)
    most = max(MOST, settings.prune)
    costs = {
        key: _each(curves[key], lambda w, curve: removal_costs(w, curve, int(most * len(w))), network.weights[key])
        for key in keys
    }
    ladder = np.sort(np.concatenate([cost.ravel() for cost in costs.values()])) if keys else np.zeros(1)
    bound = ladder[int(settings.prune * len(ladder))]
    for key in keys:
        stays = costs[key] >= bound
        yield key, _each(curves[key], made_up, network.weights[key], stays).astype(np.float32), stays


def _each(
    curves: Blocks, function: Callable[..., NDArray[Any]], weight: NDArray[Any], *others: NDArray[Any]
) -> NDArray[Any]:
    """Return what a function of one column's weights in a block, their curvature and more makes of all of them."""
    arrays = [array.reshape(-1, weight.shape[-1]) for array in (weight, *others)]
    found = np.empty(arrays[0].shape)
    for rows, curve in zip(blocks(len(found)), curves, strict=True):
        for column in range(found.shape[1]):
            own, *more = (array[rows, column] for array in arrays)
            found[rows, column] = function(own, curve[column], *more)
    return found.reshape(weight.shape)


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
