"""The elementwise functions that `nn.unary` may name, in float64."""

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

Reals = NDArray[np.float64]


def _sigmoid(x: Reals, p: tuple[float, ...]) -> Reals:
    return 1.0 / (1.0 + np.exp(-np.clip(x, -700.0, 700.0)))


def _hard_sigmoid(x: Reals, p: tuple[float, ...]) -> Reals:
    return np.clip(p[0] * x + p[1], 0.0, 1.0)


FUNCTIONS: Mapping[str, Callable[[Reals, tuple[float, ...]], Reals]] = {
    "leaky_relu": lambda x, p: np.where(x < 0.0, p[0] * x, x),
    "sigmoid": _sigmoid,
    "tanh": lambda x, p: np.tanh(x),
    "hard_sigmoid": _hard_sigmoid,
    "hard_swish": lambda x, p: x * np.clip(x / 6.0 + 0.5, 0.0, 1.0),
}
"""Name -> function of values and parameters (leaky_relu: alpha; hard_sigmoid: alpha, beta)."""


def apply(name: str, x: Reals, parameters: tuple[float, ...]) -> Reals:
    """Return the function's values. Raises KeyError for an unknown name."""
    return FUNCTIONS[name](x, parameters)
