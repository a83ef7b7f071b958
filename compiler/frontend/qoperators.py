"""Operators on quantised tensors, written out as DequantizeLinear, the float operator, QuantizeLinear: what they mean.

One form of quantised model is left for the translations. The parts of a node keep its name.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from cimc.ir.fresh_names import FreshNames

CONTRIBUTED = "com.microsoft"
"""The domain of onnxruntime's own operators."""


@dataclass
class Expansion:
    """One node on the way to several: the nodes and constants it becomes, and the names of tensors."""

    node: onnx.NodeProto
    names: FreshNames
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: list[onnx.TensorProto] = field(default_factory=list)

    @property
    def attributes(self) -> dict[str, Any]:
        return {attribute.name: helper.get_attribute_value(attribute) for attribute in self.node.attribute}

    def has(self, index: int) -> bool:
        return index < len(self.node.input) and self.node.input[index] != ""

    def add(self, operator: str, inputs: Sequence[str], result: str, **attributes: Any) -> str:
        """Append a node; return the name of its result."""
        self.nodes.append(helper.make_node(operator, inputs, [result], name=self.node.name, **attributes))
        return result

    def fresh(self, role: str) -> str:
        """Return a tensor name that the model does not use."""
        return self.names.fresh(f"{self.node.output[0]}.{role}")

    def real(self, index: int, axis: int = 1) -> str:
        """Dequantise input `index`, whose scale and zero point are the two inputs behind it."""
        inputs = list(self.node.input[index : index + 3])
        return self.add("DequantizeLinear", inputs, self.fresh(f"real{index}"), axis=axis)

    def bias(self, index: int, scales: tuple[int, int], factor: float = 1.0) -> list[str]:
        """Dequantise 32-bit sums, whose scale is the product of two others; nothing where they are left out."""
        if not self.has(index):
            return []
        scale = self.add("Mul", [self.node.input[one] for one in scales], self.fresh("bias_scale"))
        if factor != 1.0:
            self.constants.append(numpy_helper.from_array(np.array(factor, np.float32), self.fresh("alpha")))
            scale = self.add("Mul", [scale, self.constants[-1].name], self.fresh("scaled"))
        return [self.add("DequantizeLinear", [self.node.input[index], scale], self.fresh("bias"), axis=0)]

    def compute(self, operator: str, inputs: Sequence[str], scale: int, **attributes: Any) -> None:
        """Append the float operator, and quantise its result by the inputs `scale` and the one behind it, if given."""
        if not self.has(scale):
            self.add(operator, inputs, self.node.output[0], **attributes)
            return
        real = self.add(operator, inputs, self.fresh("real"), **attributes)
        self.add("QuantizeLinear", [real, *self.node.input[scale : scale + 2]], self.node.output[0])


def _convolution(e: Expansion) -> None:
    e.compute("Conv", [e.real(0), e.real(3, axis=0), *e.bias(8, (1, 4))], 6, **e.attributes)


def _product(e: Expansion) -> None:
    e.compute("MatMul", [e.real(0), e.real(3, axis=-1)], 6)


def _gemm(e: Expansion) -> None:
    attributes = e.attributes
    columns = 0 if attributes.get("transB", 0) else 1
    bias = e.bias(6, (1, 4), float(attributes.get("alpha", 1.0)))
    e.compute("Gemm", [e.real(0), e.real(3, axis=columns), *bias], 7, **attributes)


def _of_two(operator: str) -> Callable[[Expansion], None]:
    return lambda e: e.compute(operator, [e.real(0), e.real(3)], 6)


def _of_one(operator: str, *dropped: str) -> Callable[[Expansion], None]:
    def expand(e: Expansion) -> None:
        kept = {name: value for name, value in e.attributes.items() if name not in dropped}
        e.compute(operator, [e.real(0)], 3, **kept)

    return expand


def _concatenation(e: Expansion) -> None:
    parts = [e.real(index) for index in range(2, len(e.node.input), 3)]
    e.compute("Concat", parts, 0, **e.attributes)


def _sum_of_products(operator: str) -> Callable[[Expansion], None]:
    """Return how integers less their zero points are multiplied: as real numbers, which hold the sums exactly."""

    def expand(e: Expansion) -> None:
        one = numpy_helper.from_array(np.array(1.0, np.float32), e.fresh("one"))
        e.constants.append(one)
        zeros = [[e.node.input[index]] if e.has(index) else [] for index in (2, 3)]
        factors = [
            e.add("DequantizeLinear", [e.node.input[n], one.name, *zeros[n]], e.fresh(f"real{n}")) for n in (0, 1)
        ]
        e.add(operator, factors, e.node.output[0], **e.attributes)

    return expand


def _plain(operator: str) -> Callable[[Expansion], None]:
    return lambda e: e.nodes.append(
        helper.make_node(operator, e.node.input, e.node.output, name=e.node.name, **e.attributes)
    )


EXPANSIONS: Mapping[tuple[str, str], Callable[[Expansion], None]] = {
    ("", "ConvInteger"): _sum_of_products("Conv"),
    ("", "MatMulInteger"): _sum_of_products("MatMul"),
    ("", "QLinearConv"): _convolution,
    ("", "QLinearMatMul"): _product,
    (CONTRIBUTED, "DequantizeLinear"): _plain("DequantizeLinear"),
    (CONTRIBUTED, "QGemm"): _gemm,
    (CONTRIBUTED, "QLinearAdd"): _of_two("Add"),
    (CONTRIBUTED, "QLinearAveragePool"): _of_one("AveragePool", "channels_last"),
    (CONTRIBUTED, "QLinearConcat"): _concatenation,
    (CONTRIBUTED, "QLinearGlobalAveragePool"): _of_one("GlobalAveragePool", "channels_last"),
    (CONTRIBUTED, "QLinearLeakyRelu"): _of_one("LeakyRelu"),
    (CONTRIBUTED, "QLinearMul"): _of_two("Mul"),
    (CONTRIBUTED, "QLinearSigmoid"): _of_one("Sigmoid"),
    (CONTRIBUTED, "QLinearSoftmax"): _of_one("Softmax", "opset"),
    (CONTRIBUTED, "QuantizeLinear"): _plain("QuantizeLinear"),
}
"""(domain, operator) -> how it is written out."""
SUMS = ("ConvInteger", "MatMulInteger")
"""Operators whose results are integers of 32 bits: written out where they are only read as real numbers."""
FEWEST = {"QGemm": 6, **dict.fromkeys(SUMS, 2)}
"""Operator -> the inputs it needs, where those are not a tensor, its scale and its zero point."""


def expand_quantised(graph: onnx.GraphProto) -> None:
    """Write out every operator on quantised tensors that `EXPANSIONS` knows, in place."""
    taken = {name for node in graph.node for name in (*node.input, *node.output)}
    taken |= {tensor.name for tensor in graph.initializer} | {value.name for value in graph.input}
    names, constants = FreshNames(taken), list[onnx.TensorProto]()
    whole = _read_as_integers(graph)
    kept = [node.op_type in SUMS and node.output[0] in whole for node in graph.node]
    nodes = [
        one
        for node, stays in zip(graph.node, kept, strict=True)
        for one in ([node] if stays else _expanded(node, names, constants))
    ]
    if len(nodes) > len(graph.node) or any(_is_known(node) for node in graph.node):
        del graph.node[:]
        graph.node.extend(nodes)
        graph.initializer.extend(constants)


def _read_as_integers(graph: onnx.GraphProto) -> set[str]:
    """Return the tensors that something but a cast to real numbers reads, or the model gives out."""
    read = {name for node in graph.node if not _is_cast_to_float(node) for name in node.input}
    return read | {value.name for value in graph.output}


def _is_cast_to_float(node: onnx.NodeProto) -> bool:
    return node.op_type == "Cast" and any(
        one.name == "to" and one.i == onnx.TensorProto.FLOAT for one in node.attribute
    )


def _is_known(node: onnx.NodeProto) -> bool:
    """Say whether a node can be written out; in another layout or with an old softmax it means something else."""
    attributes = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
    as_defined = not attributes.get("channels_last", 0) and attributes.get("opset", 13) >= 13
    is_complete = len(node.input) >= FEWEST.get(node.op_type, 3)
    return (node.domain.replace("ai.onnx", ""), node.op_type) in EXPANSIONS and as_defined and is_complete


def _expanded(node: onnx.NodeProto, names: FreshNames, constants: list[onnx.TensorProto]) -> Iterator[onnx.NodeProto]:
    if not _is_known(node):
        yield node
        return
    expansion = Expansion(node, names)
    EXPANSIONS[node.domain.replace("ai.onnx", ""), node.op_type](expansion)
    constants += expansion.constants
    yield from expansion.nodes
