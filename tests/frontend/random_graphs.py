"""Random ONNX models as people's exporters may write them: any names, order, opset, shared weights, loose ends."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

Array = NDArray[Any]
Shape = tuple[int, ...]
OPSETS = (*range(7, 23), 24)
TABLES = ["Relu", "Sigmoid", "Tanh", "LeakyRelu", "Elu", "Softplus", "Softsign", "HardSigmoid", "Abs", "Identity"]
LETTERS = list("abcxyzABC019._/:-+ é")


@dataclass
class Author:
    """Draws nodes that fit the values there are; `values` maps names to shapes without the batch."""

    rng: np.random.Generator
    opset: int
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: dict[str, Array] = field(default_factory=dict)
    values: dict[str, Shape] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)

    def name(self) -> str:
        """Return a fresh tensor name of one to twelve characters."""
        while True:
            text = "".join(self.rng.choice(LETTERS, self.rng.integers(1, 13))).strip()
            if text and text not in self.used:
                self.used.add(text)
                return text

    def weight(self, *shape: int, positive: bool = False) -> str:
        """Return a constant of a shape: as often as not one that another node has."""
        shared = [name for name, array in self.constants.items() if array.shape == shape and array.dtype == np.float32]
        if shared and not positive and self.rng.random() < 0.5:
            return str(self.rng.choice(shared))
        fan = max(int(np.prod(shape[1:])), 1)
        array = self.rng.normal(0.0, 1.0 / np.sqrt(fan), shape)
        return self.constant((np.abs(array) + 0.5 if positive else array).astype(np.float32))

    def constant(self, array: Any) -> str:
        name = self.name()
        self.constants[name] = np.asarray(array)
        return name

    def add(self, operator: str, inputs: list[str], shape: Shape, **attributes: Any) -> str:
        label = self.name() if self.rng.random() < 0.7 else ""
        out = self.name()
        self.nodes.append(helper.make_node(operator, inputs, [out], name=label, **attributes))
        self.values[out] = shape
        return out

    def pick(self, rank: int | None = None) -> tuple[str, Shape] | None:
        """Return a value, the newest ones most often."""
        fits = [(name, shape) for name, shape in self.values.items() if rank in (None, len(shape))]
        if not fits:
            return None
        back = min(int(self.rng.geometric(0.4)), len(fits))
        return fits[-back]

    def flag(self) -> bool:
        return bool(self.rng.random() < 0.5)

    # One method a family of nodes; each may find nothing that fits.

    def convolution(self) -> None:
        if (found := self.pick(3)) is None:
            return
        x, (channels, height, width) = found
        kernel = [int(k) for k in self.rng.integers(1, 4, 2)]
        pads = [int(p) for p in self.rng.integers(0, 2, 4)]
        stride = [int(s) for s in self.rng.integers(1, 3, 2)]
        group = channels if self.flag() and channels > 1 else 1
        outputs = group * int(self.rng.integers(1, 4))
        sizes = [
            (n + a + b - k) // s + 1
            for n, a, b, k, s in zip((height, width), pads[:2], pads[2:], kernel, stride, strict=True)
        ]
        if min(sizes) < 1:
            return
        inputs = [x, self.weight(outputs, channels // group, *kernel)]
        if self.flag():
            inputs.append(self.weight(outputs) if self.flag() else "")
        self.add("Conv", inputs, (outputs, *sizes), kernel_shape=kernel, pads=pads, strides=stride, group=group)

    def pool(self) -> None:
        if (found := self.pick(3)) is None or min(found[1][1:]) < 2:
            return
        x, (channels, height, width) = found
        if self.rng.random() < 0.2:
            operator = str(self.rng.choice(["GlobalAveragePool", "GlobalMaxPool"]))
            self.add(operator, [x], (channels, 1, 1))
            return
        operator, stride = str(self.rng.choice(["MaxPool", "AveragePool"])), int(self.rng.integers(1, 3))
        sizes = [(n - 2) // stride + 1 for n in (height, width)]
        self.add(operator, [x], (channels, *sizes), kernel_shape=[2, 2], strides=[stride, stride])

    def table(self) -> None:
        operators = [
            "Relu",
            "Sigmoid",
            "Tanh",
            "LeakyRelu",
            "Elu",
            "Softplus",
            "Softsign",
            "HardSigmoid",
            "Abs",
            "Identity",
        ]
        if found := self.pick():
            self.add(str(self.rng.choice(operators)), [found[0]], found[1])

    def clip(self) -> None:
        if (found := self.pick()) is None:
            return
        low, high = sorted(self.rng.normal(0.0, 1.0, 2).astype(np.float32).tolist())
        if self.opset < 11:
            self.add("Clip", [found[0]], found[1], min=low, max=high + 0.5)
            return
        bounds = [self.constant(np.float32(low)) if self.flag() else "", self.constant(np.float32(high + 0.5))]
        self.add("Clip", [found[0], *bounds], found[1])

    def binary(self) -> None:
        if (found := self.pick()) is None:
            return
        x, shape = found
        partners = [name for name, other in self.values.items() if other == shape]
        other = (
            str(self.rng.choice(partners))
            if self.flag()
            else self.weight(*([*shape[:1], 1, 1] if len(shape) == 3 else shape))
        )
        operator = str(self.rng.choice(["Add", "Sub", "Mul"]))
        self.add(operator, [x, other] if self.flag() else [other, x], shape)

    def many(self) -> None:
        if (found := self.pick()) is None:
            return
        partners = [name for name, other in self.values.items() if other == found[1]]
        operands = [str(name) for name in self.rng.choice(partners, self.rng.integers(1, 4))]
        operators = ["Sum"] if self.opset < 8 else ["Sum", "Max", "Min", "Mean"]
        self.add(str(self.rng.choice(operators)), operands, found[1])

    def normalisation(self) -> None:
        if (found := self.pick(3)) is None:
            return
        channels = found[1][0]
        parameters = [
            self.weight(channels),
            self.weight(channels),
            self.weight(channels),
            self.weight(channels, positive=True),
        ]
        self.add("BatchNormalization", [found[0], *parameters], found[1])

    def dense(self) -> None:
        if (found := self.pick()) is None:
            return
        x, shape = found
        if len(shape) > 1:
            x = self.add("Flatten", [x], (int(np.prod(shape)),))
            shape = self.values[x]
        outputs = int(self.rng.integers(1, 7))
        inputs = [x, self.weight(outputs, shape[0])]
        if self.flag() or self.opset < 11:
            inputs.append(self.weight(outputs))
        self.add("Gemm", inputs, (outputs,), transB=1)

    def movement(self) -> None:
        if (found := self.pick(3)) is None:
            return
        x, shape = found
        if self.flag():
            order = [int(axis) for axis in self.rng.permutation(3)]
            self.add("Transpose", [x], tuple(shape[axis] for axis in order), perm=[0, *(axis + 1 for axis in order)])
        else:
            target = (shape[0] * shape[1], 1, shape[2]) if self.flag() else (shape[2], shape[0], shape[1])
            self.add("Reshape", [x, self.constant(np.array([-1, *target], np.int64))], target)

    def concatenation(self) -> None:
        if (found := self.pick(3)) is None:
            return
        partners = [name for name, other in self.values.items() if len(other) == 3 and other[1:] == found[1][1:]]
        parts = [str(name) for name in self.rng.choice(partners, self.rng.integers(1, 4))]
        channels = sum(self.values[part][0] for part in parts)
        if channels <= 16:
            self.add("Concat", parts, (channels, *found[1][1:]), axis=1)

    def mean(self) -> None:
        if (found := self.pick(3)) is None:
            return
        x, (channels, height, _) = found
        axes, shape = ([3], (channels, height, 1)) if self.flag() else ([2, 3], (channels, 1, 1))
        if self.opset < 18:
            self.add("ReduceMean", [x], shape, axes=axes)
        else:
            self.add("ReduceMean", [x, self.constant(np.array(axes, np.int64))], shape)

    def softmax(self) -> None:
        if found := self.pick(1):
            self.add("Softmax", [found[0]], found[1], axis=1)


FAMILIES: tuple[Callable[[Author], None], ...] = (
    Author.convolution,
    Author.convolution,
    Author.pool,
    Author.table,
    Author.table,
    Author.clip,
    Author.binary,
    Author.binary,
    Author.many,
    Author.normalisation,
    Author.dense,
    Author.movement,
    Author.concatenation,
    Author.mean,
    Author.softmax,
)


def random_model(seed: int) -> onnx.ModelProto:
    """Return the model of a seed: up to fourteen nodes in random order, one to three inputs, one to four outputs."""
    rng = np.random.default_rng(seed)
    author = Author(rng, int(rng.choice(OPSETS)))
    inputs = [author.name() for _ in range(rng.integers(1, 4))]
    for name in inputs:
        author.values[name] = (int(rng.integers(1, 5)), int(rng.integers(3, 8)), int(rng.integers(3, 8)))
    for _ in range(int(rng.integers(4, 15))):
        FAMILIES[int(rng.integers(len(FAMILIES)))](author)
    if not author.nodes:
        author.add("Relu", [inputs[0]], author.values[inputs[0]])
    made = [name for name in author.values if name not in inputs]
    outputs = [made[-1], *(str(name) for name in rng.choice(made, rng.integers(0, 3)))]
    outputs = list(dict.fromkeys(outputs))
    if author.flag():  # the same value under a second name
        outputs.append(author.add("Identity", [outputs[0]], author.values[outputs[0]]))
    batch = "N" if author.flag() else 1
    shapes = {name: author.values[name] for name in (*inputs, *outputs)}
    graph = helper.make_graph(
        [author.nodes[int(index)] for index in rng.permutation(len(author.nodes))],
        "random",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [batch, *shapes[name]]) for name in inputs],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [numpy_helper.from_array(array, name) for name, array in author.constants.items()],
    )
    opsets = [helper.make_opsetid("", author.opset)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8 if author.opset < 21 else 10)
