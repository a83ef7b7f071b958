"""A canonical graph as a function of its weights, in jax."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from numpy.typing import NDArray
from xdsl.dialects.builtin import UnitAttr
from xdsl.ir import Operation, SSAValue

from cimc.diagnostics import fail
from cimc.ir import loop, nn
from cimc.ir.graph import Graph, producer, weight_refs
from cimc.ir.location import names_of
from cimc.ir.types import WeightRef
from cimc.ir.weights import WeightStore
from cimc.training.operations import FUNCTIONS, OPERATIONS, clamped, linear

Weights = Mapping[str, Any]
"""Arrays of weights and biases by their names in the graph's store."""
LayerMeaning = Callable[[nn.Layer, Array, Array, Array | None], Array]
"""Product of a layer with its weight and bias: what a chip does otherwise than arithmetic. The clamp comes behind."""
ValueMeaning = Callable[[nn.Canonical, Array], Array]
"""What is kept of the result of an operation: on a chip its codes."""
Values = dict[SSAValue, Array]


def whole(op: nn.Canonical, x: Array) -> Array:
    """Return all of a result."""
    return x


class Network:
    """A graph at stage `graph`. Raises CimcError CIM0121 where training does not know an operation."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        _require_known(graph.operations)
        self.layers = [op for op in graph.operations if isinstance(op, nn.Layer)]
        keys = [ref.key.data for op in self.layers for ref in (op.weight, op.bias) if ref is not None]
        self.weights: dict[str, NDArray[Any]] = {key: np.asarray(graph.weights.array(key), np.float32) for key in keys}
        self.output = next(op for op in graph.module.ops if isinstance(op, nn.OutputOp))
        self.logits = _logits(self.output.x)
        self.features = [op.out for op in graph.module.ops if _activates(op) and op.out is not self.logits]

    def values(
        self, weights: Weights, inputs: Mapping[str, Array], layer: LayerMeaning = linear, kept: ValueMeaning = whole
    ) -> Values:
        """Return every value outside of loops, [N, ...], for inputs [N, *model shape] by name."""
        return self._run(self.graph.module.ops, {}, weights, inputs, (layer, kept))

    def _run(
        self,
        ops: Iterable[Operation],
        values: Values,
        weights: Weights,
        inputs: Mapping[str, Array],
        meaning: tuple[LayerMeaning, ValueMeaning],
    ) -> Values:
        def constants(ref: WeightRef) -> Any:
            return self.graph.weights.get(ref)

        layer, kept = meaning
        for op in ops:
            operands = [values[operand] for operand in op.operands if operand in values]
            if isinstance(op, nn.InputOp):
                values[op.out] = kept(op, OPERATIONS[nn.InputOp](op, [inputs[op.label.data]], constants))
            elif isinstance(op, nn.ConstantOp):
                count = len(next(iter(inputs.values())))
                value = jnp.asarray(constants(op.value), jnp.result_type(float))
                values[op.out] = jnp.broadcast_to(value, (count, *value.shape))
            elif isinstance(op, nn.Layer):
                values[op.out] = kept(op, _layer(op, operands[0], weights, layer))
            elif isinstance(op, loop.ScanOp):
                self._scan(op, values, weights, inputs, meaning)
            elif isinstance(op, nn.Canonical) and not isinstance(op, loop.TakeOp | loop.StateOp):
                values[op.out] = kept(op, OPERATIONS[type(op)](op, operands, constants))
        return values

    def _scan(
        self,
        op: loop.ScanOp,
        values: Values,
        weights: Weights,
        inputs: Mapping[str, Array],
        meaning: tuple[LayerMeaning, ValueMeaning],
    ) -> None:
        takes = [one for one in op.body.ops if isinstance(one, loop.TakeOp)]
        end = op.terminator

        def step(carried: Sequence[Array], slices: Sequence[Array]) -> tuple[list[Array], list[Array]]:
            begun: Values = {state.out: value for state, value in zip(op.states, carried, strict=True)}
            begun |= {take.out: value for take, value in zip(takes, slices, strict=True)}
            inner = self._run(op.body.ops, begun, weights, inputs, meaning)
            return [inner[value] for value in end.next], [inner[value] for value in end.kept]

        first = [values[state.initial] for state in op.states]
        sequences = [jnp.moveaxis(values[take.x], 1, 0) for take in takes]
        last, kept = jax.lax.scan(step, first, sequences, reverse=isinstance(op.reverse, UnitAttr))
        found = [*last, *(jnp.moveaxis(stack, 0, 1) for stack in kept)]
        values.update(zip(op.results, found, strict=True))

    def with_weights(self, weights: Weights) -> Graph:
        """Return a copy of the graph with other weights, and a store of its own."""
        module, store = self.graph.module.clone(), WeightStore()
        for op in module.walk():
            for name, ref in list(weight_refs(op)):
                own = self.graph.weights.get(ref)
                array = np.asarray(weights.get(ref.key.data, own), own.dtype)
                op.properties[name] = store.add(ref.key.data, array)
        return Graph(module, store, self.graph.name, self.graph.digest)


def _layer(op: nn.Layer, x: Array, weights: Weights, layer: LayerMeaning) -> Array:
    bias = None if op.bias is None else weights[op.bias.key.data]
    return clamped(layer(op, x, weights[op.weight.key.data], bias), op.clamp)


def _logits(value: SSAValue) -> SSAValue:
    """Return what a network's probabilities are computed from, or its output where it ends without a softmax."""
    op = producer(value)
    if isinstance(op, nn.ReshapeOp | nn.TransposeOp) and isinstance(producer(op.x), nn.SoftmaxOp):
        op = producer(op.x)
    return op.x if isinstance(op, nn.SoftmaxOp) else value


def _activates(op: Operation) -> bool:
    return isinstance(op, nn.Activated) and op.clamp is not None


def _require_known(operations: Sequence[Operation]) -> None:
    ours = (nn.OutputOp, nn.ConstantOp, nn.Layer, loop.ScanOp, loop.YieldOp, loop.TakeOp, loop.StateOp)
    for op in operations:
        name = op.function.data if isinstance(op, nn.UnaryOp) and op.function.data not in FUNCTIONS else ""
        if name or (type(op) not in OPERATIONS and not isinstance(op, ours)):
            known = "`cimc train` follows layers, pools, movements and the common functions"
            raise fail(
                "CIM0121",
                f"training does not know {name or op.name}",
                node=", ".join(names_of(op.location)),
                hint=known,
            )
