"""Quantise activations: a code type for every value, requantisation where codes must agree."""

from dataclasses import dataclass
from typing import ClassVar

from xdsl.ir import Operation, SSAValue
from xdsl.rewriter import Rewriter

from cimc.ir.attributes import float_value, float_values, text
from cimc.ir.graph import Graph
from cimc.ir.location import fused
from cimc.ir.nn import (
    Computed,
    ConcatOp,
    MaxPoolOp,
    Movement,
    OutputOp,
    PadOp,
    RequantiseOp,
    SoftmaxOp,
)
from cimc.ir.types import CodeType, code_of, code_tensor, shape_of
from cimc.passes.calibrate import RANGE
from cimc.targets import Target

WIDE_BITS = 16


@dataclass(frozen=True)
class Quantise:
    """Give every value codes: `bits` wide (default: the target's DAC), 16 where only outputs and softmax read it.

    One-sided ranges use an offset code (zero point at the end of the range), others are symmetric.
    """

    name: ClassVar[str] = "quantise"
    target: Target
    bits: int = 0

    def __call__(self, graph: Graph) -> Graph:
        wide: set[SSAValue] = set()
        operations = list(graph.module.ops)
        for op in reversed(operations):
            if (
                isinstance(op, Computed)
                and op.out.uses
                and all(_keeps_wide(use.operation, wide) for use in op.out.uses)
            ):
                wide.add(op.out)
        for op in operations:
            if isinstance(op, Computed):
                self._quantise(op, WIDE_BITS if op.out in wide else self._narrow())
        return graph

    def _narrow(self) -> int:
        return self.bits or int(self.target.constants["dac.bits"])

    def _quantise(self, op: Computed, bits: int) -> None:
        low, high = float_values(op.attributes.pop(RANGE))  # type: ignore[arg-type]
        if isinstance(op, SoftmaxOp):
            low, high = 0.0, 1.0
        code = code_type(low, high, bits)
        if isinstance(op, ConcatOp):
            _align_parts(op, code)
        elif isinstance(op, PadOp):
            code = _with_value(code_of(op.x), float_value(op.value))
            if code != code_of(op.x):
                _align(op, op.x, code)
        elif isinstance(op, (Movement, MaxPoolOp)):
            code = code_of(op.operands[0])
        _set_type(op, code)


def code_type(low: float, high: float, bits: int) -> CodeType:
    """Return the codes for real values low..high, 2^bits - 1 of them.

    The zero point lies on code 0, or at the end of a one-sided range.
    """
    top = (1 << (bits - 1)) - 1
    if low >= 0.0:
        return CodeType.of(bits, -top, top, -top, high / (2 * top))
    if high <= 0.0:
        return CodeType.of(bits, -top, top, top, -low / (2 * top))
    return CodeType.of(bits, -top, top, 0, max(-low, high) / top)


def _keeps_wide(user: Operation, wide: set[SSAValue]) -> bool:
    if isinstance(user, (OutputOp, SoftmaxOp)):
        return True
    return isinstance(user, (Movement, MaxPoolOp)) and user.out in wide


def _with_value(code: CodeType, value: float) -> CodeType:
    """Return codes that also hold `value`, with the same number of bits."""
    scale, zero = code.scale.data, code.zero.data
    if (code.low.data - zero) * scale <= value <= (code.high.data - zero) * scale:
        return code
    low, high = min((code.low.data - zero) * scale, value), max((code.high.data - zero) * scale, value)
    return code_type(low, high, code.bits.data)


def _set_type(op: Computed, code: CodeType) -> None:
    Rewriter.replace_value_with_new_type(op.out, code_tensor(shape_of(op.out), code))


def _align_parts(op: ConcatOp, code: CodeType) -> None:
    for part in dict.fromkeys(op.parts):
        if code_of(part) != code:
            _align(op, part, code)


def _align(op: Computed, value: SSAValue, code: CodeType) -> None:
    """Put a requantisation of `value` before `op` and let `op` read it."""
    owner = value.owner
    assert isinstance(owner, Computed) and op.parent is not None
    label = text(f"{owner.label.data}.for.{op.label.data}")
    cast = RequantiseOp.create(
        operands=[value],
        result_types=[code_tensor(shape_of(value), code)],
        properties={"label": label},
        location=fused([owner.location, op.location]),
    )
    op.parent.insert_op_before(cast, op)
    for index, operand in enumerate(op.operands):
        if operand is value:
            op.operands[index] = cast.out
