"""Constructors of float `nn` operations: each computes its result type, so that shape rules are written once."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from xdsl.dialects.builtin import TensorType
from xdsl.ir import Attribute, SSAValue

from cimc.ir import nn
from cimc.ir.attributes import floats, integer, ints, real, text
from cimc.ir.types import CodeType, WeightRef, float_tensor, shape_of, tensor, tensor_of

Shape = tuple[int, ...]
Pair = tuple[int, int]


@dataclass(frozen=True)
class Window:
    """How a kernel moves over (height, width); pads are top, left, bottom, right."""

    kernel: Pair
    stride: Pair = (1, 1)
    dilation: Pair = (1, 1)
    pads: tuple[int, int, int, int] = (0, 0, 0, 0)

    def out(self, size: Sequence[int]) -> Pair:
        """Return how many positions fit over (height, width)."""
        rows, columns = (
            nn.window_out(size[a], self.pads[a], self.pads[a + 2], self.kernel[a], self.stride[a], self.dilation[a])
            for a in (0, 1)
        )
        return rows, columns

    @property
    def properties(self) -> dict[str, Attribute | None]:
        return {"stride": ints(self.stride), "dilation": ints(self.dilation), "pads": ints(self.pads)}


def typed(like: SSAValue, shape: Sequence[int]) -> TensorType[Attribute]:
    """Return the tensor type of `shape` with the elements of `like`."""
    return tensor(tensor_of(like).element_type, tuple(shape))


def broadcast(a: SSAValue, b: SSAValue) -> Shape:
    """Return the shape of an elementwise result. Raises ValueError where the shapes do not fit."""
    return np.broadcast_shapes(shape_of(a), shape_of(b))


def again(
    op: nn.Computed, operands: Sequence[SSAValue], shape: Sequence[int], **changes: Attribute | None
) -> nn.Computed:
    """Return an operation like `op` on other operands, with some properties changed; None drops one."""
    properties = {name: value for name, value in {**op.properties, **changes}.items() if value is not None}
    return type(op).create(operands=operands, properties=properties, result_types=[typed(op.out, shape)])


def input_(label: str, shape: Sequence[int], batch_axis: int = 0, whole: bool = False) -> nn.InputOp:
    """Return the model input `label` of per-sample `shape`; `batch_axis` as in nn.input, `whole`: of whole numbers."""
    properties = _port(label, shape, batch_axis) | {"integers": ints(()) if whole else None}
    return nn.InputOp(properties=properties, result_types=[float_tensor(shape)])


def output(x: SSAValue, label: str, batch_axis: int = 0) -> nn.OutputOp:
    """Return the model output `label` in the axis order of `x`."""
    return nn.OutputOp(operands=[x], properties=_port(label, shape_of(x), batch_axis))


def _port(label: str, shape: Sequence[int], batch_axis: int) -> dict[str, Attribute | None]:
    axis = integer(batch_axis) if batch_axis else None
    return {"label": text(label), "model_shape": ints(shape), "order": ints(range(len(shape))), "batch_axis": axis}


def conv(x: SSAValue, weight: WeightRef, bias: WeightRef | None, window: Window, group: int, label: str) -> nn.ConvOp:
    shape = (*window.out(shape_of(x)), weight.dims[3])
    properties = {"label": text(label), "weight": weight, "bias": bias, "group": integer(group)}
    return nn.ConvOp(operands=[x], properties={**properties, **window.properties}, result_types=[typed(x, shape)])


def dense(x: SSAValue, weight: WeightRef, bias: WeightRef | None, label: str) -> nn.DenseOp:
    shape = (*shape_of(x)[:-1], weight.dims[1])
    properties = {"label": text(label), "weight": weight, "bias": bias}
    return nn.DenseOp(operands=[x], properties=properties, result_types=[typed(x, shape)])


def affine(x: SSAValue, scale: WeightRef, bias: WeightRef, label: str) -> nn.AffineOp:
    properties = {"label": text(label), "scale": scale, "bias": bias}
    return nn.AffineOp(operands=[x], properties=properties, result_types=[x.type])


def clamp(x: SSAValue, low: float, high: float, label: str) -> nn.ClampOp:
    low, high = max(low, -nn.UNBOUNDED), min(high, nn.UNBOUNDED)
    properties = {"label": text(label), "low": real(low), "high": real(high)}
    return nn.ClampOp(operands=[x], properties=properties, result_types=[x.type])


def unary(x: SSAValue, function: str, parameters: Sequence[float], label: str) -> nn.UnaryOp:
    properties = {"label": text(label), "function": text(function), "parameters": floats(parameters)}
    return nn.UnaryOp(operands=[x], properties=properties, result_types=[x.type])


def add(a: SSAValue, b: SSAValue, label: str) -> nn.AddOp:
    return nn.AddOp(operands=[a, b], properties={"label": text(label)}, result_types=[typed(a, broadcast(a, b))])


def sub(a: SSAValue, b: SSAValue, label: str) -> nn.SubOp:
    return nn.SubOp(operands=[a, b], properties={"label": text(label)}, result_types=[typed(a, broadcast(a, b))])


def mul(a: SSAValue, b: SSAValue, label: str) -> nn.MulOp:
    return nn.MulOp(operands=[a, b], properties={"label": text(label)}, result_types=[typed(a, broadcast(a, b))])


def div(a: SSAValue, b: SSAValue, label: str) -> nn.DivOp:
    return nn.DivOp(operands=[a, b], properties={"label": text(label)}, result_types=[typed(a, broadcast(a, b))])


def arg_max(x: SSAValue, smallest: bool, last: bool, label: str) -> nn.ArgMaxOp:
    properties = {"label": text(label), "which": integer(smallest), "tie": integer(last)}
    return nn.ArgMaxOp(operands=[x], properties=properties, result_types=[typed(x, (*shape_of(x)[:-1], 1))])


def max_pool(x: SSAValue, window: Window, label: str) -> nn.MaxPoolOp:
    shape = (*window.out(shape_of(x)), shape_of(x)[2])
    properties = {"label": text(label), "kernel": ints(window.kernel), **window.properties}
    return nn.MaxPoolOp(operands=[x], properties=properties, result_types=[typed(x, shape)])


def avg_pool(x: SSAValue, window: Window, counted: Sequence[int], label: str) -> nn.AvgPoolOp:
    shape = (*window.out(shape_of(x)), shape_of(x)[2])
    properties = {
        "label": text(label),
        "kernel": ints(window.kernel),
        "counted": ints(counted),
        **window.properties,
    }
    return nn.AvgPoolOp(operands=[x], properties=properties, result_types=[typed(x, shape)])


def softmax(x: SSAValue, label: str) -> nn.SoftmaxOp:
    return nn.SoftmaxOp(operands=[x], properties={"label": text(label)}, result_types=[x.type])


def matmul(a: SSAValue, b: SSAValue, label: str) -> nn.MatMulOp:
    """Return the products of a (..., M, K) with b (..., N, K), whose rows are the columns of the right factor."""
    left, right = shape_of(a), shape_of(b)
    shape = (*np.broadcast_shapes(left[:-2], right[:-2]), left[-2], right[-2])
    return nn.MatMulOp(operands=[a, b], properties={"label": text(label)}, result_types=[typed(a, shape)])


def norm(x: SSAValue, centred: bool, epsilon: float, scale: WeightRef, bias: WeightRef, label: str) -> nn.NormOp:
    properties = {"label": text(label), "centred": integer(centred), "epsilon": real(epsilon)}
    return nn.NormOp(operands=[x], properties={**properties, "scale": scale, "bias": bias}, result_types=[x.type])


def embed(x: SSAValue, table: WeightRef, label: str) -> nn.EmbedOp:
    properties = {"label": text(label), "table": table}
    shape = (*shape_of(x), table.dims[1])
    return nn.EmbedOp(operands=[x], properties=properties, result_types=[float_tensor(shape)])


def constant(value: WeightRef, label: str) -> nn.ConstantOp:
    properties = {"label": text(label), "value": value}
    return nn.ConstantOp(properties=properties, result_types=[float_tensor(value.dims)])


def select(c: SSAValue, a: SSAValue, b: SSAValue, label: str, hides: bool = False) -> nn.SelectOp:
    """Return a where c is not zero, b elsewhere; `hides` says that b stands for minus infinity."""
    shape = np.broadcast_shapes(shape_of(c), shape_of(a), shape_of(b))
    properties = {"label": text(label), "hides": integer(1) if hides else None}
    return nn.SelectOp(operands=[c, a, b], properties=properties, result_types=[typed(a, shape)])


def quantise(x: SSAValue, code: CodeType, label: str) -> nn.QuantiseOp:
    return nn.QuantiseOp(operands=[x], properties={"label": text(label), "code": code}, result_types=[x.type])


def recode(x: SSAValue, source: CodeType, target: CodeType, label: str) -> nn.RecodeOp:
    properties = {"label": text(label), "source": source, "target": target}
    return nn.RecodeOp(operands=[x], properties=properties, result_types=[x.type])


def concat(parts: Sequence[SSAValue], axis: int, label: str) -> nn.ConcatOp:
    shape = list(shape_of(parts[0]))
    shape[axis] = sum(shape_of(part)[axis] for part in parts)
    properties = {"label": text(label), "axis": integer(axis)}
    return nn.ConcatOp(operands=[list(parts)], properties=properties, result_types=[typed(parts[0], shape)])


def pad(x: SSAValue, before: Sequence[int], after: Sequence[int], value: float, label: str) -> nn.PadOp:
    shape = [low + size + high for low, size, high in zip(before, shape_of(x), after, strict=True)]
    properties = {"label": text(label), "before": ints(before), "after": ints(after), "value": real(value)}
    return nn.PadOp(operands=[x], properties=properties, result_types=[typed(x, shape)])


def reshape(x: SSAValue, shape: Sequence[int], label: str) -> nn.ReshapeOp:
    return nn.ReshapeOp(operands=[x], properties={"label": text(label)}, result_types=[typed(x, shape)])


def transpose(x: SSAValue, order: Sequence[int], label: str) -> nn.TransposeOp:
    shape = [shape_of(x)[axis] for axis in order]
    properties = {"label": text(label), "order": ints(order)}
    return nn.TransposeOp(operands=[x], properties=properties, result_types=[typed(x, shape)])


def slice_(x: SSAValue, begin: Sequence[int], step: Sequence[int], shape: Sequence[int], label: str) -> nn.SliceOp:
    """Return elements begin, begin + step ... of `x`, as many as `shape` says along each axis."""
    properties = {"label": text(label), "begin": ints(begin), "step": ints(step)}
    return nn.SliceOp(operands=[x], properties=properties, result_types=[typed(x, shape)])


def pick(x: SSAValue, indices: WeightRef, axis: int, label: str) -> nn.PickOp:
    shape = [*shape_of(x)[:axis], *indices.dims, *shape_of(x)[axis + 1 :]]
    properties = {"label": text(label), "indices": indices, "axis": integer(axis)}
    return nn.PickOp(operands=[x], properties=properties, result_types=[typed(x, shape)])
