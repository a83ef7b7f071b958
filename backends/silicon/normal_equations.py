"""Weighted least squares by normal equations: what is known beforehand and what equations say, added up."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from cimc.backends.silicon.layer_equations import Equations

Reals = NDArray[np.float64]


@dataclass(frozen=True)
class NormalEquations:
    """Unknowns [k] are normal around inv(precision) @ moment with covariance inv(precision)."""

    precision: Reals
    moment: Reals

    @staticmethod
    def of(mean: Reals, covariance: Reals) -> "NormalEquations":
        precision: Reals = np.asarray(np.linalg.inv(covariance), np.float64)
        return NormalEquations(precision, precision @ mean)

    def __add__(self, other: "NormalEquations") -> "NormalEquations":
        return NormalEquations(self.precision + other.precision, self.moment + other.moment)

    def with_equation(self, row: Reals, value: float, variance: float) -> "NormalEquations":
        """Return the same and that row [k] times the unknowns is a value, with this variance."""
        return self + NormalEquations(np.outer(row, row) / variance, row * (value / variance))

    @property
    def mean(self) -> Reals:
        """The mean of the unknowns, for a third of what both take."""
        return np.asarray(np.linalg.solve(self.precision, self.moment), np.float64)

    @cached_property
    def solved(self) -> tuple[Reals, Reals]:
        """Mean and covariance of the unknowns."""
        covariance = np.asarray(np.linalg.inv(self.precision), np.float64)
        return covariance @ self.moment, covariance

    def rounded(self) -> Reals:
        """Return likely unknowns of which all but the last are whole numbers.

        Each is rounded where the equations put it once those before it are (Babai's nearest plane), the surest first:
        so errors of rounding make up for one another in what the equations have seen.
        """
        mean, covariance = self.solved
        order = np.append(len(mean) - 1, np.argsort(np.diag(covariance)[:-1], kind="stable")[::-1])
        upper = np.linalg.cholesky(self.precision[np.ix_(order, order)]).T
        off, found = np.zeros(len(mean)), mean[order]
        for place in range(len(mean) - 1, -1, -1):
            wanted = found[place] + upper[place, place + 1 :] @ off[place + 1 :] / upper[place, place]
            value = np.rint(wanted) if place else wanted
            off[place] = found[place] - value
            found[place] = value
        whole = np.empty_like(mean)
        whole[order] = found
        return whole


class ColumnEquations:
    """The equations of a block's columns; the unknowns are the weights of a column and its offset.

    Most products are alike for all columns and are made once: [n, rows] squared, which is what takes the time.
    """

    def __init__(self, equations: Equations) -> None:
        self._equations = equations
        self._inputs = np.column_stack([equations.inputs, np.ones(len(equations.inputs))])
        self._squares = self._inputs.T @ self._inputs
        self._moments = self._inputs.T @ np.where(equations.usable, equations.codes, 0.0)

    def of(self, column: int) -> NormalEquations:
        """Return what the usable equations of a column say."""
        left_out = self._inputs[~self._equations.usable[:, column]]
        slopes, variance = np.append(self._equations.slopes[:, column], 1.0), self._equations.variance[column]
        squares = (self._squares - left_out.T @ left_out) * np.outer(slopes, slopes)
        return NormalEquations(squares / variance, slopes * self._moments[:, column] / variance)
