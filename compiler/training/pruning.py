"""Pruning: the smallest weights of the array become zero, and their cells need no devices."""

from typing import Any

import numpy as np

from cimc.training.array_facts import ArrayFacts
from cimc.training.network import Network, Weights


def pruned(network: Network, facts: ArrayFacts, units: Weights, share: float) -> dict[str, Any]:
    """Return the network's weights with this share of the array's set to zero, the smallest in `units` of all layers.

    Columns differ in scale, not in how much they are needed: in units of their mean |w| all are ranked together.
    """
    keys = {op.weight.key.data for op in network.layers if op.label.data in facts.converters}
    sizes = {key: np.abs(network.weights[key] / units[key]) for key in sorted(keys)}
    if not share or not sizes:
        return dict(network.weights)
    bound = np.quantile(np.concatenate([size.ravel() for size in sizes.values()]), share)
    kept = {key: np.where(size > bound, network.weights[key], np.float32(0.0)) for key, size in sizes.items()}
    return {**network.weights, **kept}
