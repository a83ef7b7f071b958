"""One ONNX node as the translations see it: decoded attributes, and nothing of protobuf."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import onnx
from xdsl.dialects.builtin import LocationAttr

from cimc.ir.location import fused, named
from cimc.isa.names import shown

IR_DOMAINS = ("", "ai.onnx")


@dataclass(frozen=True)
class Node:
    """An operator, the names of its tensors (an input left out is ""), and its attributes as Python values.

    `also` names the nodes of the model that it stands for, where those are more than itself.
    """

    name: str
    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]
    proto: onnx.NodeProto
    also: tuple[str, ...] = ()

    @property
    def location(self) -> LocationAttr:
        return fused(named(name) for name in (self.name, *self.also))

    @property
    def label(self) -> str:
        """The first output that has a name."""
        return next((output for output in self.outputs if output), "")

    def has(self, index: int) -> bool:
        """Say whether optional input `index` is given."""
        return index < len(self.inputs) and self.inputs[index] != ""

    def integer(self, name: str, default: int) -> int:
        return int(self.attributes.get(name, default))

    def real(self, name: str, default: float) -> float:
        return float(self.attributes.get(name, default))

    def text(self, name: str, default: str) -> str:
        value = self.attributes.get(name, default)
        return value.decode() if isinstance(value, bytes) else str(value)

    def ints(self, name: str, default: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(int(value) for value in self.attributes.get(name, default))


def node_of(proto: onnx.NodeProto) -> Node:
    """Return the node of a model, whose nodes all have names."""
    outputs = tuple(proto.output)
    operator = shown(proto.op_type if proto.domain in IR_DOMAINS else f"{proto.domain}.{proto.op_type}")
    attributes = {attribute.name: onnx.helper.get_attribute_value(attribute) for attribute in proto.attribute}
    return Node(shown(proto.name), operator, tuple(proto.input), outputs, attributes, proto)
