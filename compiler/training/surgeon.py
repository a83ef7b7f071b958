"""What removing weights costs, and how those that stay make up for it, where a loss is quadratic: brain surgery.

With the curvature H of the loss at its least, removing weight i costs at least w_i^2 / (2 [1/H]_ii), and moving the
others by -w_i [1/H]_i / [1/H]_ii gives that (Hassibi & Stork, Second order derivatives for network pruning: Optimal
Brain Surgeon, 1993). Weights are removed one by one; what is left of 1/H is that of those that stay.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


def removal_costs(weights: Array, curvature: Array, most: int) -> Array:
    """Return what each of the weights [n] costs when its turn comes, or more, so that costs rise from turn to turn.

    Infinite for those that are left when `most` of them are gone; `curvature` [n, n] is positive definite.
    """
    costs, left = np.full(len(weights), np.inf), np.array(weights, np.float64)
    inverse, stays, cost = np.linalg.inv(curvature), np.ones(len(weights), bool), 0.0
    for _ in range(most):
        own = np.where(stays, inverse.diagonal(), 1.0)
        each = np.where(stays, np.square(left) / own, np.inf)
        gone = int(each.argmin())
        cost = max(float(np.nextafter(cost, np.inf)), float(each[gone]))
        costs[gone], stays[gone] = cost, False
        share = inverse[gone] / inverse[gone, gone]
        left -= left[gone] * share
        inverse -= np.outer(inverse[:, gone], share)
    return costs


def made_up(weights: Array, curvature: Array, stays: Array) -> Array:
    """Return the weights [n] without those that do not stay; the others are where the loss is least without them."""
    found = np.where(stays, weights, 0.0)
    if stays.any() and not stays.all():
        pull = curvature[np.ix_(stays, ~stays)] @ weights[~stays]
        found[stays] += np.linalg.solve(curvature[np.ix_(stays, stays)], pull)
    return found
