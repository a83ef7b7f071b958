"""Inputs of real numbers that are looked up in a table: token ids that come as floats, as Keras writes them."""

from collections.abc import Iterable, Iterator, Mapping

from cimc.frontend.folding import Facts
from cimc.frontend.node import Node

MOVES = frozenset({"Cast", "Flatten", "Identity", "Reshape", "Slice", "Squeeze", "Transpose", "Unsqueeze"})
"""Operators behind which an index is still the input's own number."""


def index_inputs(nodes: Iterable[Node], facts: Facts) -> set[str]:
    """Return the tensors without a maker, a model's inputs, whose numbers are rows of a constant: they are whole."""
    listed = list(nodes)
    makers = {name: node for node in listed for name in node.outputs}
    return {_source(node.inputs[1], makers) for node in _lookups(listed, facts)} - makers.keys()


def _lookups(nodes: Iterable[Node], facts: Facts) -> Iterator[Node]:
    """Yield every Gather of computed rows of a constant."""
    for node in nodes:
        if node.operator == "Gather" and not facts.is_computed(node.inputs[0]) and facts.is_computed(node.inputs[1]):
            yield node


def _source(name: str, makers: Mapping[str, Node]) -> str:
    """Return the tensor that another one is, moved."""
    while name in makers and makers[name].operator in MOVES:
        name = makers[name].inputs[0]
    return name
