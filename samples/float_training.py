"""What samples that train a network in floating point share: the descent, and arrays as ONNX constants."""

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import jax
import numpy as np
import optax
from numpy.typing import NDArray
from onnx import TensorProto, numpy_helper

Weights = TypeVar("Weights")


def fitted(
    loss: Callable[[Weights, Any, Any], Any],
    weights: Weights,
    batches: Iterable[tuple[Any, Any]],
    *,
    steps: int,
    rate: float,
    decay: float,
) -> Weights:
    """Return weights that `steps` batches (x, y) of Adam have trained, the same on every run on one machine.

    The rate falls from `rate` to nothing along a cosine; `decay` is that of weights.
    """
    adam = optax.adamw(optax.cosine_decay_schedule(rate, steps), weight_decay=decay)

    @jax.jit
    def step(weights: Weights, state: Any, x: Any, y: Any) -> tuple[Weights, Any]:
        updates, state = adam.update(jax.grad(loss)(weights, x, y), state, weights)
        return optax.apply_updates(weights, updates), state

    state = adam.init(weights)
    for x, y in batches:
        weights, state = step(weights, state, x, y)
    return weights


def constant(name: str, array: Any) -> TensorProto:
    """Return an array as a constant; convolutions as height, width, channels in and out become ONNX's order."""
    given = np.asarray(array, np.float32)
    ordered: NDArray[np.float32] = given.transpose(3, 2, 0, 1) if given.ndim == 4 else given
    return numpy_helper.from_array(np.ascontiguousarray(ordered), name)
