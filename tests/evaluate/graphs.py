"""Small graphs built by hand, for tests."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Attribute, Operation, SSAValue

from cimc.evaluate import Evaluator, to_onnx
from cimc.ir import attributes as attr
from cimc.ir import nn, xbar
from cimc.ir.graph import Graph
from cimc.ir.location import named
from cimc.ir.types import CodeType, code_tensor, float_tensor
from cimc.ir.weights import WeightStore

Array = NDArray[Any]
S8 = CodeType.of(8, -127, 127, 0, 1.0)


def codes(low: int, high: int, zero: int = 0, scale: float = 1.0) -> CodeType:
    """Return a code type as wide as its codes need."""
    bits = max(max(high, -1 - low).bit_length() + (low < 0), 2)
    return CodeType.of(bits, low, high, zero, scale)


class GraphBuilder:
    """Appends operations to one module; properties are given as plain Python values and arrays."""

    def __init__(self) -> None:
        self.weights = WeightStore()
        self.ops: list[Operation] = []

    def input(self, shape: Sequence[int], code: CodeType | None = None, label: str = "x") -> SSAValue:
        order = list(range(len(shape)))
        return self.op(nn.InputOp, [], shape, code, label, model_shape=list(shape), order=order)

    def op(
        self,
        kind: type[nn.Computed],
        operands: Sequence[SSAValue | Sequence[SSAValue]],
        shape: Sequence[int],
        code: CodeType | None = None,
        label: str = "y",
        **properties: Any,
    ) -> SSAValue:
        """Append a computing operation and return its result."""
        result = float_tensor(shape) if code is None else code_tensor(shape, code)
        made = self._append(kind, operands, [result], {"label": label, **properties})
        return made.results[0]

    def output(self, x: SSAValue, label: str = "out", order: Sequence[int] | None = None) -> None:
        shape = x.type.get_shape()  # type: ignore[attr-defined]
        order = list(order or range(len(shape)))
        model_shape = [shape[order.index(axis)] for axis in range(len(order))]
        self._append(nn.OutputOp, [x], [], {"label": label, "model_shape": model_shape, "order": order})

    def graph(self) -> Graph:
        module = ModuleOp(self.ops)
        module.verify()
        return Graph(module, self.weights, "test")

    def _append(self, kind: Any, operands: Any, results: Any, properties: dict[str, Any]) -> Operation:
        given = {name: self._attribute(name, value) for name, value in properties.items() if value is not None}
        made: Operation = kind(operands=operands, result_types=results, properties=given)
        made.location = named(properties["label"])
        self.ops.append(made)
        return made

    def _attribute(self, name: str, value: Any) -> Attribute:
        if isinstance(value, Attribute):
            return value
        if isinstance(value, np.ndarray):
            return self.weights.add(name, value)
        if isinstance(value, list | tuple):
            return attr.floats(value) if name in ("clamp", "parameters") else attr.ints(value)
        if isinstance(value, str):
            return attr.text(value)
        return attr.real(value) if isinstance(value, float) else attr.integer(value)


def one(
    kind: type[nn.Computed],
    operands: Sequence[tuple[tuple[int, ...], CodeType | None]],
    shape: Sequence[int],
    code: CodeType | None = None,
    **properties: Any,
) -> Graph:
    """Return a graph of one operation on inputs a, b ..., each given by shape and codes."""
    b = GraphBuilder()
    inputs = [b.input(of, codes, label) for (of, codes), label in zip(operands, "abcdef", strict=False)]
    variadic = kind in (nn.ConcatOp, xbar.ConcatOp)
    b.output(b.op(kind, [inputs] if variadic else inputs, shape, code, **properties))
    return b.graph()


def run_one(graph: Graph, *arrays: Array) -> Array:
    """Return the value `y` of a graph made by `one`."""
    return Evaluator(graph, ["y"]).run(dict(zip("abcdef", arrays, strict=False)))["y"]


def at_every_level(graph: Graph, *arrays: Array) -> list[Array]:
    """Return value `y` as plain onnxruntime computes it at each optimisation level."""
    import onnx
    import onnxruntime as ort

    model = to_onnx(graph, values=["y"], codes=True)
    onnx.checker.check_model(model, full_check=True)
    feeds = {name: array.astype(np.float32) for name, array in zip("abcdef", arrays, strict=False)}
    levels = ort.GraphOptimizationLevel
    return [
        _run_at(model.SerializeToString(), level, feeds)
        for level in (
            levels.ORT_DISABLE_ALL,
            levels.ORT_ENABLE_BASIC,
            levels.ORT_ENABLE_EXTENDED,
            levels.ORT_ENABLE_ALL,
        )
    ]


def _run_at(model: bytes, level: Any, feeds: dict[str, Array]) -> Array:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.graph_optimization_level = level
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(["y:value"], feeds)[0])
