"""The elementwise functions that `nn.unary` may name, in float64."""

import math
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

Reals = NDArray[np.float64]
MASKED = -5000.0
"""Sums at or below it stand for minus infinity in what a softmax reads: masks add -10000, -1e9 or less."""


def _sigmoid(x: Reals, p: tuple[float, ...]) -> Reals:
    return 1.0 / (1.0 + np.exp(-np.clip(x, -700.0, 700.0)))


def _hard_sigmoid(x: Reals, p: tuple[float, ...]) -> Reals:
    return np.clip(p[0] * x + p[1], 0.0, 1.0)


def _erf(x: Reals) -> Reals:
    return np.array([math.erf(value) for value in x.ravel().tolist()], np.float64).reshape(x.shape)


def _gelu_tanh(x: Reals, p: tuple[float, ...]) -> Reals:
    return 0.5 * x * (1.0 + np.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * x**3)))


FUNCTIONS: Mapping[str, Callable[[Reals, tuple[float, ...]], Reals]] = {
    "visible": lambda x, p: (p[0] * x + p[1] > MASKED).astype(np.float64),
    "leaky_relu": lambda x, p: np.where(x < 0.0, p[0] * x, x),
    "sigmoid": _sigmoid,
    "tanh": lambda x, p: np.tanh(x),
    "erf": lambda x, p: _erf(x),
    "gelu": lambda x, p: 0.5 * x * (1.0 + _erf(x / math.sqrt(2.0))),
    "gelu_tanh": _gelu_tanh,
    "swish": lambda x, p: x * _sigmoid(p[0] * x, ()),
    "hard_sigmoid": _hard_sigmoid,
    "hard_swish": lambda x, p: x * np.clip(x / 6.0 + 0.5, 0.0, 1.0),
}
"""Name -> function of values and parameters (leaky_relu: alpha; hard_sigmoid: alpha, beta)."""


def apply(name: str, x: Reals, parameters: tuple[float, ...]) -> Reals:
    """Return the function's values. Raises KeyError for an unknown name."""
    return FUNCTIONS[name](x, parameters)
