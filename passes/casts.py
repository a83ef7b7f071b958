"""Requantisation put before a reader, where it takes other codes than a value has."""

from xdsl.ir import Operation, SSAValue

from cimc.ir.attributes import text
from cimc.ir.location import fused
from cimc.ir.loop import scan_of
from cimc.ir.nn import Computed, ConstantOp, RequantiseOp
from cimc.ir.types import CodeType, code_tensor, shape_of


def align(op: Computed, value: SSAValue, code: CodeType) -> None:
    """Put a requantisation of `value` before `op` and let `op` read it."""
    cast = cast_before(op, value, code, op.label.data)
    for index, operand in enumerate(op.operands):
        if operand is value:
            op.operands[index] = cast


def cast_before(op: Operation, value: SSAValue, code: CodeType, reader: str) -> SSAValue:
    """Put a requantisation of `value` before `op`, or before its loop where the value is computed outside."""
    owner = value.owner
    assert isinstance(owner, Computed)
    label = text(f"{owner.label.data}.for.{reader}")
    location, result = fused([owner.location, op.location]), code_tensor(shape_of(value), code)
    if isinstance(owner, ConstantOp):
        properties = {"label": label, "value": owner.value}
        cast: Computed = ConstantOp.create(result_types=[result], properties=properties, location=location)
    else:
        cast = RequantiseOp.create(
            operands=[value], result_types=[result], properties={"label": label}, location=location
        )
    place = op if owner.parent is op.parent else scan_of(op)
    assert place is not None and place.parent is not None
    place.parent.insert_op_before(cast, place)
    return cast.out
