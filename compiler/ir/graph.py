"""The value that passes take and return: a module and the weights beside it."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation, SSAValue

from cimc.ir.fresh_names import FreshNames
from cimc.ir.nn import Computed, Layer
from cimc.ir.types import WeightRef
from cimc.ir.weights import WeightStore


@dataclass(frozen=True)
class Graph:
    """One model at one stage. `name` is the model's, for reports; `digest` the sha256 of its file and external data.

    `fixed` are inputs of the file that are constants here: whoever runs the file itself is fed with them.
    """

    module: ModuleOp
    weights: WeightStore
    name: str = "model"
    digest: str = ""
    fixed: Mapping[str, NDArray[Any]] = field(default_factory=dict)

    @property
    def operations(self) -> list[Operation]:
        """Every operation in order, a loop before those of its body; a list, so that a pass may change the graph."""
        return list(walk(self.module.ops))

    def contents(self) -> list[object]:
        """Return all that a pass may change but the weights, for comparison: equal contents later are as they were.

        The operations are those themselves, not equal ones: what is held of them stays true as well.
        """
        found: list[object] = [dict(self.module.attributes)]
        for op in walk(self.module.ops):
            types = [result.type for result in op.results]
            found += op, op.parent, op.location, *op.operands, *types, dict(op.properties), dict(op.attributes)
        return found

    def copy(self) -> "Graph":
        """Return a graph that passes may change while this one stays; the arrays of the weights are shared."""
        module = self.module.clone()
        assert isinstance(module, ModuleOp)
        return replace(self, module=module, weights=self.weights.copy())

    def bias_of(self, layer: Layer) -> NDArray[np.float64]:
        """Return the bias of each output of a layer: zeros where it has none."""
        return np.zeros(layer.weight.dims[-1]) if layer.bias is None else self.weights.reals(layer.bias)


def walk(operations: Iterable[Operation]) -> Iterator[Operation]:
    """Yield operations in order, a loop before those of its body."""
    for op in operations:
        yield op
        for region in op.regions:
            yield from walk(region.ops)


class Labels:
    """Fresh labels for values that a pass inserts."""

    def __init__(self, graph: Graph) -> None:
        self._names = FreshNames(op.label.data for op in graph.operations if isinstance(op, Computed))

    def fresh(self, stem: str, suffix: str) -> str:
        """Return stem.suffix, or stem.suffix.2, stem.suffix.3 ... where that is taken."""
        return self._names.fresh(f"{stem}.{suffix}")


def users(value: SSAValue) -> list[Operation]:
    """Return the operations that use a value, each as often as it does."""
    return [use.operation for use in value.uses]


def only_user(value: SSAValue) -> Operation | None:
    """Return the operation that uses a value where it is the only use."""
    found = users(value)
    return found[0] if len(found) == 1 else None


def producer(value: SSAValue) -> Operation:
    """Return the operation that computes a value: our IR has no block arguments."""
    if not isinstance(value.owner, Operation):
        raise TypeError(f"{value} is a block argument")
    return value.owner


def label_of(value: SSAValue) -> str:
    """Return the label of a value."""
    op = producer(value)
    if not isinstance(op, Computed):
        raise TypeError(f"{op.name} computes nothing")
    return op.label.data


def weight_refs(op: Operation) -> Iterator[tuple[str, WeightRef]]:
    """Yield the names and references of the weights that an operation carries, as properties or as attributes."""
    for name, carried in (*op.properties.items(), *op.attributes.items()):
        if type(carried) is WeightRef:  # a final class: asking isinstance of all attributes would cost more than passes
            yield name, carried
