"""What samples that train a network in floating point share: the descent, and the network as ONNX."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

import jax
import numpy as np
import onnx
import optax
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

Array = NDArray[Any]
Weights = TypeVar("Weights")


def fitted(
    loss: Callable[[Weights, Any, Any], Any],
    weights: Weights,
    batches: Iterable[tuple[Any, Any]],
    *,
    rate: optax.Schedule,
    decay: float,
) -> Weights:
    """Return weights that Adam has trained on batches (x, y), the same on every run on one machine.

    `rate` is that of each step, `decay` that of weights.
    """
    adam = optax.adamw(rate, weight_decay=decay)

    @jax.jit
    def step(weights: Weights, state: Any, x: Any, y: Any) -> tuple[Weights, Any]:
        updates, state = adam.update(jax.grad(loss)(weights, x, y), state, weights)
        return optax.apply_updates(weights, updates), state

    state = adam.init(weights)
    for x, y in batches:
        weights, state = step(weights, state, x, y)
    return weights


def shuffled(count: int, batch: int, epochs: int, random: np.random.Generator) -> Iterator[Array]:
    """Yield which samples make each batch: all in another order every epoch, but for what fills no batch."""
    steps = count // batch
    for _ in range(epochs):
        yield from np.split(random.permutation(count)[: steps * batch], steps)


def constant(name: str, array: Any) -> TensorProto:
    """Return an array as a constant; convolutions as height, width, channels in and out become ONNX's order."""
    given = np.asarray(array, np.float32)
    ordered: Array = given.transpose(3, 2, 0, 1) if given.ndim == 4 else given
    return numpy_helper.from_array(np.ascontiguousarray(ordered), name)


def network(
    name: str,
    nodes: Sequence[onnx.NodeProto],
    shape: Sequence[int],
    output: str,
    classes: int,
    constants: Sequence[TensorProto],
) -> onnx.ModelProto:
    """Return nodes as a model with an input x [batch, *shape] and an output [batch, classes] of that name."""
    ends = (
        [helper.make_tensor_value_info(end, TensorProto.FLOAT, ["batch", *sizes])]
        for end, sizes in (("x", shape), (output, (classes,)))
    )
    graph = helper.make_graph(nodes, name, *ends, constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
