"""QuantizeLinear and DequantizeLinear: the codes that a model itself gives to its values and weights.

An ONNX tensor of integers becomes a value whose real numbers are those integers, so that every operation means what
ONNX says. Dequantising right behind quantising gives the quantised value itself.
"""

from collections.abc import Mapping

import numpy as np
import onnx
from xdsl.ir import Attribute, SSAValue

from cimc.frontend.lowering import Lowering, Reals
from cimc.ir import build, nn
from cimc.ir.attributes import float_value, real, text
from cimc.ir.build import again
from cimc.ir.types import CodeType, shape_of

INTEGERS: Mapping[int, tuple[int, bool]] = {
    onnx.TensorProto.INT8: (8, True),
    onnx.TensorProto.UINT8: (8, False),
    onnx.TensorProto.INT16: (16, True),
    onnx.TensorProto.UINT16: (16, False),
    onnx.TensorProto.INT4: (4, True),
    onnx.TensorProto.UINT4: (4, False),
}
"""Element type -> (bits, signed) of the integers that codes can be."""

EXACT = frozenset(
    {
        "Cast",
        "Clip",
        "Concat",
        "DepthToSpace",
        "DequantizeLinear",
        "Expand",
        "Flatten",
        "Gather",
        "GlobalMaxPool",
        "Identity",
        "Max",
        "MaxPool",
        "Min",
        "Pad",
        "Relu",
        "Reshape",
        "Slice",
        "SpaceToDepth",
        "Split",
        "Squeeze",
        "Tile",
        "Transpose",
        "Unsqueeze",
        "Where",
    }
)
"""Operators that compute the same on integers as on real numbers: others wrap, divide or round."""

DYNAMIC = frozenset(
    {
        "DynamicQuantizeLinear",
        "com.microsoft.DynamicQuantizeMatMul",
        "com.microsoft.MatMulIntegerToFloat",
    }
)
"""Operators of models whose activations get their scales at run time: a chip's converters have theirs before."""


def integers(kind: int) -> CodeType:
    """Return the codes whose real values are the integers of an ONNX type; unsigned ones are 2^(bits - 1) less."""
    bits, signed = INTEGERS[kind]
    half = 1 << (bits - 1)
    return CodeType.of(bits, -half, half - 1, 0 if signed else -half, 1.0)


def quantize_linear(at: Lowering) -> SSAValue:
    """Constant scale and zero point, one for the tensor; 8-bit codes taken over exactly."""
    kind = at.element_type(at.label)
    code = _code(at, kind)
    nearest = at.add(build.quantise(at.activation(0), code, at.label))
    return at.add(build.recode(nearest, code, integers(kind), at.helper("integers")))


def require_exact(at: Lowering) -> None:
    """Refuse arithmetic on integers that codes can be. Raises CIM0104."""
    picks = at.node.operator == "Resize" and at.node.text("mode", "nearest") == "nearest"
    if at.node.operator in EXACT or picks:
        return
    for name in at.node.inputs:
        if name in at.builder.values and at.element_type(name) in INTEGERS:
            kind = onnx.TensorProto.DataType.Name(at.element_type(name))
            raise at.refuse("CIM0104", f"arithmetic on integers: '{name}' is {kind}", hint="dequantise it before")


def dequantize_linear(at: Lowering) -> SSAValue:
    """Constant scale and zero point; constants per axis, activations per tensor."""
    kind = at.element_type(at.node.inputs[0])
    code = _code(at, kind)
    return _recoded(at, at.activation(0), integers(kind), code)


def note_steps(at: Lowering, layer: nn.ConvOp | nn.DenseOp, axis: int) -> None:
    """Give a layer the steps of its weights, input 1 of the node, whose outputs lie along `axis`, where known."""
    steps = _weight_steps(at, axis)
    if steps is not None:
        layer.properties["steps"] = at.weight(steps, f"{at.node.inputs[1]}.steps")


def _weight_steps(at: Lowering, axis: int) -> Reals | None:
    """Return the number that the weights of each output are whole multiples of: the scales they were stored with."""
    origin = at.builder.facts.dequantised.get(at.node.inputs[1])
    if origin is None or origin.integer("block_size", 0):
        return None
    weight, scale = at.constant(1), at.builder.facts.constants[origin.inputs[1]].value
    own = origin.integer("axis", 1) % max(weight.ndim, 1)
    if scale.size > 1 and own != axis:
        return None
    steps = np.broadcast_to(scale.reshape(-1).astype(np.float64), (weight.shape[axis],))
    return np.array(steps) if np.all((steps > 0.0) & np.isfinite(steps)) else None


def _code(at: Lowering, kind: int) -> CodeType:
    """Return the codes that a node's scale and zero point describe."""
    if kind not in INTEGERS:
        name = onnx.TensorProto.DataType.Name(kind)
        hint = f"quantise to one of {', '.join(map(onnx.TensorProto.DataType.Name, INTEGERS))}"
        raise at.refuse("CIM0104", f"codes of type {name}", hint=hint)
    plain = integers(kind)
    shift = plain.zero.data
    zero = _only(at, 2, "zero points") if at.node.has(2) else 0.0
    return CodeType.of(plain.bits.data, plain.low.data, plain.high.data, int(zero) + shift, _scale(at))


def _scale(at: Lowering) -> float:
    scale = _only(at, 1, "scales")
    if not scale > 0.0:
        raise at.refuse("CIM0106", f"scale '{at.node.inputs[1]}' is {scale:g}", hint="a scale is a positive number")
    return scale


def _only(at: Lowering, index: int, what: str) -> float:
    """Return the one number of a scale or zero point."""
    values = np.unique(at.reals(index))
    if len(values) > 1:
        hint = "quantise activations per tensor; weights may have a scale for each output"
        raise at.refuse("CIM0104", f"{len(values)} different {what} for one activation", hint=hint)
    return float(values[0])


def _recoded(at: Lowering, x: SSAValue, source: CodeType, target: CodeType) -> SSAValue:
    """Return the codes of `x` read as `target`, taken from where they were made: movements come after it."""
    known = at.builder.recoded.get((x, target))
    if known is None:
        known = at.builder.recoded[x, target] = _recode(at, x, source, target)
    return known


def _recode(at: Lowering, x: SSAValue, source: CodeType, target: CodeType) -> SSAValue:
    op = x.owner
    if isinstance(op, nn.RecodeOp) and op.target == source:
        return op.x if op.source == target else at.add(build.recode(op.x, op.source, target, at.helper("recoded")))
    if isinstance(op, nn.Movement | nn.MaxPoolOp):
        operands = [_recoded(at, operand, source, target) for operand in op.operands]
        changes: dict[str, Attribute | None] = {"label": text(at.builder.names.fresh(f"{op.label.data}.real"))}
        if isinstance(op, nn.PadOp):
            changes["value"] = real(_reread(float_value(op.value), source, target))
        made = again(op, operands, shape_of(op.out), **changes)
        made.location = op.location
        return at.add(made)
    return at.add(build.recode(x, source, target, at.helper("recoded")))


def _reread(value: float, source: CodeType, target: CodeType) -> float:
    """Return the real number that `target` reads in the code that `source` has for `value`."""
    code = round(value / source.scale.data) + source.zero.data
    code = min(max(code, source.low.data), source.high.data)
    return (code - target.zero.data) * target.scale.data
