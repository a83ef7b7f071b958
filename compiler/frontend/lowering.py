"""What a translation works with: one node, its tensors, and the block that operations are added to."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto
from xdsl.dialects.builtin import UnknownLoc
from xdsl.ir import Block, SSAValue

from cimc.diagnostics import DiagnosticError, fail
from cimc.frontend.batch_axis import BatchAxis, per_sample
from cimc.frontend.folding import Facts
from cimc.frontend.node import Node
from cimc.frontend.preparation import UNBATCHED
from cimc.ir import build, nn
from cimc.ir.fresh_names import FreshNames
from cimc.ir.types import CodeType, WeightRef, shape_of
from cimc.ir.weights import Array, WeightStore

Reals = NDArray[np.float64]
Constant = TypeVar("Constant", bound=Array)

MOST_IMAGES = 64
"""Images of one sample: each gets operations of its own."""


@dataclass
class GraphBuilder:
    """The graph under construction: its block, weights, and the value of every ONNX tensor so far.

    `free` says that the file leaves the batch open. `names` are those of tensors and of labels given to helpers.
    """

    free: bool
    facts: Facts
    names: FreshNames
    block: Block = field(default_factory=Block)
    weights: WeightStore = field(default_factory=WeightStore)
    values: dict[str, SSAValue] = field(default_factory=dict)
    recoded: dict[tuple[SSAValue, CodeType], SSAValue] = field(default_factory=dict)


@dataclass(frozen=True)
class Lowering:
    """One node while it is translated."""

    BOOL: ClassVar[int] = TensorProto.BOOL

    node: Node
    builder: GraphBuilder

    @property
    def label(self) -> str:
        return self.node.label

    def helper(self, suffix: str) -> str:
        """Return a fresh label for a value that ONNX does not name."""
        return self.builder.names.fresh(f"{self.label}.{suffix}")

    def add(self, op: nn.Computed) -> SSAValue:
        """Append an operation of this node and return its result."""
        if isinstance(op.location, UnknownLoc):
            op.location = self.node.location
        self.builder.block.add_op(op)
        return op.out

    def is_constant(self, index: int) -> bool:
        return self.node.has(index) and self.node.inputs[index] in self.builder.facts.constants

    def is_empty(self, index: int) -> bool:
        """Say whether an input has no elements; such tensors are constants."""
        return self.is_constant(index) and self.builder.facts.constants[self.node.inputs[index]].value.size == 0

    def activation(self, index: int) -> SSAValue:
        """Return the value of an input that depends on the model's inputs."""
        if self.is_constant(index) or not self.node.has(index):
            raise self.refuse("CIM0104", f"input {index} must be computed, it is a constant")
        return self.builder.values[self.node.inputs[index]]

    def element_type(self, name: str) -> int:
        """Return the ONNX element type of a tensor."""
        return int(self.builder.facts.types[name].tensor_type.elem_type)

    def full_shape(self, name: str) -> tuple[int, ...]:
        return self.builder.facts.shapes[name]

    def batch_axis(self, name: str) -> BatchAxis | None:
        """Return where the batch lies in a tensor; None in one without a batch."""
        return self.builder.facts.batch_axes.get(name)

    def result_shape(self, index: int = 0) -> tuple[int, ...]:
        """Return the per-sample shape of a result, as ONNX infers it."""
        name = self.node.outputs[index]
        return per_sample(self.full_shape(name), self.batch_axis(name))

    def constant(self, index: int) -> Array:
        """Return the value of a constant input that does not depend on the batch size."""
        if not self.is_constant(index):
            raise self.refuse("CIM0104", f"input {index} must be a constant, it is computed")
        name = self.node.inputs[index]
        found = self.builder.facts.constants[name]
        if not found.free_of_batch:
            raise self.refuse("CIM0109", f"constant '{name}' depends on the batch size")
        return found.value

    def require_known(self, index: int) -> None:
        """Refuse a computed input where a constant is needed, though its value may depend on the batch size."""
        if not self.is_constant(index):
            raise self.refuse("CIM0104", f"input {index} must be a constant, it is computed")

    def operand(self, index: int) -> SSAValue:
        """Return an input as a computed value, a constant as the constant of every sample; infinity is UNBOUNDED."""
        if not self.is_constant(index):
            return self.activation(index)
        name = self.node.inputs[index]
        array = self.of_one_sample(self._checked(_bounded(self.builder.facts.constants[name].value), name))
        return self.add(build.constant(self.weight(array, name), self.builder.names.fresh(f"{self.label}.{name}")))

    def of_one_sample(self, array: Reals) -> Reals:
        """Return a constant, aligned with the result from the last axis, without the batch axis."""
        name = self.node.outputs[0]
        batch, rank = self.batch_axis(name), len(self.full_shape(name))
        place = array.ndim - (rank - batch.axis) if batch else -1
        if batch is None or place < 0:
            return array
        if np.any(array != array.take([0], place)):
            message = f"a constant of shape {array.shape} differs between samples"
            raise self.refuse("CIM0109", message, hint=UNBATCHED)
        return np.asarray(array.take(0, place) if batch.is_whole else array.take([0], place))

    def reals(self, index: int) -> Reals:
        """Return a constant input as finite float64. Raises CIM0106 or CIM0107."""
        return self.finite(index).astype(np.float64)

    def bounded(self, index: int) -> Reals:
        """Return a constant input as float64, infinities as UNBOUNDED: passes see what masks. Raises as `reals`."""
        return self._checked(_bounded(self.constant(index)), self.node.inputs[index])

    def finite(self, index: int) -> Array:
        """Return a constant input, finite, in its own type: large ones are not copied. Raises CIM0106 or CIM0107."""
        return self._checked(self.constant(index), self.node.inputs[index])

    def _checked(self, array: Constant, name: str) -> Constant:
        if array.size == 0:
            raise self.refuse("CIM0107", f"constant '{name}' has shape {array.shape}")
        if not _is_finite(array):
            bad = np.argwhere(~np.isfinite(array))
            where = tuple(int(i) for i in bad[0])
            message = f"constant '{name}' is {array[where]} at {where}, {len(bad)} such values"
            raise self.refuse("CIM0106", message, hint="codes stand for finite numbers: export the model without it")
        return array

    def integers(self, index: int) -> tuple[int, ...]:
        """Return a constant input of shape numbers."""
        return tuple(int(value) for value in self.constant(index).reshape(-1))

    def weight(self, array: Array, name: str) -> WeightRef:
        """Keep a float32 weight under `name`. Raises CIM0106 where folding made it infinite."""
        with np.errstate(over="ignore"):
            single = np.asarray(array, np.float32)
        if not _is_finite(single):
            raise self.refuse("CIM0106", f"constant '{name}' leaves the range of float32 once folded")
        return self.builder.weights.add(name, single)

    def axis(self, axis: int, index: int = 0) -> int:
        """Return an axis of input `index` as a per-sample axis. Raises CIM0109 for the batch axis."""
        name = self.node.inputs[index]
        full, batch = axis % len(self.full_shape(name)), self.batch_axis(name)
        if batch is not None and full == batch.axis:
            raise self.refuse("CIM0109", f"axis {axis} is the batch", hint=UNBATCHED)
        return full - (batch is not None and batch.is_whole and full > batch.axis)

    def image(self, index: int) -> SSAValue:
        """Return an input with the batch in front, for operators whose first axis is the batch by definition."""
        name, x = self.node.inputs[index], self.activation(index)
        shape, batch = self.full_shape(name), self.batch_axis(name)
        if batch == BatchAxis(0):
            return x
        if shape[0] == 1 and batch is None:
            return self.reshaped(x, shape[1:], "image")
        hint = f"a sample has at most {MOST_IMAGES} images; make that axis the batch"
        raise self.refuse("CIM0109", f"the first axis of '{name}', of shape {shape}, is not the batch", hint=hint)

    def from_image(self, y: SSAValue) -> SSAValue:
        """Return the result of an `image` under the shape that the rest of the model expects."""
        return self.reshaped(y, self.result_shape(), "batch")

    def transposed(self, x: SSAValue, order: Sequence[int], suffix: str) -> SSAValue:
        """Return `x` with its axes in `order`; `x` itself where they already are."""
        if list(order) == sorted(order):
            return x
        return self.add(build.transpose(x, order, self.helper(suffix)))

    def reshaped(self, x: SSAValue, shape: Sequence[int], suffix: str) -> SSAValue:
        """Return `x` under another shape; `x` itself where it has it."""
        if tuple(shape) == shape_of(x):
            return x
        return self.add(build.reshape(x, shape, self.helper(suffix)))

    def refuse(self, code: str, message: str, hint: str = "") -> DiagnosticError:
        """Return the error for this node, with its input shapes, to be raised by the caller."""
        shapes = ", ".join(f"{self.builder.facts.shapes.get(name, '?')}" for name in self.node.inputs if name)
        return fail(
            code, f"{message} (input shapes {shapes})", node=self.node.name, operator=self.node.operator, hint=hint
        )


def _bounded(array: Array) -> Reals:
    """Return float64 with infinities as UNBOUNDED."""
    real = array.astype(np.float64)
    return np.where(np.isinf(real), np.sign(real) * nn.UNBOUNDED, real)


def _is_finite(array: Array) -> bool:
    """Say whether all elements are finite: infinities and NaN show in the extremes, without a copy of a large array."""
    return array.size == 0 or bool(np.isfinite(array.min()) and np.isfinite(array.max()))
