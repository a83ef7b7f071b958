"""What a model file itself says of its tensors: the node that makes each, and what that node reads."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx

from cimc.frontend.conversion import read_in
from cimc.frontend.ordering import sort_nodes
from cimc.frontend.tidying import name_nodes
from cimc.isa.names import shown


@dataclass(frozen=True)
class FileNodes:
    """The nodes of a file by the tensors they make, in an order of execution, and its constants."""

    makers: Mapping[str, onnx.NodeProto]
    constants: Mapping[str, onnx.TensorProto]
    fed: frozenset[str]

    @staticmethod
    def of(path: Path) -> "FileNodes":
        """Read a file that the front end has taken. External data stay where they are."""
        graph = onnx.load(str(path), load_external_data=False).graph
        name_nodes(graph)
        sort_nodes(graph)
        constants = {tensor.name: tensor for tensor in graph.initializer}
        fed = frozenset(value.name for value in graph.input) - constants.keys()
        return FileNodes({name: node for node in graph.node for name in node.output if name}, constants, fed)

    def describe(self, tensor: str) -> str:
        """Return the node of a tensor in words."""
        node = self.makers[tensor]
        return f"node '{shown(node.name)}' ({shown(node.op_type)})"

    def computed(self) -> set[str]:
        """Return the tensors that depend on an input of the model."""
        found = set(self.fed)
        for name, node in self.makers.items():
            if found.intersection(_reads(node)):
                found.add(name)
        return found - self.fed

    def read(self, tensor: str, values: Mapping[str, object]) -> Iterator[str]:
        """Yield what the node of a tensor reads: names in `values` and constants; of other tensors what those read."""
        waiting, met = [*_reads(self.makers[tensor])], {""}
        while waiting:
            name = waiting.pop()
            if name in met:
                continue
            met.add(name)
            if name in values or name in self.constants:
                yield name
            elif name in self.makers:
                waiting.extend(_reads(self.makers[name]))

    def largest_constant(self, name: str) -> float:
        """Return the largest magnitude in a constant of the file, 0 where its data lie elsewhere."""
        tensor = self.constants[name]
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            return 0.0
        array = onnx.numpy_helper.to_array(tensor)
        return float(np.abs(array.astype(np.float64)).max(initial=0.0)) if array.dtype.kind in "biuf" else 0.0


def _reads(node: onnx.NodeProto) -> set[str]:
    """Return the names of what a node reads, and of what its branches read."""
    branches = [read_in(attribute.g) for attribute in node.attribute if attribute.HasField("g")]
    return set(node.input).union(*branches)
