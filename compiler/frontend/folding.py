"""Shapes of tensors and values of constants, node by node."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod

import numpy as np
import onnx
import onnx.shape_inference

from cimc.diagnostics import Diagnostic
from cimc.frontend.batch_axis import BatchAxis, BatchLost, Case, Tensor, result_axes
from cimc.frontend.demands import require_foldable, require_value
from cimc.frontend.node import Node
from cimc.frontend.preparation import UNBATCHED, Prepared, real_inputs
from cimc.frontend.sliding_window import sliding_window_of
from cimc.ir.weights import Array
from cimc.isa.budgets import budgets

VALUE_BYTES, COPIES = 4, 8
"""Bytes of an element of a result, in float32; how often compiling holds one: reals, magnitudes, codes in 64 bits."""

UNINFERRED = frozenset({"GroupNormalization"})
"""Operators whose result has the type of the first input, though onnx does not say so."""
IMPURE = frozenset({"RandomNormal", "RandomUniform", "Bernoulli", "Multinomial"})
SMALL = 4096
"""Constants of up to this many elements are shown to shape inference: shapes, axes, pads."""


@dataclass(frozen=True)
class Constant:
    """A tensor known when compiling; `other` is its value at another batch size, the same object where equal."""

    value: Array
    other: Array

    @property
    def free_of_batch(self) -> bool:
        return self.value is self.other or (
            self.value.shape == self.other.shape and bool(np.array_equal(self.value, self.other))
        )


@dataclass
class Facts:
    """What is known of each tensor by name; `problems`, by first output, are nodes that break ONNX's rules.

    `dequantised` are the nodes whose results are constants that were stored as integers, `folded_bytes` the bytes of
    all constants that were computed.
    """

    constants: dict[str, Constant] = field(default_factory=dict)
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    types: dict[str, onnx.TypeProto] = field(default_factory=dict)
    problems: dict[str, Diagnostic] = field(default_factory=dict)
    dequantised: dict[str, Node] = field(default_factory=dict)
    batch_axes: dict[str, BatchAxis | None] = field(default_factory=dict)
    folded_bytes: int = 0

    def tensor(self, name: str) -> Tensor:
        """Return the shape and the batch axis of a tensor."""
        return Tensor(self.shapes[name], self.batch_axes.get(name))

    def is_computed(self, name: str) -> bool:
        return name not in self.constants

    def integers(self, name: str) -> tuple[int, ...] | None:
        """Return a constant of shape numbers that does not depend on the batch size, None for anything else."""
        found = self.constants.get(name)
        known = found is not None and found.free_of_batch
        return tuple(int(value) for value in found.value.reshape(-1)) if found is not None and known else None

    def moving_entry(self, name: str) -> int | None:
        """Return the first entry of a constant list that depends on the batch size."""
        found = self.constants.get(name)
        if found is None or found.free_of_batch or found.value.shape != found.other.shape:
            return None
        return int(np.flatnonzero(found.value.reshape(-1) != found.other.reshape(-1))[0])

    def note_type(self, name: str, kind: onnx.TypeProto) -> None:
        self.types[name] = kind
        shape = kind.tensor_type.shape if kind.tensor_type.HasField("shape") else None
        if shape is not None and all(dim.HasField("dim_value") for dim in shape.dim):
            self.shapes[name] = tuple(int(dim.dim_value) for dim in shape.dim)

    def note_constant(self, name: str, constant: Constant) -> None:
        self.constants[name] = constant
        kind = onnx.helper.np_dtype_to_tensor_dtype(constant.value.dtype)
        self.note_type(name, onnx.helper.make_tensor_type_proto(kind, constant.value.shape))


def known_before(prepared: Prepared) -> Facts:
    """Return what is known of a model's initialisers and inputs."""
    facts, graph = Facts(), prepared.model.graph
    for tensor in graph.initializer:
        array = prepared.large.get(tensor.name)
        array = onnx.numpy_helper.to_array(tensor) if array is None else array
        facts.note_constant(tensor.name, Constant(array, array))
    for value in real_inputs(graph):
        facts.note_type(value.name, value.type)
        require_value(f"input '{value.name}'", facts.shapes.get(value.name, ()), prepared.stored)
        axis = prepared.axes[value.name]
        facts.batch_axes[value.name] = None if axis is None else BatchAxis(axis)
    return facts


def visit(prepared: Prepared, node: Node, facts: Facts) -> Diagnostic | None:
    """Note what is known of a node's results, or say what is wrong with it."""
    if node.operator in ("Shape", "Size") and node.inputs[0] in facts.shapes:
        _fold_shape(prepared, node, facts)
        return None
    problem = _infer(prepared, node, facts)
    if problem is None and _is_foldable(node, facts):
        return _fold(prepared, node, facts)
    if problem is None:
        _note_empty(node, facts)
    if node.operator == "Dropout" and problem is None:
        _note_mask(node, facts)
    return problem or _follow_batch(prepared, node, facts)


def _note_empty(node: Node, facts: Facts) -> None:
    """Note that a result without elements is known, whatever it is computed from."""
    for name in node.outputs:
        if 0 in (shape := facts.shapes.get(name, ())) and min(shape) == 0:
            kind = facts.types[name].tensor_type.elem_type
            nothing = np.zeros(shape, onnx.helper.tensor_dtype_to_np_dtype(kind))
            facts.note_constant(name, Constant(nothing, nothing))


def _note_mask(node: Node, facts: Facts) -> None:
    """Note that inference keeps every element: Dropout's second output is true throughout."""
    for name in node.outputs[1:]:
        if name in facts.shapes:
            mask = np.broadcast_to(np.True_, facts.shapes[name])
            facts.note_constant(name, Constant(mask, mask))


def _follow_batch(prepared: Prepared, node: Node, facts: Facts) -> Diagnostic | None:
    """Note the batch axis of each result, or say where the batch is lost."""
    if any(name not in facts.shapes for name in node.inputs if name):
        return None
    case = Case(node, facts, [facts.shapes.get(name) for name in node.outputs], prepared.batch, prepared.free)
    try:
        axes = result_axes(case)
    except BatchLost as lost:
        facts.batch_axes.update((name, BatchAxis(0)) for name in node.outputs)  # for the sake of the nodes behind
        shapes = ", ".join(str(facts.shapes[name]) for name in node.inputs if name)
        return Diagnostic("CIM0109", f"{lost} (input shapes {shapes})", node.name, node.operator, UNBATCHED)
    facts.batch_axes.update(zip(node.outputs, axes, strict=True))
    return None


def _is_foldable(node: Node, facts: Facts) -> bool:
    nested = any(attribute.HasField("g") for attribute in node.proto.attribute)
    known = all(name in facts.constants for name in node.inputs if name)
    return known and not nested and node.operator not in IMPURE and node.operator.count(".") == 0


def _fold_shape(prepared: Prepared, node: Node, facts: Facts) -> None:
    shape = facts.shapes[node.inputs[0]]
    is_activation = node.inputs[0] not in facts.constants
    batch = facts.batch_axes.get(node.inputs[0]) if prepared.free and is_activation else None
    other = tuple(size + batch.inner * (axis == batch.axis) for axis, size in enumerate(shape)) if batch else shape
    start, end = node.integer("start", 0), node.attributes.get("end")
    values = [np.array(dims[start:end], np.int64) for dims in (shape, other)]
    if node.operator == "Size":
        values = [np.array(np.prod(dims), np.int64) for dims in (shape, other)]
    facts.note_constant(node.outputs[0], Constant(values[0], values[0] if shape == other else values[1]))


def _infer(prepared: Prepared, node: Node, facts: Facts) -> Diagnostic | None:
    """Note the result types of a node, or say what onnx finds wrong with it."""
    given = [name for name in node.inputs if name]
    if any(name not in facts.types for name in given) or "." in node.operator:
        return None
    if node.operator == "BatchNormalization" and node.integer("training_mode", 0):  # refused with its reason later
        for name, like in zip(node.outputs, (0, 3, 4), strict=False):
            facts.note_type(name, facts.types[node.inputs[like]])
        return None
    small = {name: facts.constants[name].value for name in given if name in facts.constants}
    data = {name: onnx.numpy_helper.from_array(array, name) for name, array in small.items() if array.size <= SMALL}
    try:
        schema = onnx.defs.get_schema(node.proto.op_type, prepared.opset, "")
        kinds = onnx.shape_inference.infer_node_outputs(
            schema,
            node.proto,
            {name: facts.types[name] for name in given},
            data,
            opset_imports=list(prepared.model.opset_import),
            ir_version=prepared.model.ir_version,
        )
    except Exception as error:  # whatever onnx's C++ raises for a malformed node
        shapes = ", ".join(str(facts.shapes.get(name, "?")) for name in given)
        message = f"shape inference fails on input shapes {shapes}: {str(error).strip().splitlines()[0]}"
        return Diagnostic("CIM0102", message, node.name, node.operator)
    if node.operator in UNINFERRED:
        kinds = {node.outputs[0]: facts.types[node.inputs[0]]}
    for name, kind in kinds.items():
        facts.note_type(name, kind)
    if node.operator in ("MaxPool", "AveragePool") and node.inputs[0] in facts.shapes:
        _correct_pool(node, facts)
    return _oversized(prepared, node, facts)


def _correct_pool(node: Node, facts: Facts) -> None:
    """onnx infers one position too many where ceil_mode would start one in the padding; onnxruntime does not."""
    batch, channels, *size = facts.shapes[node.inputs[0]]
    motion = sliding_window_of(node, node.ints("kernel_shape", ()), tuple(size))
    if motion.is_sound:
        shape = (batch, channels, *(max(count, 0) for count in motion.positions(tuple(size))))
        kind = facts.types[node.inputs[0]].tensor_type.elem_type
        facts.note_type(node.outputs[0], onnx.helper.make_tensor_type_proto(kind, shape))


def _oversized(prepared: Prepared, node: Node, facts: Facts) -> Diagnostic | None:
    """Say which result is too large for any model. Raises OverBudget for one that is too large for this model."""
    for name in (name for name in node.outputs if name in facts.shapes):
        most = budgets().tensor_bytes // VALUE_BYTES
        found = _beyond(most, node, name, facts)
        if found is None:
            what = f"result '{name}' of node '{node.name}' ({node.operator})"
            require_value(what, facts.shapes[name], prepared.stored)
            found = _beyond(most // COPIES, node, name, facts)
        if found:
            return found
    return None


def _beyond(limit: int, node: Node, name: str, facts: Facts) -> Diagnostic | None:
    """Say that a result has more elements than a limit, and forget it; None where it has not."""
    count = prod(max(size, 1) for size in facts.shapes[name])  # nothing at all has a shape that arrays must take
    if count <= limit:
        return None
    del facts.types[name]
    message = f"result '{name}' has shape {facts.shapes.pop(name)}: {count:,} elements"
    return Diagnostic("CIM0111", f"{message}, the limit is {limit:,}", node.name, node.operator)


def _fold(prepared: Prepared, node: Node, facts: Facts) -> Diagnostic | None:
    inputs = {name: facts.constants[name] for name in node.inputs if name}
    first = {name: constant.value for name, constant in inputs.items()}
    facts.folded_bytes = require_foldable(node, facts.shapes, facts.types, facts.folded_bytes, prepared.stored)
    try:
        values = evaluated(node, first, prepared.opset)
        others = values
        if any(not constant.free_of_batch for constant in inputs.values()):
            second = {name: constant.other for name, constant in inputs.items()}
            others = evaluated(node, second, prepared.opset)
    except Exception as error:  # the reference evaluator raises whatever numpy does
        shapes = ", ".join(str(array.shape) for array in first.values())
        message = f"cannot be evaluated on constants of shapes {shapes}: {error}"
        return Diagnostic("CIM0102", message, node.name, node.operator)
    if node.operator == "DequantizeLinear":
        facts.dequantised[node.outputs[0]] = node
    for name, value, other in zip(node.outputs, values, others, strict=False):
        facts.note_constant(name, Constant(value, other))
    return None


def evaluated(node: Node, inputs: Mapping[str, Array], opset: int) -> list[Array]:
    """Return the results of a node on known inputs, by name. Raises whatever numpy does."""
    if node.operator == "ConstantOfShape":  # one element, repeated without memory
        value = node.attributes.get("value")
        element = np.zeros(1, np.float32) if value is None else onnx.numpy_helper.to_array(value)
        return [np.broadcast_to(element, inputs[node.inputs[0]])]
    from onnx.reference import ReferenceEvaluator  # it takes long to load, and few models have anything to fold

    with np.errstate(all="ignore"):
        results = ReferenceEvaluator(node.proto, opsets={"": opset}).run(None, dict(inputs))
    return [np.asarray(result) for result in results]
