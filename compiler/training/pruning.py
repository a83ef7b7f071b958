"""Pruning: which weights of the array stay. The others are zero, and their cells need no devices."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cimc.passes.channels import Course, courses
from cimc.training.array_facts import ArrayFacts
from cimc.training.learnt import units_of
from cimc.training.network import Network, Weights
from cimc.training.settings import Settings

Masks = Mapping[str, NDArray[np.bool_]]
"""Of weights of which some are pruned: those that stay."""


def kept(network: Network, facts: ArrayFacts, settings: Settings) -> Masks:
    """Return what stays when shares of the array's cells, or of its columns, are pruned."""
    found = dict(_cells(network, facts, units_of(network, facts), settings.prune)) if settings.prune else {}
    for key, mask in _columns(network, facts, settings.prune_columns) if settings.prune_columns else ():
        found[key] = found.get(key, True) & mask
    return found


def masked(weights: Weights, masks: Masks) -> dict[str, Any]:
    """Return weights with those that are pruned set to zero."""
    return {key: np.where(masks.get(key, True), array, np.float32(0.0)) for key, array in weights.items()}


def _cells(network: Network, facts: ArrayFacts, units: Weights, share: float) -> Iterator[tuple[str, Any]]:
    """Yield which cells stay: all but the smallest in `units` of all layers.

    Columns differ in scale, not in how much they are needed: in units of their mean |w| all are ranked together.
    """
    keys = {op.weight.key.data for op in network.layers if op.label.data in facts.converters}
    sizes = {key: np.abs(network.weights[key] / units[key]) for key in sorted(keys)}
    bound = np.quantile(np.concatenate([size.ravel() for size in sizes.values()]), share) if sizes else 0.0
    yield from ((key, size > bound) for key, size in sizes.items())


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
