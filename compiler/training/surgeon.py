"""What removing weights costs, and how those that stay make up for it, where a loss is quadratic: brain surgery.

With the curvature H of the loss at its least, removing weights R costs at least w_R' [1/H]_RR^-1 w_R / 2, and moving
the others along [1/H]_R gives that (Hassibi & Stork, Second order derivatives for network pruning: Optimal Brain
Surgeon, 1993, of one weight). Weights are removed one after the other; what is left of 1/H is that of those that stay.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


@dataclass
class Left:
    """Weights [..., n] of which some were removed, and the inverse [..., n, n] of the curvature of the others."""

    weights: Array
    inverse: Array

    @classmethod
    def of(cls, weights: Array, curvature: Array) -> "Left":
        """Return all of the weights; their curvature is positive definite."""
        return cls(np.array(weights, np.float64), np.linalg.inv(curvature))

    def cost(self, gone: Array) -> Array:
        """Return what it costs [...] to remove the weights that `gone` numbers, twice the loss."""
        own = self.weights[..., gone]
        return np.asarray((own * np.linalg.solve(self._of(gone), own[..., None])[..., 0]).sum(-1))

    def remove(self, gone: Array) -> None:
        """Remove the weights that `gone` numbers, and move the others to where the loss is least without them."""
        share = np.linalg.solve(self._of(gone), self.inverse[..., gone, :])
        self.weights -= (self.weights[..., None, gone] @ share)[..., 0, :]
        self.inverse -= self.inverse[..., :, gone] @ share

    def _of(self, gone: Array) -> Array:
        return np.asarray(self.inverse[..., gone[:, None], gone])


def cell_costs(weights: Array, curvature: Array) -> Array:
    """Return what each of the weights [n] costs when its turn comes, or more, so that costs rise from turn to turn."""
    left, costs, cost = Left.of(weights, curvature), np.zeros(len(weights)), 0.0
    stays = np.ones(len(weights), bool)
    for _ in weights:
        each = np.square(left.weights) / np.where(stays, left.inverse.diagonal(), 1.0)
        gone = int(np.where(stays, each, np.inf).argmin())
        cost = max(float(np.nextafter(cost, np.inf)), float(each[gone]))
        costs[gone], stays[gone] = cost, False
        left.remove(np.array([gone]))
    return costs


def group_costs(parts: Sequence[Left], groups: Sequence[Array], count: int) -> Array:
    """Return what each of `count` groups costs when its turn comes, or more; infinite for the last one.

    `groups` number, for each of the parts, the group of its weights [n]; the parts are used up.
    """
    costs, cost = np.full(count, np.inf), 0.0
    for _ in range(count - 1):
        staying = np.flatnonzero(np.isinf(costs))
        each = [_group_cost(parts, groups, int(group)) for group in staying]
        gone = staying[int(np.argmin(each))]
        costs[gone] = cost = max(float(np.nextafter(cost, np.inf)), min(each))
        for part, group in zip(parts, groups, strict=True):
            part.remove(np.flatnonzero(group == gone))
    return costs


def _group_cost(parts: Sequence[Left], groups: Sequence[Array], number: int) -> float:
    return sum(
        float(part.cost(np.flatnonzero(group == number)).sum()) for part, group in zip(parts, groups, strict=True)
    )


def made_up(weights: Array, curvature: Array, stays: Array) -> Array:
    """Return the weights [n] without those that do not stay; the others are where the loss is least without them."""
    found = np.where(stays, weights, 0.0)
    if stays.any() and not stays.all():
        pull = curvature[np.ix_(stays, ~stays)] @ weights[~stays]
        found[stays] += np.linalg.solve(curvature[np.ix_(stays, stays)], pull)
    return found
