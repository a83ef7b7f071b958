"""Dialect `xbar`: the tile IR. Every operation is integer arithmetic on codes, as the machine will do it.

All values are code tensors, per sample, channels last. `low` and `high` clamp results in codes. A `window` is
(kernel height, kernel width, stride down, stride across, dilation down, dilation across, padding above, padding left,
output height, output width); an im2col vector runs over (kernel row, kernel column, channel), outside the tensor it
reads the zero point. round is half to even. Before `conductance` an mvm still carries real weights and means: take the
real values, multiply, add the bias, quantise.
"""

from xdsl.dialects.builtin import StringAttr, TensorType
from xdsl.ir import Dialect
from xdsl.irdl import (
    Operand,
    VarOperand,
    irdl_op_definition,
    operand_def,
    opt_prop_def,
    prop_def,
    var_operand_def,
)
from xdsl.utils.exceptions import VerifyException

from cimc.ir import nn
from cimc.ir.attributes import Integer, Ints, int_value, int_values, ints
from cimc.ir.nn import Computed
from cimc.ir.types import WeightRef, code_of, shape_of


class Clamped(Computed):
    """An operation whose results are clamped to low..high."""

    low: Integer = prop_def(Integer)
    high: Integer = prop_def(Integer)

    def verify_(self) -> None:
        code, low, high = code_of(self.out), int_value(self.low), int_value(self.high)
        if not code.low.data <= low <= high <= code.high.data:
            raise VerifyException(f"clamp {low}..{high} leaves the codes {code.low.data}..{code.high.data}")


@irdl_op_definition
class MvmOp(Clamped):
    """A layer on the crossbar: vectors of x times a matrix, one or more groups of equal size side by side.

    weight (group, rows, cols) float, bias (group * cols) float, steps (group, cols) as for nn.conv; group g reads input
    channels g * (channels / group) on.
    row_cuts and col_cuts split each group's matrix into blocks. With conductance G (group, rows, cols, i16):
    code_t = clip(round(s_t * adc_multiplier / 2^adc_shift)), s_t = sum of x * G over the rows of block t;
    y = clamp(round((sum_t code_t * scale[group, t, col] + offset[group * cols + col]) / 2^shift)).
    With read_phases, 2 or 4, code_t is joined: + c(x+ G) - c(x- G), where x+ = max(x, 0) and x- = max(-x, 0), or with
    the sides of the pairs apart as well + c(x+ G+) - c(x+ G-) - c(x- G+) + c(x- G-).
    vectors (count, rows) i8 are read to compensate drift; reference (group, row block, col) sums their |code| when new.
    blocks lists (tile, row, col) for each group, column block, row block, in this order; first_block numbers the first.
    With replicas, so many copies of these blocks follow one another, and each copy takes a part of the vectors.
    shares names the layer whose blocks, of the same conductances, this one uses. diagonal is the number of channels of
    a depthwise layer in each group, whose matrix is block-diagonal. With skip_zeros, devices with target zero stay
    unprogrammed.
    """

    name = "xbar.mvm"
    x: Operand = operand_def(TensorType)
    window: Ints | None = opt_prop_def(Ints)
    weight: WeightRef | None = opt_prop_def(WeightRef)
    steps: WeightRef | None = opt_prop_def(WeightRef)
    bias: WeightRef | None = opt_prop_def(WeightRef)
    row_cuts: Ints | None = opt_prop_def(Ints)
    col_cuts: Ints | None = opt_prop_def(Ints)
    conductance: WeightRef | None = opt_prop_def(WeightRef)
    adc_multiplier: Integer | None = opt_prop_def(Integer)
    adc_shift: Integer | None = opt_prop_def(Integer)
    adc_low: Integer | None = opt_prop_def(Integer)
    adc_high: Integer | None = opt_prop_def(Integer)
    read_phases: Integer | None = opt_prop_def(Integer)
    scale: WeightRef | None = opt_prop_def(WeightRef)
    offset: WeightRef | None = opt_prop_def(WeightRef)
    shift: Integer | None = opt_prop_def(Integer)
    vectors: WeightRef | None = opt_prop_def(WeightRef)
    reference: WeightRef | None = opt_prop_def(WeightRef)
    blocks: Ints | None = opt_prop_def(Ints)
    first_block: Integer | None = opt_prop_def(Integer)
    replicas: Integer | None = opt_prop_def(Integer)
    shares: StringAttr | None = opt_prop_def(StringAttr)
    diagonal: Integer | None = opt_prop_def(Integer)
    skip_zeros: Integer | None = opt_prop_def(Integer)

    @property
    def copies(self) -> int:
        """How many copies of its blocks the layer has, at least one."""
        return 1 if self.replicas is None else int_value(self.replicas)

    @property
    def matrix(self) -> tuple[int, int, int]:
        """(group, rows, cols) of the layer."""
        ref = self.conductance or self.weight
        if ref is None or len(ref.dims) != 3:
            raise VerifyException("an mvm needs a weight or a conductance of shape (group, rows, cols)")
        return ref.dims[0], ref.dims[1], ref.dims[2]

    def multiplies(self) -> int:
        return super().multiplies() * self.matrix[1]

    def verify_(self) -> None:
        Clamped.verify_(self)
        group, rows, cols = self.matrix
        shape, window = shape_of(self.x), int_values(self.window)
        taps = window[0] * window[1] if window else 1
        if shape[-1] * taps != rows * group:
            raise VerifyException(f"{group} groups of {rows} rows do not fit input {shape} with {taps} taps")
        lead = window[8:] if window else shape[:-1]
        if (*lead, group * cols) != shape_of(self.out):
            raise VerifyException(f"result {shape_of(self.out)} is not {(*lead, group * cols)}")


@irdl_op_definition
class DepthwiseOp(Clamped):
    """Depthwise convolution on the digital unit.

    Weights are (taps, channels, multiplier) i8, scale and offset one per output channel.
    y = clamp(round((sum over taps of x * w * scale + offset) / 2^shift)), output channel c * multiplier + n.
    """

    name = "xbar.depthwise"
    x: Operand = operand_def(TensorType)
    window: Ints = prop_def(Ints)
    weights: WeightRef = prop_def(WeightRef)
    scale: WeightRef = prop_def(WeightRef)
    offset: WeightRef = prop_def(WeightRef)
    shift: Integer = prop_def(Integer)

    def multiplies(self) -> int:
        return super().multiplies() * _taps(self.window)


@irdl_op_definition
class PoolMaxOp(Clamped):
    """Maximum over windows; padding reads the lowest code of x."""

    name = "xbar.pool_max"
    x: Operand = operand_def(TensorType)
    window: Ints = prop_def(Ints)

    def multiplies(self) -> int:
        return super().multiplies() * _taps(self.window)


@irdl_op_definition
class PoolSumOp(Clamped):
    """y = clamp(round((sum over taps of x * scale + offset) / 2^shift)).

    scale and offset have one entry, or one per output position.
    """

    name = "xbar.pool_sum"
    x: Operand = operand_def(TensorType)
    window: Ints = prop_def(Ints)
    scale: WeightRef = prop_def(WeightRef)
    offset: WeightRef = prop_def(WeightRef)
    shift: Integer = prop_def(Integer)

    def multiplies(self) -> int:
        return super().multiplies() * _taps(self.window)


@irdl_op_definition
class AffineOp(Clamped):
    """y_n = clamp(round((x_n * scale[n mod period] + offset[n mod period]) / 2^shift)) over the flattened elements."""

    name = "xbar.affine"
    x: Operand = operand_def(TensorType)
    scale: WeightRef = prop_def(WeightRef)
    offset: WeightRef = prop_def(WeightRef)
    shift: Integer = prop_def(Integer)


@irdl_op_definition
class AddOp(Clamped):
    """y = clamp(round((a * ma + b * mb + bias) / 2^shift)); shapes broadcast as in numpy."""

    name = "xbar.add"
    a: Operand = operand_def(TensorType)
    b: Operand = operand_def(TensorType)
    ma: Integer = prop_def(Integer)
    mb: Integer = prop_def(Integer)
    bias: Integer = prop_def(Integer)
    shift: Integer = prop_def(Integer)


@irdl_op_definition
class MulOp(Clamped):
    """y = clamp(round(((a - za) * (b - zb) * m + bias) / 2^shift)); shapes broadcast as in numpy."""

    name = "xbar.mul"
    a: Operand = operand_def(TensorType)
    b: Operand = operand_def(TensorType)
    za: Integer = prop_def(Integer)
    zb: Integer = prop_def(Integer)
    m: Integer = prop_def(Integer)
    bias: Integer = prop_def(Integer)
    shift: Integer = prop_def(Integer)


@irdl_op_definition
class DivOp(Clamped):
    """y = clamp(round((a - za) * m / ((b - zb) * 2^shift)) + zero); shapes broadcast as in numpy.

    Where b = zb: high, low or clamp(zero) as (a - za) * m is above, below or at zero.
    """

    name = "xbar.div"
    a: Operand = operand_def(TensorType)
    b: Operand = operand_def(TensorType)
    za: Integer = prop_def(Integer)
    zb: Integer = prop_def(Integer)
    m: Integer = prop_def(Integer)
    zero: Integer = prop_def(Integer)
    shift: Integer = prop_def(Integer)


@irdl_op_definition
class ArgMaxOp(Computed):
    """The place of the largest (which 0) or smallest (which 1) code of the last axis; of equals the first (tie 0)."""

    name = "xbar.arg_max"
    x: Operand = operand_def(TensorType)
    which: Integer = prop_def(Integer)
    tie: Integer = prop_def(Integer)


@irdl_op_definition
class LutOp(Computed):
    """y = table[x - first]; the table covers every code of x's type."""

    name = "xbar.lut"
    x: Operand = operand_def(TensorType)
    table: WeightRef = prop_def(WeightRef)
    first: Integer = prop_def(Integer)


@irdl_op_definition
class SoftmaxOp(Clamped):
    """Over the last axis: y_i = clamp(round(e_i * numerator / sum(e)) + zero).

    e_i = table[min(max(x) - x_i, entries - 1)], i32.
    """

    name = "xbar.softmax"
    x: Operand = operand_def(TensorType)
    table: WeightRef = prop_def(WeightRef)
    numerator: Integer = prop_def(Integer)
    zero: Integer = prop_def(Integer)


@irdl_op_definition
class MatMulOp(Clamped):
    """y_ij = clamp(round((sum_k (a_ik - za) * (b_jk - zb) * m + bias) / 2^shift)); stacks broadcast as in numpy."""

    name = "xbar.matmul"
    a: Operand = operand_def(TensorType)
    b: Operand = operand_def(TensorType)
    za: Integer = prop_def(Integer)
    zb: Integer = prop_def(Integer)
    m: Integer = prop_def(Integer)
    bias: Integer = prop_def(Integer)
    shift: Integer = prop_def(Integer)

    def multiplies(self) -> int:
        return super().multiplies() * shape_of(self.a)[-1]


@irdl_op_definition
class NormOp(Clamped):
    """Over the last axis, of n elements: u = x - zero, s = sum(u), or 0 where not `centred`.

    W = max((n * sum(u^2) - s^2) * 4^fraction + epsilon, 1), t the largest with W * 4^t < 2^62,
    R = floor(sqrt(W * 4^t)), h = round((n * u - s) * 2^(16 + fraction + t) / R),
    y_i = clamp(round((h_i * scale_i + offset_i) / 2^shift)).
    """

    name = "xbar.norm"
    x: Operand = operand_def(TensorType)
    centred: Integer = prop_def(Integer)
    zero: Integer = prop_def(Integer)
    fraction: Integer = prop_def(Integer)
    epsilon: WeightRef = prop_def(WeightRef)
    scale: WeightRef = prop_def(WeightRef)
    offset: WeightRef = prop_def(WeightRef)
    shift: Integer = prop_def(Integer)


@irdl_op_definition
class EmbedOp(Computed):
    """Row x - first of the table (rows, length) for every element of x, as a new last axis."""

    name = "xbar.embed"
    x: Operand = operand_def(TensorType)
    table: WeightRef = prop_def(WeightRef)
    first: Integer = prop_def(Integer)


@irdl_op_definition
class SelectOp(Computed):
    """a where c differs from `zero`, b elsewhere; shapes broadcast as in numpy."""

    name = "xbar.select"
    c: Operand = operand_def(TensorType)
    a: Operand = operand_def(TensorType)
    b: Operand = operand_def(TensorType)
    zero: Integer = prop_def(Integer)


@irdl_op_definition
class ConstantOp(Computed):
    """Codes copied from constant memory."""

    name = "xbar.constant"
    table: WeightRef = prop_def(WeightRef)


@irdl_op_definition
class MoveOp(Computed):
    """Strided copy: result element (i, j, ...) is flat element start + i * pitch[0] + j * pitch[1] + ... of x."""

    name = "xbar.move"
    x: Operand = operand_def(TensorType)
    start: Integer = prop_def(Integer)
    pitch: Ints = prop_def(Ints)


@irdl_op_definition
class ConcatOp(Computed):
    """Concatenation along `axis`; all parts have the codes of the result."""

    name = "xbar.concat"
    parts: VarOperand = var_operand_def(TensorType)
    axis: Integer = prop_def(Integer)


@irdl_op_definition
class PadOp(Computed):
    """x with `before` and `after` elements of code `value` along each axis."""

    name = "xbar.pad"
    x: Operand = operand_def(TensorType)
    before: Ints = prop_def(Ints)
    after: Ints = prop_def(Ints)
    value: Integer = prop_def(Integer)


@irdl_op_definition
class PickOp(Computed):
    """Entries table[0], table[1] ... (i32) along `axis`."""

    name = "xbar.pick"
    x: Operand = operand_def(TensorType)
    table: WeightRef = prop_def(WeightRef)
    axis: Integer = prop_def(Integer)


@irdl_op_definition
class ViewOp(Computed):
    """The same codes at the same address under another shape, or read with another scale: no instruction."""

    name = "xbar.view"
    x: Operand = operand_def(TensorType)


def window_of(op: nn.ConvOp | nn.MaxPoolOp | nn.AvgPoolOp, kernel: tuple[int, int]) -> Ints:
    """Return the window of an `nn` operation that has one."""
    pads = int_values(op.pads)
    out = shape_of(op.out)
    return ints([*kernel, *int_values(op.stride), *int_values(op.dilation), pads[0], pads[1], out[0], out[1]])


def _taps(window: Ints) -> int:
    height, width, *_ = int_values(window)
    return height * width


Xbar = Dialect(
    "xbar",
    [
        MvmOp,
        DepthwiseOp,
        PoolMaxOp,
        PoolSumOp,
        AffineOp,
        AddOp,
        MulOp,
        DivOp,
        ArgMaxOp,
        LutOp,
        SoftmaxOp,
        MatMulOp,
        NormOp,
        EmbedOp,
        SelectOp,
        ConstantOp,
        MoveOp,
        ConcatOp,
        PadOp,
        PickOp,
        ViewOp,
    ],
    [],
)
