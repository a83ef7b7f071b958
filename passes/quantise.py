"""Quantise activations: a code type for every value, requantisation where codes must agree."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar

from xdsl.ir import Operation, SSAValue
from xdsl.rewriter import Rewriter

from cimc.ir.attributes import float_value, float_values, int_value, int_values, text
from cimc.ir.graph import Graph
from cimc.ir.location import fused
from cimc.ir.nn import (
    AddOp,
    AvgPoolOp,
    Computed,
    ConcatOp,
    ConstantOp,
    ConvOp,
    DenseOp,
    InputOp,
    MatMulOp,
    MaxPoolOp,
    Movement,
    MulOp,
    NormOp,
    OutputOp,
    PadOp,
    RequantiseOp,
    SelectOp,
    SoftmaxOp,
    SubOp,
)
from cimc.ir.types import CodeType, code_of, code_tensor, shape_of
from cimc.passes.calibrate import RANGE
from cimc.targets import Target

WIDE_BITS = 16
WIDE_READERS = (OutputOp, SoftmaxOp, AddOp, SubOp, MulOp, AvgPoolOp, MatMulOp, NormOp, SelectOp)
"""Operations of the digital unit that read 16-bit codes at no cost but memory."""


@dataclass(frozen=True)
class Quantise:
    """Give every value codes: `bits` wide (default: the target's DAC), 16 where only outputs and sums read it.

    Two-sided ranges are symmetric. A one-sided range uses all codes, its zero point at the end ("offset"), or only the
    codes of its sign, zero at zero ("positive"). The default, "auto", takes the positive codes for what the crossbar
    reads: zeros then drive no current, which spares the ADC's range and the devices' noise more than the bit is worth.
    """

    name: ClassVar[str] = "quantise"
    target: Target
    bits: int = 0
    one_sided: str = "auto"

    def __call__(self, graph: Graph) -> Graph:
        computed = [op for op in graph.operations if isinstance(op, Computed)]
        wide: set[Operation] = set()
        streamed: set[Operation] = set()
        for op in reversed(computed):
            users = [use.operation for use in op.out.uses]
            if users and all(isinstance(user, WIDE_READERS) or _passes_to(user, wide) for user in users):
                wide.add(op)
            if any(is_product(user) or _passes_to(user, streamed) for user in users):
                streamed.add(op)
        for op in computed:
            offset = self.one_sided == "offset" or (self.one_sided == "auto" and op not in streamed)
            self._quantise(op, WIDE_BITS if op in wide else self._narrow(), offset)
        return graph

    def _narrow(self) -> int:
        return self.bits or int(self.target.constants["dac.bits"])

    def _quantise(self, op: Computed, bits: int, offset: bool) -> None:
        low, high = float_values(op.attributes.pop(RANGE))  # type: ignore[arg-type]
        if isinstance(op, SoftmaxOp):
            low, high = 0.0, 1.0
        if isinstance(op, InputOp) and op.integers is not None:
            _set_type(op, integer_type(*int_values(op.integers)))
            return
        code = input_type(low, high, bits) if isinstance(op, InputOp) else code_type(low, high, bits, offset)
        if isinstance(op, ConcatOp):
            _align_parts(op, op.parts, code)
        elif isinstance(op, SelectOp):
            _align_parts(op, (op.a, op.b), code)
        elif isinstance(op, PadOp):
            code = _with_value(code_of(op.x), float_value(op.value))
            if code != code_of(op.x):
                _align(op, op.x, code)
        elif isinstance(op, (Movement, MaxPoolOp)):
            code = code_of(op.operands[0])
        _set_type(op, code)


def input_type(low: float, high: float, bits: int) -> CodeType:
    """Return codes that spend all steps on low..high, the zero point wherever 0 then lies: for a model's inputs."""
    top = (1 << (bits - 1)) - 1
    scale = (high - low) / (2 * top)
    return CodeType.of(bits, -top, top, min(max(-top - round(low / scale), -top), top), scale)


def integer_type(low: int, high: int) -> CodeType:
    """Return codes that are the whole numbers low..high themselves."""
    return CodeType.of(16, low, high, min(max(0, low), high), 1.0)


def code_type(low: float, high: float, bits: int, offset: bool) -> CodeType:
    """Return codes for real values low..high, symmetric or, where the range is one-sided, as `offset` says."""
    top = (1 << (bits - 1)) - 1
    if low < 0.0 < high:
        return CodeType.of(bits, -top, top, 0, max(-low, high) / top)
    span = max(-low, high)
    if offset:
        return CodeType.of(bits, -top, top, -top if low >= 0.0 else top, span / (2 * top))
    return CodeType.of(bits, 0 if low >= 0.0 else -top, top if low >= 0.0 else 0, 0, span / top)


def _passes_to(user: Operation, chosen: set[Operation]) -> bool:
    """Return whether a user hands the codes on, unchanged, to a value in `chosen`."""
    return isinstance(user, (Movement, MaxPoolOp)) and user in chosen


def is_product(user: Operation) -> bool:
    """Return whether the crossbar multiplies what this user reads; depthwise layers count as digital."""
    if isinstance(user, ConvOp):
        return user.weight.dims[2] > 1 or int_value(user.group) == 1
    return isinstance(user, DenseOp)


def _with_value(code: CodeType, value: float) -> CodeType:
    """Return codes that also hold `value`, with the same number of bits."""
    scale, zero = code.scale.data, code.zero.data
    if (code.low.data - zero) * scale <= value <= (code.high.data - zero) * scale:
        return code
    low, high = min((code.low.data - zero) * scale, value), max((code.high.data - zero) * scale, value)
    return code_type(low, high, code.bits.data, offset=zero != 0)


def _set_type(op: Computed, code: CodeType) -> None:
    Rewriter.replace_value_with_new_type(op.out, code_tensor(shape_of(op.out), code))


def _align_parts(op: Computed, parts: Iterable[SSAValue], code: CodeType) -> None:
    for part in dict.fromkeys(parts):
        if code_of(part) != code:
            _align(op, part, code)


def _align(op: Computed, value: SSAValue, code: CodeType) -> None:
    """Put a requantisation of `value` before `op` and let `op` read it."""
    owner = value.owner
    assert isinstance(owner, Computed) and op.parent is not None
    label = text(f"{owner.label.data}.for.{op.label.data}")
    location, result = fused([owner.location, op.location]), code_tensor(shape_of(value), code)
    if isinstance(owner, ConstantOp):
        properties = {"label": label, "value": owner.value}
        cast: Computed = ConstantOp.create(result_types=[result], properties=properties, location=location)
    else:
        cast = RequantiseOp.create(
            operands=[value], result_types=[result], properties={"label": label}, location=location
        )
    op.parent.insert_op_before(cast, op)
    for index, operand in enumerate(op.operands):
        if operand is value:
            op.operands[index] = cast.out
