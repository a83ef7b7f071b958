"""Collects the nodes and constants of one ONNX graph."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import NodeProto, TensorProto, helper, numpy_helper
from xdsl.ir import Operation, SSAValue

from cimc.ir.fresh_names import FreshNames
from cimc.ir.types import WeightRef
from cimc.ir.weights import WeightStore, digest, in_order

Array = NDArray[Any]

FED_BYTES = 1 << 20
"""Constants of so many bytes can be fed at run time: onnxruntime would hold two to four copies of them."""


class Builder:
    """An ONNX graph in the making. Tensors are named by text; every tensor has the batch as its first axis.

    Codes travel as float32, which is exact for up to 16 bits. `label` prefixes the names of the nodes to come;
    `batch_source` is a model input, whose first axis says how many samples there are. With `feeding`, large constants
    become the inputs `fed`, which share memory with the weights.
    """

    def __init__(self, weights: WeightStore, reserved: Collection[str], feeding: bool = False) -> None:
        self.nodes: list[NodeProto] = []
        self.constants: list[TensorProto] = []
        self.fed: dict[str, Array] = {}
        self._feeding = feeding
        self.names: dict[SSAValue, str] = {}
        self.label = "graph"
        self.batch_source: str | None = None
        self._weights = weights
        self._names = FreshNames(reserved, first=1)
        self._by_digest: dict[str, str] = {}

    @contextmanager
    def nested(self) -> Iterator[list[NodeProto]]:
        """Collect the nodes of a subgraph; constants stay with the graph around it."""
        outer, self.nodes = self.nodes, []
        try:
            yield self.nodes
        finally:
            self.nodes = outer

    def node(self, op_type: str, *inputs: str, **attributes: Any) -> str:
        """Append a node with one output and return the output's name."""
        name = self.fresh(f"{self.label}:{op_type}")
        self.add(op_type, inputs, name, **attributes)
        return name

    def add(self, op_type: str, inputs: Iterable[str], output: str, **attributes: Any) -> None:
        """Append a node whose output has a given name."""
        self.append(op_type, inputs, [output], **attributes)

    def append(self, op_type: str, inputs: Iterable[str], outputs: Sequence[str], **attributes: Any) -> None:
        """Append a node whose outputs have given names; the node has that of the first."""
        self.nodes.append(helper.make_node(op_type, list(inputs), list(outputs), name=outputs[0], **attributes))

    def constant(self, array: Array, fixed: bool = False) -> str:
        """Return the name of a constant tensor; equal arrays are kept once. `fixed` ones are never fed."""
        if self._feeding and not fixed and array.nbytes >= FED_BYTES:
            name = self.fresh(f"fed:{self.label}")
            self.fed[name] = np.ascontiguousarray(array)
            return name
        array = in_order(array)
        content = digest(array)
        if content not in self._by_digest:
            name = self.fresh(f"constant:{content}")
            self.constants.append(numpy_helper.from_array(array, name))
            self._by_digest[content] = name
        return self._by_digest[content]

    def ints(self, values: Iterable[int]) -> str:
        return self.constant(np.array(list(values), dtype=np.int64))

    def integer(self, value: int) -> str:
        return self.constant(np.array(value, dtype=np.int64))

    def single(self, value: float | Array, fixed: bool = False) -> str:
        return self.constant(np.asarray(value, dtype=np.float32), fixed)

    def double(self, value: float | Array) -> str:
        return self.constant(np.asarray(value, dtype=np.float64))

    def to_double(self, x: str) -> str:
        return self.node("Cast", x, to=TensorProto.DOUBLE)

    def to_single(self, x: str) -> str:
        return self.node("Cast", x, to=TensorProto.FLOAT)

    def real_weights(self, ref: WeightRef) -> Array:
        return self._weights.get(ref).astype(np.float32, copy=False)

    def integers(self, ref: WeightRef) -> Array:
        return self._weights.get(ref).astype(np.int64)

    def codes(self, ref: WeightRef) -> Array:
        """Return a table of codes in its own type, int32 where onnxruntime does not gather from that."""
        table = self._weights.get(ref)
        return table if table.dtype in (np.int8, np.uint8, np.int16) else table.astype(np.int32)

    def fresh(self, wish: str) -> str:
        """Return a name that no tensor has: `wish`, or wish.1, wish.2 ..."""
        return self._names.fresh(wish)


Lowerings = Mapping[type[Operation], Callable[[Builder, Any], str]]
"""Operation -> the function that appends its nodes and returns the name of its result."""
