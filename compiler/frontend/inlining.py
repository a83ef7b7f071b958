"""Nodes that stand for others: an If with a known condition, an operator that ONNX defines by others, many images."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import helper

from cimc.frontend.folding import Constant, Facts
from cimc.frontend.lowering import MOST_IMAGES
from cimc.frontend.node import Node
from cimc.frontend.operators import OPERATORS
from cimc.frontend.ordering import sort_nodes
from cimc.frontend.quantisation import DYNAMIC
from cimc.ir.fresh_names import FreshNames

PER_IMAGE = frozenset(
    {
        "AveragePool",
        "Conv",
        "ConvTranspose",
        "DepthToSpace",
        "GlobalAveragePool",
        "GlobalLpPool",
        "GlobalMaxPool",
        "GroupNormalization",
        "InstanceNormalization",
        "LRN",
        "LpPool",
        "MaxPool",
        "SpaceToDepth",
    }
)
"""Operators whose first axis holds images, whatever else it is in the model."""
BY_THEMSELVES = frozenset({"GroupNormalization", "InstanceNormalization"})
"""Of these, operators that take many images at once where there is no batch."""
OPAQUE = DYNAMIC | {"Bernoulli"}
"""Operators whose definitions help nobody: what they consist of is refused under another name."""


def stands_for_others(operator: str) -> bool:
    """Say whether nodes of an operator may be written out: ONNX defines it, or it has branches."""
    schema = None if operator in OPAQUE else _schema(operator, onnx.defs.onnx_opset_version())
    return operator == "If" or (schema is not None and (schema.has_function or schema.has_context_dependent_function))


@dataclass(frozen=True)
class Inliner:
    """Writes nodes out; `names` are those of tensors, `facts` what is known of those before the node."""

    opset: int
    facts: Facts
    names: FreshNames

    def written_out(self, node: Node) -> list[onnx.NodeProto] | None:
        """Return the nodes that one stands for, in order; None where it stands for itself."""
        if all(name in self.facts.constants for name in node.outputs if name):
            return None
        if node.operator == "If":
            return self._branch(node)
        if node.operator in PER_IMAGE:
            return self._image_by_image(node)
        return None if node.operator in OPERATORS or node.operator in OPAQUE else self._definition(node)

    def _branch(self, node: Node) -> list[onnx.NodeProto] | None:
        """Return the branch that a condition known when compiling takes."""
        condition = self.facts.constants.get(node.inputs[0])
        if condition is None or not condition.free_of_batch:
            return None
        graph = node.attributes["then_branch" if condition.value.any() else "else_branch"]
        sort_nodes(graph)
        names = self._renamed(node, [tensor.name for tensor in graph.initializer])
        for tensor in graph.initializer:
            self._note(names[tensor.name], onnx.numpy_helper.to_array(tensor))
        return self._body(node, graph.node, names, [value.name for value in graph.output])

    def _definition(self, node: Node) -> list[onnx.NodeProto] | None:
        """Return what ONNX says that an operator consists of, its attributes filled in."""
        function = _function_of(node, self.opset, self.facts)
        if function is None:
            return None
        given = dict(zip(function.input, (*node.inputs, *[""] * len(function.input)), strict=False))
        attributes = _attributes(node, function, self.opset)
        nodes = [_with_attributes(proto, attributes) for proto in function.node]
        for proto in nodes:
            proto.name = node.name
        return self._body(node, nodes, given, function.output)

    def _body(
        self, node: Node, nodes: Sequence[onnx.NodeProto], names: Mapping[str, str], results: Sequence[str]
    ) -> list[onnx.NodeProto]:
        """Return copies of nodes under names of their own, whose results are the outputs of `node`.

        `names` says what the names from outside are called. A result that no node makes is passed on.
        """
        made = [name for proto in nodes for name in proto.output if name]
        inner = {**names, **self._renamed(node, made)}
        direct = {name: own for name, own in zip(results, node.outputs, strict=False) if name in made and own}
        inner |= direct
        copies = [_renamed(proto, inner) for proto in nodes]
        passed = [
            (name, own) for name, own in zip(results, node.outputs, strict=False) if own and direct.get(name) != own
        ]
        return copies + [
            helper.make_node("Identity", [inner.get(name, name)], [own], node.name) for name, own in passed
        ]

    def _image_by_image(self, node: Node) -> list[onnx.NodeProto] | None:
        """Return the node for each image of a sample, where its first axis holds several, and their results joined."""
        x, result = node.inputs[0], self.facts.shapes.get(node.outputs[0])
        shape, batch = self.facts.shapes.get(x, ()), self.facts.batch_axes.get(x)
        count = (shape or (1,))[0] if batch is None else batch.inner if batch.axis == 0 else 1
        if not 1 < count <= MOST_IMAGES or result is None or x in self.facts.constants or any(node.outputs[1:]):
            return None
        if batch is None and node.operator in BY_THEMSELVES:
            return None
        axis, nodes = (0, []) if batch is None else (1, [self._reshape(node, x, (-1, count, *shape[1:]), "images")])
        source = x if batch is None else nodes[0].output[0]
        parts = [self._part(node, source, axis, n if axis else [n], n) for n in range(count)]
        nodes += [proto for pair in parts for proto in pair]
        joined = [pair[1].output[0] for pair in parts]
        if batch is None:
            return [*nodes, helper.make_node("Concat", joined, [node.label], node.name, axis=0)]
        together = helper.make_node("Concat", joined, [self._fresh(node, "joined")], node.name, axis=1)
        last = self._reshape(node, together.output[0], (-1, *result[1:]), "apart", node.label)
        return [*nodes, together, last]

    def _part(self, node: Node, source: str, axis: int, place: object, number: int) -> list[onnx.NodeProto]:
        """Return the nodes that take one image and do with it what `node` does with all."""
        index, image = (self._fresh(node, f"{role}{number}") for role in ("index", "image"))
        self._note(index, np.array(place, np.int64))
        own = _renamed(node.proto, {node.inputs[0]: image, node.label: self._fresh(node, str(number))})
        own.input[1:] = node.inputs[1:]
        return [helper.make_node("Gather", [source, index], [image], node.name, axis=axis), own]

    def _reshape(self, node: Node, x: str, shape: tuple[int, ...], role: str, result: str = "") -> onnx.NodeProto:
        target = self._fresh(node, f"{role}.shape")
        self._note(target, np.array(shape, np.int64))
        return helper.make_node("Reshape", [x, target], [result or self._fresh(node, role)], node.name)

    def _note(self, name: str, array: "np.ndarray[tuple[int, ...], np.dtype[np.generic]]") -> None:
        self.facts.note_constant(name, Constant(array, array))

    def _renamed(self, node: Node, names: Iterable[str]) -> dict[str, str]:
        return {name: self._fresh(node, name) for name in names}

    def _fresh(self, node: Node, role: str) -> str:
        """Return a tensor name that the model does not use."""
        return self.names.fresh(f"{node.label}.{role}")


def _renamed(proto: onnx.NodeProto, names: Mapping[str, str]) -> onnx.NodeProto:
    """Return a copy of a node whose tensors, those that its subgraphs read too, have other names."""
    copy = onnx.NodeProto()
    copy.CopyFrom(proto)
    copy.input[:] = [names.get(name, name) for name in proto.input]
    copy.output[:] = [names.get(name, name) for name in proto.output]
    for attribute in (one for one in copy.attribute if one.HasField("g")):
        own = {tensor.name for tensor in attribute.g.initializer} | {n for one in attribute.g.node for n in one.output}
        outer = {name: new for name, new in names.items() if name not in own}
        inner = [_renamed(one, outer) for one in attribute.g.node]
        del attribute.g.node[:]
        attribute.g.node.extend(inner)
        for value in attribute.g.output:
            value.name = outer.get(value.name, value.name)
    return copy


def _function_of(node: Node, opset: int, facts: Facts) -> onnx.FunctionProto | None:
    """Return the newest definition of an operator that an opset knows; None where ONNX has none."""
    schema, function = _schema(node.operator, opset), onnx.FunctionProto()
    if schema is None:
        return None
    if schema.has_function:
        function.ParseFromString(schema.get_function_with_opset_version(_newest(schema.function_opset_versions, opset)))
        return function
    if not schema.has_context_dependent_function or any(name and name not in facts.types for name in node.inputs):
        return None
    types = [facts.types[name].SerializeToString() if name else b"" for name in node.inputs]
    version = _newest(schema.context_dependent_function_opset_versions, opset)
    body = schema.get_context_dependent_function_with_opset_version(version, node.proto.SerializeToString(), types)
    function.ParseFromString(body)
    return function if body else None


def _schema(operator: str, opset: int) -> Any:
    """Return what ONNX says of an operator, None where that is nothing; onnx's stubs do not know all of it."""
    try:
        return onnx.defs.get_schema(operator, opset, "")
    except onnx.defs.SchemaError:
        return None


def _newest(versions: Sequence[int], opset: int) -> int:
    return max((version for version in versions if version <= opset), default=min(versions))


def _attributes(node: Node, function: onnx.FunctionProto, opset: int) -> dict[str, onnx.AttributeProto]:
    """Return the attributes of a node, and the defaults of those that it leaves out."""
    known = onnx.defs.get_schema(node.operator, opset, "").attributes
    defaults = {name: one.default_value for name, one in known.items() if one.default_value.type}
    return {**defaults, **{one.name: one for one in (*function.attribute_proto, *node.proto.attribute)}}


def _with_attributes(proto: onnx.NodeProto, given: Mapping[str, onnx.AttributeProto]) -> onnx.NodeProto:
    """Return a copy of a node of a definition, attributes by reference replaced by those of whoever is defined."""
    copy = onnx.NodeProto()
    copy.CopyFrom(proto)
    del copy.attribute[:]
    for attribute in proto.attribute:
        source = given.get(attribute.ref_attr_name) if attribute.ref_attr_name else attribute
        if source is not None:
            own = copy.attribute.add()
            own.CopyFrom(source)
            own.name = attribute.name
    return copy
