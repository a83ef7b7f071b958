"""Inputs of real numbers that are looked up in a table: token ids that come as floats, as Keras writes them."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import onnx

from cimc.frontend.folding import Facts, evaluated
from cimc.frontend.node import Node
from cimc.ir.weights import Array

MOVES = frozenset({"Cast", "Flatten", "Identity", "Reshape", "Slice", "Split", "Squeeze", "Transpose", "Unsqueeze"})
"""Operators behind which an index is still the input's own number."""
COUNTING = frozenset(
    {"Add", "Cast", "Greater", "GreaterOrEqual", "Identity", "Less", "LessOrEqual", "Mod", "Mul", "Not", "Sub", "Where"}
)
"""Operators with which exporters count negative indices from the end."""
KEEPING = frozenset({"Ceil", "Clip", "Floor", "Max", "Min", "Relu", "Round"})
"""Operators that make indices whole, and keep them within the rows that there are."""
NUMBERWISE = COUNTING | KEEPING
"""Operators that compute each index by itself."""


def index_inputs(nodes: Iterable[Node], facts: Facts) -> set[str]:
    """Return the tensors without a maker, a model's inputs, whose numbers are rows of a constant: they are whole."""
    listed = list(nodes)
    makers = {name: node for node in listed for name in node.outputs}
    return {_source(node.inputs[1], makers, facts) for node in _lookups(listed, facts)} - makers.keys()


def _lookups(nodes: Iterable[Node], facts: Facts) -> Iterator[Node]:
    """Yield every Gather of computed rows of a constant."""
    for node in nodes:
        if node.operator == "Gather" and not facts.is_computed(node.inputs[0]) and facts.is_computed(node.inputs[1]):
            yield node


def _source(name: str, makers: Mapping[str, Node], facts: Facts) -> str:
    """Return the tensor that another one is, moved."""
    while name in makers and _moves(makers[name], facts):
        name = makers[name].inputs[0]
    return name


def _moves(node: Node, facts: Facts) -> bool:
    return node.operator in MOVES or (node.operator == "Gather" and not facts.is_computed(node.inputs[1]))


def with_own_indices(nodes: Sequence[Node], facts: Facts, opset: int) -> list[Node]:
    """Return the nodes, each lookup of computed indices that are their source's own numbers made one of its source.

    Keras writes `i < 0 ? i + rows : i`, as a choice or as products, which is i for every row there is: what is computed
    is tried on all of them. Nodes that nothing needs any more are left for the caller to drop.
    """
    listed = {node.label: node for node in _lookups(nodes, facts)}
    makers = {name: node for node in nodes for name in node.outputs}
    return [_plain(node, makers, facts, opset) if node.label in listed else node for node in nodes]


def _plain(lookup: Node, makers: Mapping[str, Node], facts: Facts, opset: int) -> Node:
    table, index = lookup.inputs
    walk = _Numbers(makers, facts, opset)
    sources = walk.sources(index)
    source = next(iter(sources))
    alike = facts.shapes.get(source) == facts.shapes.get(index) and table in facts.shapes
    if len(sources) > 1 or source == index or not alike:
        return lookup
    rows = np.arange(facts.shapes[table][lookup.integer("axis", 0)])
    kind = facts.types[source].tensor_type.elem_type
    tried = walk.value(index, source, rows.astype(onnx.helper.tensor_dtype_to_np_dtype(kind)))
    if tried.shape != rows.shape or np.any(tried != rows):
        return lookup
    return replace(lookup, inputs=(table, source), also=tuple(dict.fromkeys(walk.passed)))


@dataclass(frozen=True)
class _Numbers:
    """The way up from an index through what computes it number by number; `passed` are the names of those nodes."""

    makers: Mapping[str, Node]
    facts: Facts
    opset: int
    passed: list[str] = field(default_factory=list)

    def sources(self, name: str) -> set[str]:
        """Return the computed tensors that a tensor is made from number by number, the tensor itself at least."""
        node = self.makers.get(name)
        if node is None or node.operator not in NUMBERWISE or not self._is_scalar_beside(node):
            return {name}
        self.passed.append(node.name)
        return set[str]().union(*(self.sources(one) for one in node.inputs if one and self.facts.is_computed(one)))

    def _is_scalar_beside(self, node: Node) -> bool:
        known = (self.facts.constants[one].value for one in node.inputs if one and not self.facts.is_computed(one))
        return all(value.size == 1 for value in known)

    def value(self, name: str, source: str, numbers: Array) -> Array:
        """Return a tensor for a source that holds `numbers` [N]; constants are scalars."""
        if name == source:
            return numbers
        if not self.facts.is_computed(name):
            return self.facts.constants[name].value.reshape(())
        node = self.makers[name]
        given = {one: self.value(one, source, numbers) for one in node.inputs if one}
        return evaluated(node, given, self.opset)[0]
