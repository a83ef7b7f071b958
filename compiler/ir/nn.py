"""Dialect `nn`: the canonical tensor graph. Shapes are per sample (no batch axis) and channels come last.

Values are float tensors before `quantise` and code tensors after it; on codes an operation means: take the real
values, compute, quantise to the result's codes. `label` names the value an operation computes, after the ONNX tensor.
`clamp` (low, high) is a fused activation on real values. 1-D data has height 1.
"""

from collections.abc import Sequence
from math import prod
from typing import ClassVar

import numpy as np
from xdsl.dialects.builtin import TensorType
from xdsl.ir import Dialect, OpResult
from xdsl.irdl import (
    IRDLOperation,
    Operand,
    VarOperand,
    irdl_op_definition,
    operand_def,
    opt_prop_def,
    prop_def,
    result_def,
    var_operand_def,
)
from xdsl.utils.exceptions import VerifyException

from cimc.ir.attributes import Floats, Integer, Ints, Real, Text, float_value, int_value, int_values
from cimc.ir.functions import FUNCTIONS
from cimc.ir.nature import AxisOrder, Described, Nature, Passes, Reads
from cimc.ir.types import CodeType, WeightRef, code_of, integer_type, is_quantised, shape_of

HIDDEN = -1e30
"""Stands for minus infinity in what a softmax reads; ranges leave out values at or below it."""
UNBOUNDED = 3.4028234663852886e38
"""The largest float32: stands for "no bound" in clamps."""
WHOLE = 1e-6
"""How near 1 / scale must be to a whole number for softmax to give codes of that scale (passes/digital/digital.py)."""


def window_out(size: int, before: int, after: int, kernel: int, stride: int, dilation: int) -> int:
    """Return how many window positions fit along one axis."""
    return (size + before + after - dilation * (kernel - 1) - 1) // stride + 1


class Ruled(IRDLOperation):
    """An operation whose own rules can be asked without its declaration, which a kind of operation keeps or breaks."""

    def rules(self) -> None:
        """Raise VerifyException where the operation breaks a rule of its own: its `verify_` as it was written."""

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        cls.rules = cls.verify_  # type: ignore[method-assign]  # xDSL then puts the declaration in front of them


class Computed(Ruled):
    """An operation with one tensor result and a label; `address` is its activation address in bytes once scheduled."""

    label: Text = prop_def(Text)
    address: Integer | None = opt_prop_def(Integer)
    out: OpResult = result_def(TensorType)

    def multiplies(self) -> int:
        """Return how many multiplications, or steps as dear, it takes to compute the result literally."""
        return prod(shape_of(self.out))


class Canonical(Computed, Described):
    """An operation of the model's graph, which says what it is; those of the tile IR are computed as well."""


class Activated(Canonical):
    """An operation that can clamp its result."""

    clamp: Floats | None = opt_prop_def(Floats)


class Layer(Activated):
    """An operation with weights of its own.

    `steps` (outputs) float64 is given where the weights of each output are whole multiples of one number.
    """

    x: Operand = operand_def(TensorType)
    weight: WeightRef = prop_def(WeightRef)
    steps: WeightRef | None = opt_prop_def(WeightRef)
    bias: WeightRef | None = opt_prop_def(WeightRef)

    @property
    def is_depthwise(self) -> bool:
        """Whether each output channel reads one input channel: no product for the crossbar."""
        return False

    def verify_(self) -> None:
        if self.steps is not None and self.steps.dims != self.weight.dims[-1:]:
            raise VerifyException(f"steps {self.steps.dims} do not fit weight {self.weight.dims}")
        if self.bias is not None and self.bias.dims != self.weight.dims[-1:]:
            raise VerifyException(f"bias {self.bias.dims} does not fit weight {self.weight.dims}")


class Movement(Canonical):
    """An operation that only moves values: codes stay what they are."""

    @property
    def can_hide(self) -> bool:
        sources = (operand.owner for operand in self.operands)
        return any(isinstance(source, Described) and source.can_hide for source in sources)

    def verify_(self) -> None:
        for operand in self.operands:
            if is_quantised(self.out) and (not is_quantised(operand) or code_of(operand) != code_of(self.out)):
                raise VerifyException("a movement cannot change codes")


@irdl_op_definition
class InputOp(Canonical):
    """A model input: memory axis a of the value is axis order[a] of the model's own per-sample shape.

    `batch_axis` is where the model's own tensor has the samples: absent for the first axis, -1 for none.
    `integers` marks an input of whole numbers, whose codes are the numbers themselves: lowest and highest, or nothing
    where the calibration data decide.
    `code` is given where the model takes integers: the codes whose real values are those integers.
    """

    name = "nn.input"
    NATURE: ClassVar[Nature] = Nature(
        reads=Reads.NOTHING, writes_any_codes=False, passes=Passes.NO, order=AxisOrder.NO, tied=False
    )
    model_shape: Ints = prop_def(Ints)
    order: Ints = prop_def(Ints)
    batch_axis: Integer | None = opt_prop_def(Integer)
    integers: Ints | None = opt_prop_def(Ints)
    code: CodeType | None = opt_prop_def(CodeType)

    @property
    def own_code(self) -> CodeType | None:
        ends = int_values(self.integers)
        return self.code or (integer_type(*ends) if ends else None)

    def verify_(self) -> None:
        _verify_order(self, shape_of(self.out))


@irdl_op_definition
class OutputOp(Ruled, Described):
    """A model output under its ONNX name, with shape, axis order and batch axis as for an input."""

    name = "nn.output"
    NATURE: ClassVar[Nature] = Nature(
        reads=Reads.WIDE, writes_any_codes=False, passes=Passes.NO, order=AxisOrder.NO, tied=False
    )
    x: Operand = operand_def(TensorType)
    label: Text = prop_def(Text)
    model_shape: Ints = prop_def(Ints)
    order: Ints = prop_def(Ints)
    batch_axis: Integer | None = opt_prop_def(Integer)

    def verify_(self) -> None:
        _verify_order(self, shape_of(self.x))


@irdl_op_definition
class ConvOp(Layer):
    """2-D convolution of (height, width, channels); weight (kernel height, kernel width, channels / group, outputs)."""

    name = "nn.conv"
    NATURE: ClassVar[Nature] = Nature(
        reads=Reads.NARROW, writes_any_codes=True, passes=Passes.NO, order=AxisOrder.NO, tied=False
    )
    stride: Ints = prop_def(Ints)
    dilation: Ints = prop_def(Ints)
    pads: Ints = prop_def(Ints)
    """top, left, bottom, right"""
    group: Integer = prop_def(Integer)

    @property
    def is_depthwise(self) -> bool:
        return self.weight.dims[2] == 1 and int_value(self.group) > 1

    def verify_(self) -> None:
        Layer.verify_(self)
        shape, kernel = shape_of(self.x), self.weight.dims
        if len(shape) != 3 or len(kernel) != 4 or shape[2] != kernel[2] * int_value(self.group):
            raise VerifyException(f"weight {kernel} in {int_value(self.group)} groups does not fit input {shape}")
        _verify_window(self, (shape[0], shape[1]), (kernel[0], kernel[1]), kernel[3])


@irdl_op_definition
class DenseOp(Layer):
    """Matrix product of the last axis with weight (inputs, outputs)."""

    name = "nn.dense"
    NATURE: ClassVar[Nature] = Nature(
        reads=Reads.NARROW, writes_any_codes=True, passes=Passes.NO, order=AxisOrder.LAST_STAYS, tied=False
    )

    def verify_(self) -> None:
        Layer.verify_(self)
        if (*shape_of(self.x)[:-1], self.weight.dims[1]) != shape_of(self.out) or shape_of(self.x)[
            -1
        ] != self.weight.dims[0]:
            raise VerifyException(f"weight {self.weight.dims} does not take {shape_of(self.x)} to {shape_of(self.out)}")


@irdl_op_definition
class AffineOp(Activated):
    """x * scale + bias with constants of x's rank that broadcast to x."""

    name = "nn.affine"
    NATURE: ClassVar[Nature] = Nature(
        reads=Reads.WIDE, writes_any_codes=True, passes=Passes.NO, order=AxisOrder.TURNED, tied=False
    )
    x: Operand = operand_def(TensorType)
    scale: WeightRef = prop_def(WeightRef)
    bias: WeightRef = prop_def(WeightRef)

    def verify_(self) -> None:
        for dims in (self.scale.dims, self.bias.dims):
            fits = len(dims) == len(shape_of(self.x)) and all(
                a in (1, b) for a, b in zip(dims, shape_of(self.x), strict=True)
            )
            if not fits:
                raise VerifyException(f"constant {dims} does not broadcast to {shape_of(self.x)}")


@irdl_op_definition
class ClampOp(Canonical):
    """min(max(x, low), high): Relu, Relu6, Clip; +-UNBOUNDED is no bound (the textual form has no infinity)."""

    name = "nn.clamp"
    NATURE: ClassVar[Nature] = Nature(
        reads=Reads.WIDE, writes_any_codes=True, passes=Passes.NO, order=AxisOrder.ANY, tied=False
    )
    x: Operand = operand_def(TensorType)
    low: Real = prop_def(Real)
    high: Real = prop_def(Real)

    @property
    def is_no_finer(self) -> bool:
        return True

    def verify_(self) -> None:
        _verify_result(self, shape_of(self.x))


@irdl_op_definition
class UnaryOp(Canonical):
    """An elementwise function by its name in `cimc.ir.functions`, with up to two parameters."""

    name = "nn.unary"
    NATURE: ClassVar[Nature] = Nature(
        reads=Reads.NARROW, writes_any_codes=True, passes=Passes.NO, order=AxisOrder.ANY, tied=False
    )
    x: Operand = operand_def(TensorType)
    function: Text = prop_def(Text)
    parameters: Floats = prop_def(Floats)

    def reads(self, in_loop: bool, only_weighs: bool) -> Reads:
        return Reads.TABLE if in_loop or FUNCTIONS[self.function.data].steep else Reads.NARROW

    @property
    def is_whole(self) -> bool:
        return FUNCTIONS[self.function.data].whole

    def verify_(self) -> None:
        _verify_result(self, shape_of(self.x))


@irdl_op_definition
class AddOp(Activated):
    """a + b, shapes broadcast as in numpy."""

    name = "nn.add"
    NATURE: ClassVar[Nature] = Nature(
        reads=Reads.WIDE, writes_any_codes=True, passes=Passes.NO, order=AxisOrder.ANY, tied=False
    )
    a: Operand = operand_def(TensorType)
    b: Operand = operand_def(TensorType)

    @property
    def is_no_finer(self) -> bool:
        return True

    def verify_(self) -> None:
        _verify_broadcast(self)


@irdl_op_definition
class SubOp(Activated):
    """a - b, shapes broadcast as in numpy."""

    name = "nn.sub"
    NATURE: ClassVar[Nature] = Nature(
        reads=Reads.WIDE, writes_any_codes=True, passes=Passes.NO, order=AxisOrder.ANY, tied=False
    )
    a: Operand = operand_def(TensorType)
    b: Operand = operand_def(TensorType)

    @property
    def is_no_finer(self) -> bool:
        return True

    def verify_(self) -> None:
        _verify_broadcast(self)


@irdl_op_definition
class MulOp(Activated):
    """a * b of two activations, shapes broadcast as in numpy."""

    name = "nn.mul"
    NATURE: ClassVar[Nature] = Nature(
        reads=Reads.WIDE, writes_any_codes=True, passes=Passes.NO, order=AxisOrder.ANY, tied=False
    )
    a: Operand = operand_def(TensorType)
    b: Operand = operand_def(TensorType)

    def verify_(self) -> None:
        _verify_broadcast(self)


@irdl_op_definition
class MaxPoolOp(Activated):
    """Maximum over windows of (height, width, channels); padding never wins."""

    name = "nn.max_pool"
    NATURE: ClassVar[Nature] = Nature(
        reads=Reads.PASSED, writes_any_codes=False, passes=Passes.CODES_AND_FIXED, order=AxisOrder.NO, tied=False
    )
    x: Operand = operand_def(TensorType)
    kernel: Ints = prop_def(Ints)
    stride: Ints = prop_def(Ints)
    dilation: Ints = prop_def(Ints)
    pads: Ints = prop_def(Ints)

    def verify_(self) -> None:
        shape, kernel = shape_of(self.x), int_values(self.kernel)
        _verify_window(self, (shape[0], shape[1]), (kernel[0], kernel[1]), shape[2])
        if is_quantised(self.x) and code_of(self.x) != code_of(self.out):
            raise VerifyException("input and output of a maximum must have the same codes")


@irdl_op_definition
class AvgPoolOp(Activated):
    """Mean over windows of (height, width, channels).

    Taps within the `counted` pads (top, left, bottom, right) enter the divisor.
    """

    name = "nn.avg_pool"
    NATURE: ClassVar[Nature] = Nature(
        reads=Reads.WIDE, writes_any_codes=False, passes=Passes.NO, order=AxisOrder.NO, tied=False
    )
    x: Operand = operand_def(TensorType)
    kernel: Ints = prop_def(Ints)
    stride: Ints = prop_def(Ints)
    dilation: Ints = prop_def(Ints)
    pads: Ints = prop_def(Ints)
    counted: Ints = prop_def(Ints)

    def verify_(self) -> None:
        shape, kernel = shape_of(self.x), int_values(self.kernel)
        _verify_window(self, (shape[0], shape[1]), (kernel[0], kernel[1]), shape[2])


@irdl_op_definition
class SoftmaxOp(Canonical):
    """Softmax over the last axis."""

    name = "nn.softmax"
    NATURE: ClassVar[Nature] = Nature(
        reads=Reads.WIDE, writes_any_codes=False, passes=Passes.NO, order=AxisOrder.LAST_STAYS, tied=False
    )
    x: Operand = operand_def(TensorType)

    def reads(self, in_loop: bool, only_weighs: bool) -> Reads:
        return Reads.WEIGHTS if only_weighs else Reads.WIDE

    @property
    def known_range(self) -> tuple[float, float]:
        return 0.0, 1.0

    def can_write(self, code: CodeType) -> bool:
        steps = 1.0 / code.scale.data
        return abs(steps - round(steps)) <= WHOLE * steps

    def verify_(self) -> None:
        _verify_result(self, shape_of(self.x))


@irdl_op_definition
class MatMulOp(Canonical):
    """Products of two computed stacks of matrices: a (..., M, K) and b (..., N, K), whose rows are the right columns.

    The axes before the last two broadcast as in numpy; the result is (..., M, N).
    """

    name = "nn.matmul"
    NATURE: ClassVar[Nature] = Nature(
        reads=Reads.WIDE, writes_any_codes=False, passes=Passes.NO, order=AxisOrder.NO, tied=False
    )
    a: Operand = operand_def(TensorType)
    b: Operand = operand_def(TensorType)

    def verify_(self) -> None:
        a, b = shape_of(self.a), shape_of(self.b)
        if len(a) != len(b) or len(a) < 2 or a[-1] != b[-1]:
            raise VerifyException(f"matrices {a} and rows {b} do not multiply")
        if any(left != right and 1 not in (left, right) for left, right in zip(a[:-2], b[:-2], strict=True)):
            raise VerifyException(f"stacks {a[:-2]} and {b[:-2]} do not broadcast")
        _verify_result(self, [*map(max, a[:-2], b[:-2]), a[-2], b[-2]])


@irdl_op_definition
class NormOp(Canonical):
    """(x - mean) / sqrt(variance + epsilon) * scale + bias over the last axis; with `centred` 0 the mean counts as 0.

    scale and bias have one entry for each element of the last axis.
    """

    name = "nn.norm"
    NATURE: ClassVar[Nature] = Nature(
        reads=Reads.WIDE, writes_any_codes=False, passes=Passes.NO, order=AxisOrder.NO, tied=False
    )
    x: Operand = operand_def(TensorType)
    centred: Integer = prop_def(Integer)
    epsilon: Real = prop_def(Real)
    scale: WeightRef = prop_def(WeightRef)
    bias: WeightRef = prop_def(WeightRef)

    def verify_(self) -> None:
        _verify_result(self, shape_of(self.x))
        for dims in (self.scale.dims, self.bias.dims):
            if dims != shape_of(self.x)[-1:]:
                raise VerifyException(f"constant {dims} does not fit the last axis of {shape_of(self.x)}")


@irdl_op_definition
class EmbedOp(Canonical):
    """Rows of a table (rows, length) by the integers x: the result is (*x's shape, length)."""

    name = "nn.embed"
    NATURE: ClassVar[Nature] = Nature(
        reads=Reads.INDEX, writes_any_codes=False, passes=Passes.NO, order=AxisOrder.NO, tied=False
    )
    x: Operand = operand_def(TensorType)
    table: WeightRef = prop_def(WeightRef)

    @property
    def known_values(self) -> WeightRef:
        return self.table

    def verify_(self) -> None:
        if len(self.table.dims) != 2:
            raise VerifyException(f"the table {self.table.dims} is no list of rows")
        _verify_result(self, (*shape_of(self.x), self.table.dims[1]))


@irdl_op_definition
class ConstantOp(Canonical):
    """A constant as a value, for operations that want one computed."""

    name = "nn.constant"
    NATURE: ClassVar[Nature] = Nature(
        reads=Reads.NOTHING, writes_any_codes=False, passes=Passes.NO, order=AxisOrder.NO, tied=False
    )
    value: WeightRef = prop_def(WeightRef)

    @property
    def known_values(self) -> WeightRef:
        return self.value

    def verify_(self) -> None:
        _verify_result(self, self.value.dims)


@irdl_op_definition
class SelectOp(Canonical):
    """a where c is not zero, b elsewhere; shapes broadcast as in numpy, and a and b have the codes of the result.

    With `hides`, what is taken from b counts as minus infinity: behind it is a softmax.
    """

    name = "nn.select"
    NATURE: ClassVar[Nature] = Nature(
        reads=Reads.WIDE, writes_any_codes=False, passes=Passes.NO, order=AxisOrder.NO, tied=True
    )
    c: Operand = operand_def(TensorType)
    a: Operand = operand_def(TensorType)
    b: Operand = operand_def(TensorType)
    hides: Integer | None = opt_prop_def(Integer)

    @property
    def can_hide(self) -> bool:
        return self.hides is not None

    def verify_(self) -> None:
        try:
            _verify_result(self, np.broadcast_shapes(*map(shape_of, (self.c, self.a, self.b))))
        except ValueError:
            raise VerifyException(f"shapes {[*map(shape_of, self.operands)]} do not broadcast") from None
        for operand in (self.a, self.b):
            if is_quantised(self.out) and code_of(operand) != code_of(self.out):
                raise VerifyException("a choice cannot change codes")


@irdl_op_definition
class DivOp(Activated):
    """a / b of two activations, shapes broadcast as in numpy."""

    name = "nn.div"
    NATURE: ClassVar[Nature] = Nature(
        reads=Reads.WIDE, writes_any_codes=False, passes=Passes.NO, order=AxisOrder.ANY, tied=False
    )
    a: Operand = operand_def(TensorType)
    b: Operand = operand_def(TensorType)

    def verify_(self) -> None:
        _verify_broadcast(self)


@irdl_op_definition
class ArgMaxOp(Canonical):
    """The place of the largest (which 0) or smallest (which 1) element along the last axis, which becomes one long.

    Of equal elements the first (tie 0) or the last (tie 1) counts.
    """

    name = "nn.arg_max"
    NATURE: ClassVar[Nature] = Nature(
        reads=Reads.WIDE, writes_any_codes=False, passes=Passes.NO, order=AxisOrder.LAST_STAYS, tied=False
    )
    x: Operand = operand_def(TensorType)
    which: Integer = prop_def(Integer)
    tie: Integer = prop_def(Integer)

    @property
    def is_whole(self) -> bool:
        return True

    def verify_(self) -> None:
        _verify_result(self, [*shape_of(self.x)[:-1], 1])


@irdl_op_definition
class RequantiseOp(Canonical):
    """The same real values in other codes."""

    name = "nn.requantise"
    NATURE: ClassVar[Nature] = Nature(
        reads=Reads.NARROW, writes_any_codes=False, passes=Passes.NO, order=AxisOrder.NO, tied=False
    )
    x: Operand = operand_def(TensorType)

    def verify_(self) -> None:
        _verify_result(self, shape_of(self.x))


@irdl_op_definition
class QuantiseOp(Canonical):
    """The real values of the nearest codes of `code`: the model says which codes its value x has."""

    name = "nn.quantise"
    NATURE: ClassVar[Nature] = Nature(
        reads=Reads.WIDE, writes_any_codes=False, passes=Passes.NO, order=AxisOrder.ANY, tied=False
    )
    x: Operand = operand_def(TensorType)
    code: CodeType = prop_def(CodeType)

    @property
    def own_code(self) -> CodeType:
        return self.code

    @property
    def asked_code(self) -> CodeType:
        return self.code

    def verify_(self) -> None:
        _verify_result(self, shape_of(self.x))


@irdl_op_definition
class RecodeOp(Canonical):
    """The same codes under another zero point and scale: real values of `source` in, those of `target` out."""

    name = "nn.recode"
    NATURE: ClassVar[Nature] = Nature(
        reads=Reads.NARROW, writes_any_codes=False, passes=Passes.NO, order=AxisOrder.ANY, tied=True
    )
    x: Operand = operand_def(TensorType)
    source: CodeType = prop_def(CodeType)
    target: CodeType = prop_def(CodeType)

    @property
    def own_code(self) -> CodeType:
        return self.target

    @property
    def asked_code(self) -> CodeType:
        return self.source

    def verify_(self) -> None:
        _verify_result(self, shape_of(self.x))
        ends = [(code.bits, code.low, code.high) for code in (self.source, self.target)]
        if ends[0] != ends[1]:
            raise VerifyException("the two sides have different codes")
        typed = is_quantised(self.out)
        if typed and (code_of(self.x), code_of(self.out)) != (self.source, self.target):
            raise VerifyException("the types are not those it says")


@irdl_op_definition
class ConcatOp(Movement):
    """Concatenation along `axis`."""

    name = "nn.concat"
    NATURE: ClassVar[Nature] = Nature(
        reads=Reads.PASSED, writes_any_codes=False, passes=Passes.PARTS, order=AxisOrder.TURNED, tied=True
    )
    parts: VarOperand = var_operand_def(TensorType)
    axis: Integer = prop_def(Integer)

    def verify_(self) -> None:
        Movement.verify_(self)
        shapes, axis = [list(shape_of(part)) for part in self.parts], int_value(self.axis)
        want = [*shapes[0][:axis], sum(shape[axis] for shape in shapes), *shapes[0][axis + 1 :]]
        _verify_result(self, want)
        for shape in shapes:
            if shape[:axis] + shape[axis + 1 :] != want[:axis] + want[axis + 1 :]:
                raise VerifyException(f"parts of shapes {shapes} do not line up along axis {axis}")


@irdl_op_definition
class PadOp(Movement):
    """Constant padding: `before` and `after` per axis, real value `value`."""

    name = "nn.pad"
    NATURE: ClassVar[Nature] = Nature(
        reads=Reads.PASSED, writes_any_codes=False, passes=Passes.CODES_AND_FIXED, order=AxisOrder.TURNED, tied=False
    )
    x: Operand = operand_def(TensorType)
    before: Ints = prop_def(Ints)
    after: Ints = prop_def(Ints)
    value: Real = prop_def(Real)

    @property
    def is_tied(self) -> bool:
        """Codes made for the values alone might have none for another padding than zero."""
        return float_value(self.value) != 0.0

    def verify_(self) -> None:
        Movement.verify_(self)
        parts = zip(int_values(self.before), shape_of(self.x), int_values(self.after), strict=True)
        _verify_result(self, [sum(part) for part in parts])


@irdl_op_definition
class ReshapeOp(Movement):
    """The same elements in the same order under another shape."""

    name = "nn.reshape"
    NATURE: ClassVar[Nature] = Nature(
        reads=Reads.PASSED, writes_any_codes=False, passes=Passes.CODES_AND_FIXED, order=AxisOrder.NO, tied=False
    )
    x: Operand = operand_def(TensorType)

    def verify_(self) -> None:
        Movement.verify_(self)
        if prod(shape_of(self.x)) != prod(shape_of(self.out)):
            raise VerifyException(f"{shape_of(self.x)} and {shape_of(self.out)} have different sizes")


@irdl_op_definition
class TransposeOp(Movement):
    """Result axis a is operand axis order[a]."""

    name = "nn.transpose"
    NATURE: ClassVar[Nature] = Nature(
        reads=Reads.PASSED, writes_any_codes=False, passes=Passes.CODES_AND_FIXED, order=AxisOrder.NO, tied=False
    )
    x: Operand = operand_def(TensorType)
    order: Ints = prop_def(Ints)

    def verify_(self) -> None:
        Movement.verify_(self)
        shape, order = shape_of(self.x), int_values(self.order)
        if sorted(order) != list(range(len(shape))):
            raise VerifyException(f"order {order} is no permutation of {len(shape)} axes")
        _verify_result(self, [shape[axis] for axis in order])


@irdl_op_definition
class SliceOp(Movement):
    """Elements begin, begin + step ... along each axis; the result type says how many."""

    name = "nn.slice"
    NATURE: ClassVar[Nature] = Nature(
        reads=Reads.PASSED, writes_any_codes=False, passes=Passes.CODES_AND_FIXED, order=AxisOrder.TURNED, tied=False
    )
    x: Operand = operand_def(TensorType)
    begin: Ints = prop_def(Ints)
    step: Ints = prop_def(Ints)

    def verify_(self) -> None:
        Movement.verify_(self)
        axes = zip(int_values(self.begin), int_values(self.step), shape_of(self.out), shape_of(self.x), strict=True)
        for begin, step, count, size in axes:
            if not (0 <= begin < size and 0 <= begin + (count - 1) * step < size):
                raise VerifyException(f"{count} elements from {begin} in steps of {step} leave 0..{size - 1}")


@irdl_op_definition
class PickOp(Movement):
    """Entries indices[0], indices[1] ... along `axis`; indices are i32, none negative."""

    name = "nn.pick"
    NATURE: ClassVar[Nature] = Nature(
        reads=Reads.PASSED, writes_any_codes=False, passes=Passes.CODES_AND_FIXED, order=AxisOrder.TURNED, tied=False
    )
    x: Operand = operand_def(TensorType)
    indices: WeightRef = prop_def(WeightRef)
    axis: Integer = prop_def(Integer)

    def verify_(self) -> None:
        Movement.verify_(self)
        shape, axis = shape_of(self.x), int_value(self.axis)
        _verify_result(self, [*shape[:axis], *self.indices.dims, *shape[axis + 1 :]])


def _verify_result(op: Computed, want: Sequence[int]) -> None:
    if tuple(want) != shape_of(op.out):
        raise VerifyException(f"the result is {tuple(want)}, the result type says {shape_of(op.out)}")


def _verify_broadcast(op: "AddOp | SubOp | MulOp | DivOp") -> None:
    shapes = [shape_of(op.a), shape_of(op.b)]
    rank = max(map(len, shapes))
    a, b = ((1,) * (rank - len(shape)) + shape for shape in shapes)
    if any(left != right and 1 not in (left, right) for left, right in zip(a, b, strict=True)):
        raise VerifyException(f"shapes {shapes[0]} and {shapes[1]} do not broadcast")
    _verify_result(op, [max(left, right) for left, right in zip(a, b, strict=True)])


def _verify_order(op: InputOp | OutputOp, shape: tuple[int, ...]) -> None:
    model, order = int_values(op.model_shape), int_values(op.order)
    if sorted(order) != list(range(len(model))) or tuple(model[axis] for axis in order) != shape:
        raise VerifyException(f"order {order} does not take the model's shape {model} to {shape}")


def _verify_window(
    op: ConvOp | MaxPoolOp | AvgPoolOp, size: tuple[int, int], kernel: tuple[int, int], channels: int
) -> None:
    stride, dilation, pads = int_values(op.stride), int_values(op.dilation), int_values(op.pads)
    want = [window_out(size[a], pads[a], pads[a + 2], kernel[a], stride[a], dilation[a]) for a in (0, 1)]
    if (*want, channels) != shape_of(op.out):
        raise VerifyException(f"window gives {(*want, channels)}, the result type says {shape_of(op.out)}")


Nn = Dialect(
    "nn",
    [
        InputOp,
        OutputOp,
        ConvOp,
        DenseOp,
        AffineOp,
        ClampOp,
        UnaryOp,
        AddOp,
        SubOp,
        MulOp,
        DivOp,
        ArgMaxOp,
        MaxPoolOp,
        AvgPoolOp,
        SoftmaxOp,
        MatMulOp,
        NormOp,
        EmbedOp,
        ConstantOp,
        SelectOp,
        RequantiseOp,
        QuantiseOp,
        RecodeOp,
        ConcatOp,
        PadOp,
        ReshapeOp,
        TransposeOp,
        SliceOp,
        PickOp,
    ],
    [],
)

Codes = Dialect("cim", [], [CodeType, WeightRef])
