"""What a model asks for, counted from its nodes and shapes before any of it is done."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import prod

import onnx

from cimc.diagnostics import fail
from cimc.frontend.node import Node
from cimc.isa.budgets import FOLDED_TIMES, VALUE_TIMES, require

Shape = tuple[int, ...]

WORK: Mapping[str, int] = {
    "Resize": 512,
    "Upsample": 512,
    "AveragePool": 64,
    "MaxPool": 64,
    "LpPool": 64,
    "RoiAlign": 512,
}
"""How many simple operations onnx's reference takes for one element of a result, where that is many."""


@dataclass(frozen=True)
class Size:
    """What functions expand to: how many nodes, and how many calls among them."""

    nodes: int
    calls: int


def require_moderate(model: onnx.ModelProto) -> None:
    """Raise OverBudget for too many nodes, function calls or nested graphs, counted without expanding a function.

    Raises CimcError CIM0102 for a function that calls itself, and for a Split into more parts than it has outputs: onnx
    would make room for them, and end the process where it then misses some.
    """
    functions = {(one.domain, one.name): one for one in model.functions}
    size = _Expansion(functions).size(model.graph.node)
    require("function_calls", size.calls, "calls of functions in the model")
    require("nodes", size.nodes, "nodes in the model, functions expanded")
    for sparse in model.graph.sparse_initializer:
        what = f"the bytes of sparse initialiser '{sparse.values.name}' of shape {tuple(sparse.dims)}"
        require("folded_bytes", 8 * prod(max(size, 0) for size in sparse.dims), what)
    depth = max((_depth(node) for node in _all_nodes(model)), default=0)
    require("nesting", depth, "graphs within graphs of the model")
    for node in _all_nodes(model):
        _require_parts(node)


def require_foldable(
    node: Node, shapes: Mapping[str, Shape], types: Mapping[str, onnx.TypeProto], folded: int, stored: int
) -> int:
    """Return the bytes of all constants once a node is folded too. Raises OverBudget before it is.

    `folded` are the bytes of those folded before, `stored` what the file and its external data hold.
    """
    known = [name for name in node.outputs if name in shapes] or [name for name in node.inputs if name in shapes]
    elements = sum(prod(shapes[name]) for name in known)
    total = folded + sum(prod(shapes[name]) * _width(types.get(name)) for name in known)
    what = f"the bytes of constants computed up to node '{node.name}' ({node.operator})"
    require("folded_bytes", total, what, FOLDED_TIMES * stored)
    work = elements * _work(node, shapes)
    require("folded_operations", work, f"the operations to compute node '{node.name}' ({node.operator}) beforehand")
    return total


def _width(kind: onnx.TypeProto | None) -> int:
    """Return the bytes of an element, those of the widest where its type is not known."""
    try:
        return int(onnx.helper.tensor_dtype_to_np_dtype(kind.tensor_type.elem_type).itemsize) if kind else 8
    except (KeyError, TypeError, ValueError):
        return 8


def require_value(what: str, shape: Shape, stored: int) -> None:
    """Raise OverBudget where an input or one result of a node, in float32, is too large for the model's size."""
    require("value_bytes", 4 * prod(shape), f"the bytes of {what}, of shape {shape}", VALUE_TIMES * stored)


def _work(node: Node, shapes: Mapping[str, Shape]) -> int:
    """Return how many operations one element of a result takes, roughly."""
    first, *rest = [shapes.get(name, ()) for name in node.inputs[:2]] or [()]
    if node.operator in ("MatMul", "Gemm", "MatMulInteger", "QLinearMatMul"):
        return max(first[-1:] + first[:1], default=1)
    if node.operator in ("Conv", "ConvTranspose", "ConvInteger", "QLinearConv") and rest and rest[0]:
        return prod(rest[0][1:]) or 1
    if node.operator == "Einsum":
        return max(map(prod, (first, *rest)))
    window = prod(node.ints("kernel_shape", ())) if node.operator.endswith("Pool") else 1
    return WORK.get(node.operator, 1) * window


class _Expansion:
    """Sizes of functions, each counted once."""

    def __init__(self, functions: Mapping[tuple[str, str], onnx.FunctionProto]) -> None:
        self.functions = functions
        self.depth = 0
        self.known: dict[tuple[str, str], Size | None] = {}

    def size(self, nodes: Iterable[onnx.NodeProto]) -> Size:
        """Return what nodes expand to, their subgraphs included."""
        nodes_found = calls = 0
        for node in nodes:
            one = self._size_of(node)
            nodes_found += one.nodes
            calls += one.calls
        return Size(nodes_found, calls)

    def _size_of(self, node: onnx.NodeProto) -> Size:
        inner = [self.size(graph.node) for graph in _graphs(node)]
        called = self._function((node.domain, node.op_type))
        own = Size(called.nodes, called.calls + 1) if called else Size(1, 0)
        return Size(own.nodes + sum(one.nodes for one in inner), own.calls + sum(one.calls for one in inner))

    def _function(self, key: tuple[str, str]) -> Size | None:
        if key not in self.functions:
            return None
        if key not in self.known:
            self.known[key] = None  # until it is counted
            self.depth += 1
            require("nesting", self.depth, "functions within functions of the model")
            self.known[key] = self.size(self.functions[key].node)
            self.depth -= 1
        found = self.known[key]
        if found is None:
            raise fail("CIM0102", f"function '{key[1]}' calls itself", hint="export the model again")
        return found


def _require_parts(node: onnx.NodeProto) -> None:
    for graph in _graphs(node):
        for inner in graph.node:
            _require_parts(inner)
    parts = [attribute.i for attribute in node.attribute if attribute.name == "num_outputs"]
    if node.op_type == "Split" and parts and parts[0] != len(node.output):
        message = f"num_outputs is {parts[0]} for {len(node.output)} outputs"
        raise fail("CIM0102", message, node=node.name or ", ".join(node.output), operator="Split")


def _graphs(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def _all_nodes(model: onnx.ModelProto) -> Iterator[onnx.NodeProto]:
    yield from model.graph.node
    for function in model.functions:
        yield from function.node


def _depth(node: onnx.NodeProto) -> int:
    """Return how deep graphs nest in a node; protobuf itself reads no more than 100 levels."""
    return max((1 + max(map(_depth, graph.node), default=0) for graph in _graphs(node)), default=0)
