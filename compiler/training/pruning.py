"""Pruning: which weights of the array stay. The others are zero, and their cells need no devices."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cimc.passes.channels import Course, courses
from cimc.training.array_facts import ArrayFacts
from cimc.training.batches import Data
from cimc.training.curvature import Blocks, blocks, curvature
from cimc.training.network import Network, Weights
from cimc.training.settings import Settings
from cimc.training.surgeon import Left, cell_costs, group_costs, made_up

Masks = Mapping[str, NDArray[np.bool_]]
"""Of weights of which some are pruned: those that stay."""


class Pruned(NamedTuple):
    """Weights: those that the masks `kept` leave out are zero, and others of their column make up for them."""

    weights: Weights
    kept: Masks


def pruned(network: Network, facts: ArrayFacts, settings: Settings, data: Data, seed: int) -> Pruned:
    """Return what is left when shares of the array's cells, or of its columns, are pruned; `data` say which."""
    if not settings.prunes:
        return Pruned(network.weights, {})
    on_array = [op for op in network.layers if op.label.data in facts.converters]
    cells = {op.weight.key.data for op in on_array if settings.prune}
    found = [one for one in courses(network.graph) if one.layer in on_array and settings.prune_columns]
    keys = cells | {op.weight.key.data for course in found for op in course.readers}
    curves = curvature(network, sorted(keys), settings, data, seed)
    kept = dict(_cells(network, {key: curves[key] for key in sorted(cells)}, settings.prune))
    for key, mask in _columns(network, found, curves, settings.prune_columns):
        kept[key] = kept.get(key, True) & mask
    return Pruned({key: _left(weight, kept.get(key), curves.get(key)) for key, weight in network.weights.items()}, kept)


def _left(weight: NDArray[Any], kept: NDArray[np.bool_] | None, curves: Blocks | None) -> NDArray[Any]:
    """Return a weight of which some went; those of its columns that stay make up for them."""
    if kept is None:
        return weight
    if curves is None:
        return np.where(kept, weight, np.float32(0.0))
    return _each(curves, made_up, weight, kept).astype(np.float32)


def _cells(network: Network, curves: Mapping[str, Blocks], share: float) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """Yield which weights stay: all but those that cost least to remove, of all layers together."""
    found = {key: _each(curve, cell_costs, network.weights[key]) for key, curve in curves.items()}
    bound = _bound([cost.ravel() for cost in found.values()], share)
    yield from ((key, cost >= bound) for key, cost in found.items())


def _bound(costs: Sequence[NDArray[Any]], share: float) -> float:
    """Return what stays costs at least; infinite where there is nothing."""
    ladder = np.sort(np.concatenate([*costs, [np.inf]]))
    return float(ladder[int(share * (len(ladder) - 1))])


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


def _columns(
    network: Network, found: Sequence[Course], curves: Mapping[str, Blocks], share: float
) -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """Yield which columns of courses stay, with the biases and the rows that are theirs: of each layer one at least.

    Those go whose rows cost least, where the other rows of what reads them make up for them.
    """
    costs = [_channel_costs(network, curves, course) for course in found]
    bound = _bound(costs, share)
    for course, cost in zip(found, costs, strict=True):
        yield from _of_course(network, course, cost >= bound)


def _channel_costs(network: Network, curves: Mapping[str, Blocks], course: Course) -> NDArray[Any]:
    """Return what each channel costs, of all that read it."""
    parts, groups = list[Left](), list[NDArray[Any]]()
    for key in sorted({op.weight.key.data for op in course.readers}):
        weight = network.weights[key].reshape(-1, network.weights[key].shape[-1])
        channels = np.arange(len(weight)) % course.channels
        for rows, curve in zip(blocks(len(weight)), curves[key], strict=True):
            parts.append(Left.of(weight[rows].T, curve))
            groups.append(channels[rows])
    return group_costs(parts, groups, course.channels)


def _of_course(network: Network, course: Course, mask: NDArray[np.bool_]) -> Iterator[tuple[str, Any]]:
    for op in course.made:
        for ref in (op.weight, op.bias):
            if ref is not None:
                yield ref.key.data, np.broadcast_to(mask, network.weights[ref.key.data].shape)
    for op in course.readers:
        yield op.weight.key.data, np.broadcast_to(course.rows(op, mask)[:, None], op.weight.dims)
