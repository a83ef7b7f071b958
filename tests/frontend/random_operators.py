"""A second generator of random models: 26 operators that the first does not draw, the batch open, 1 or 2."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

Array = NDArray[Any]
Shape = tuple[int, ...]
OPSET = 20
BATCHES = ("N", 1, 2)
SIZES = (2, 7)
WIDEST = 400
"""Elements of a value of one sample."""


@dataclass
class Draft:
    """Nodes that fit the values there are; `values` maps names to their shapes without the batch."""

    rng: np.random.Generator
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: dict[str, Array] = field(default_factory=dict)
    values: dict[str, Shape] = field(default_factory=dict)

    def name(self) -> str:
        return f"t{len(self.nodes)}.{len(self.constants)}.{len(self.values)}"

    def constant(self, array: Any) -> str:
        name = f"c{len(self.constants)}"
        self.constants[name] = np.asarray(array)
        return name

    def ints(self, *numbers: int) -> str:
        return self.constant(np.array(numbers, np.int64))

    def reals(self, *shape: int, low: float = -1.0, high: float = 1.0) -> str:
        return self.constant(self.rng.uniform(low, high, shape).astype(np.float32))

    def node(self, operator: str, inputs: list[str], **attributes: Any) -> str:
        """Append a node whose result is no value to draw from."""
        out = self.name()
        self.nodes.append(helper.make_node(operator, inputs, [out], name=f"{operator}_{len(self.nodes)}", **attributes))
        return out

    def value(self, shape: Shape, operator: str, inputs: list[str], **attributes: Any) -> None:
        """Append a node; its result is a value, except where it is too large."""
        if 0 < np.prod(shape) <= WIDEST:
            self.values[self.node(operator, inputs, **attributes)] = shape

    def pick(self, *ranks: int) -> tuple[str, Shape]:
        """Return a value of one of some ranks, the newest most often."""
        fits = [(name, shape) for name, shape in self.values.items() if not ranks or len(shape) in ranks]
        return fits[-min(int(self.rng.geometric(0.35)), len(fits))]

    def pick_of(self, shape: Shape) -> str:
        """Return some value of a shape that there is."""
        return str(self.rng.choice([name for name, other in self.values.items() if other == shape]))

    def between(self, low: int, high: int) -> int:
        """Return a whole number, both ends included."""
        return int(self.rng.integers(low, high + 1))

    def axis(self, shape: Shape) -> int:
        """Return an ONNX axis that is not the batch, from the front or from the end."""
        axis = self.between(1, len(shape))
        return axis if self.rng.random() < 0.5 else axis - len(shape) - 1


def _with(shape: Shape, axis: int, size: int) -> Shape:
    """Return a shape with another size on an ONNX axis."""
    sizes = [0, *shape]
    sizes[axis] = size
    return tuple(sizes[1:])


def matmul(d: Draft) -> None:
    x, shape = d.pick()
    columns = d.between(1, 5)
    d.value((*shape[:-1], columns), "MatMul", [x, d.reals(shape[-1], columns)])


def layer_normalization(d: Draft) -> None:
    x, shape = d.pick()
    d.value(shape, "LayerNormalization", [x, d.reals(shape[-1]), d.reals(shape[-1])], axis=-1)


def instance_normalization(d: Draft) -> None:
    x, shape = d.pick(2, 3)
    d.value(shape, "InstanceNormalization", [x, d.reals(shape[0]), d.reals(shape[0])])


def softmax(d: Draft) -> None:
    x, shape = d.pick()
    d.value(shape, "Softmax", [x], axis=d.axis(shape))


def slice_(d: Draft) -> None:
    x, shape = d.pick()
    axis = d.axis(shape)
    size = (0, *shape)[axis]
    start, step = d.between(0, size - 1), d.between(1, 2)
    inputs = [x, d.ints(start), d.ints(size + 3), d.ints(axis), d.ints(step)]
    d.value(_with(shape, axis, -(-(size - start) // step)), "Slice", inputs)


def split(d: Draft) -> None:
    x, shape = d.pick()
    axis = d.axis(shape)
    size = (0, *shape)[axis]
    if size < 2:
        return
    cut, names = d.between(1, size - 1), [f"{d.name()}.a", f"{d.name()}.b"]
    inputs = [x, d.ints(cut, size - cut)]
    d.nodes.append(helper.make_node("Split", inputs, names, name=f"Split_{len(d.nodes)}", axis=axis))
    d.values |= {names[0]: _with(shape, axis, cut), names[1]: _with(shape, axis, size - cut)}


def unsqueeze(d: Draft) -> None:
    x, shape = d.pick(1, 2)
    axis = d.between(1, len(shape) + 1)
    d.value((*shape[: axis - 1], 1, *shape[axis - 1 :]), "Unsqueeze", [x, d.ints(axis)])


def squeeze(d: Draft) -> None:
    x, shape = d.pick(2, 3)
    ones = [axis for axis, size in enumerate(shape, 1) if size == 1]
    if ones:
        d.value((*shape[: ones[0] - 1], *shape[ones[0] :]), "Squeeze", [x, d.ints(ones[0])])


def pad(d: Draft) -> None:
    x, shape = d.pick()
    before, after = ([0, *(d.between(0, 1) for _ in shape)] for _ in range(2))
    mode = str(d.rng.choice(["constant", "edge"]))
    padded = tuple(size + a + b for size, a, b in zip(shape, before[1:], after[1:], strict=True))
    d.value(padded, "Pad", [x, d.ints(*before, *after)], mode=mode)


def resize(d: Draft) -> None:
    x, (channels, height, width) = d.pick(3)
    mode = str(d.rng.choice(["nearest", "linear"]))
    scales = d.constant(np.array([1, 1, 2, 2], np.float32))
    d.value((channels, 2 * height, 2 * width), "Resize", [x, "", scales], mode=mode)


def conv_transpose(d: Draft) -> None:
    x, (channels, height, width) = d.pick(3)
    outputs, kernel, stride = d.between(1, 3), d.between(1, 3), d.between(1, 2)
    sizes = [(size - 1) * stride + kernel for size in (height, width)]
    inputs = [x, d.reals(channels, outputs, kernel, kernel)]
    d.value((outputs, *sizes), "ConvTranspose", inputs, strides=[stride, stride])


def depth_to_space(d: Draft) -> None:
    x, (channels, height, width) = d.pick(3)
    if channels % 4 == 0:
        mode = str(d.rng.choice(["DCR", "CRD"]))
        d.value((channels // 4, 2 * height, 2 * width), "DepthToSpace", [x], blocksize=2, mode=mode)


def arg_max(d: Draft) -> None:
    x, shape = d.pick()
    axis = d.axis(shape)
    found = d.node("ArgMax", [x], axis=axis, keepdims=1)
    d.value(_with(shape, axis, 1), "Cast", [found], to=TensorProto.FLOAT)


def where(d: Draft) -> None:
    x, shape = d.pick()
    truth = d.node(str(d.rng.choice(["Greater", "LessOrEqual"])), [x, d.reals(1, low=-0.4, high=0.4)])
    d.value(shape, "Where", [truth, x, d.reals(1)])


def tile(d: Draft) -> None:
    x, shape = d.pick(1, 2)
    repeats = [1, *(d.between(1, 2) for _ in shape)]
    d.value(tuple(n * r for n, r in zip(shape, repeats[1:], strict=True)), "Tile", [x, d.ints(*repeats)])


def reduction(d: Draft) -> None:
    x, shape = d.pick()
    axis, operator = d.axis(shape), str(d.rng.choice(["ReduceMax", "ReduceL2", "ReduceSum"]))
    d.value(_with(shape, axis, 1), operator, [x, d.ints(axis)], keepdims=1)


def function(d: Draft) -> None:
    x, shape = d.pick()
    d.value(shape, str(d.rng.choice(["HardSwish", "Gelu", "Erf", "Mish"])), [x])


def exponential(d: Draft) -> None:
    x, shape = d.pick()
    d.value(shape, "Exp", [d.node("Mul", [d.node("Tanh", [x]), d.reals(1)])])


def prelu(d: Draft) -> None:
    x, shape = d.pick()
    d.value(shape, "PRelu", [x, d.reals(shape[-1])])


def quotient(d: Draft) -> None:
    x, shape = d.pick()
    y = d.node("Abs", [d.pick_of(shape)])
    d.value(shape, "Div", [x, d.node("Add", [y, d.reals(1, low=0.5, high=1.5)])])


def gather(d: Draft) -> None:
    x, shape = d.pick()
    axis, count = d.axis(shape), d.between(1, 4)
    size = (0, *shape)[axis]
    indices = d.ints(*(d.between(-size, size - 1) for _ in range(count)))
    d.value(_with(shape, axis, count), "Gather", [x, indices], axis=axis)


def quantised(d: Draft) -> None:
    x, shape = d.pick()
    scale, zero = d.reals(low=0.01, high=0.1), d.constant(np.array(d.between(-100, 100), np.int8))
    d.value(shape, "DequantizeLinear", [d.node("QuantizeLinear", [x, scale, zero]), scale, zero])


def together(d: Draft) -> None:
    x, shape = d.pick()
    d.value(shape, str(d.rng.choice(["Add", "Mul", "Max"])), [x, d.pick_of(shape)])


FAMILIES: tuple[Callable[[Draft], None], ...] = (
    *(matmul, layer_normalization, instance_normalization, softmax, slice_, split, unsqueeze, squeeze, pad),
    *(resize, conv_transpose, depth_to_space, arg_max, where, tile, reduction, function, exponential, prelu),
    *(quotient, gather, quantised, together),
)


def random_operators(seed: int) -> onnx.ModelProto:
    """Return the model of a seed: one or two inputs, up to twelve families of nodes, one to three outputs."""
    rng = np.random.default_rng(seed)
    draft, batch = Draft(rng), BATCHES[int(rng.integers(len(BATCHES)))]
    inputs = {f"x{n}": tuple(int(s) for s in rng.integers(*SIZES, 3)) for n in range(rng.integers(1, 3))}
    inputs["flat"] = tuple(int(s) for s in rng.integers(*SIZES, int(rng.integers(1, 3))))
    draft.values |= inputs
    while len(draft.values) < len(inputs) + int(rng.integers(4, 13)):
        FAMILIES[int(rng.integers(len(FAMILIES)))](draft)
    made = [name for name in draft.values if name not in inputs]
    outputs = list(dict.fromkeys([made[-1], *(str(name) for name in rng.choice(made, rng.integers(0, 3)))]))
    graph = helper.make_graph(
        draft.nodes,
        "random",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [batch, *shape]) for name, shape in inputs.items()],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [numpy_helper.from_array(array, name) for name, array in draft.constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=9)
