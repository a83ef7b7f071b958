"""Emit: scheduled tile IR -> program. One function per operation; nothing is decided here."""

import math
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from xdsl.ir import Operation, SSAValue

from cimc.backends.emission import loops as emit_loops
from cimc.backends.emission.builder import (
    IN,
    OPERANDS,
    OUT,
    SECOND,
    THIRD,
    Builder,
    Emission,
    Shape,
    address_of,
    vectors,
)
from cimc.ir import loop, xbar
from cimc.ir.attributes import int_value, int_values
from cimc.ir.graph import Graph
from cimc.ir.nn import Computed, InputOp, OutputOp
from cimc.ir.types import code_of, shape_of
from cimc.isa.constants import in_halves
from cimc.isa.program import Port
from cimc.isa.streams import dense


def emit(graph: Graph, meta: Mapping[str, Any], activation_bytes: int) -> Emission:
    """Return the program of a scheduled graph: array programming, drift calibration, the layers in order, halt."""
    builder = Builder(graph, meta, activation_bytes)
    operations = list(graph.module.ops)
    products = [op for op in graph.operations if isinstance(op, xbar.MvmOp)]
    for product in products:
        builder.enter(product)
        _program(builder, product)
    _gain(builder, products)
    for product in products:
        builder.enter(product)
        _calibrate(builder, product)
    for op in operations:
        _operation(builder, op)
    builder.enter(None)
    builder.put("halt")
    builder.inputs = [_port(op, op.out) for op in operations if isinstance(op, InputOp)]
    builder.outputs = [_port(op, op.x) for op in operations if isinstance(op, OutputOp)]
    return Emission(builder.program(), builder.constants.names, builder.cells)


def _operation(builder: Builder, op: Operation) -> None:
    builder.enter(op)
    emitter = EMITTERS.get(type(op))
    if emitter is None:
        raise NotImplementedError(f"no instruction for {op.name}")
    emitter(builder, op)


def _port(op: InputOp | OutputOp, value: SSAValue) -> Port:
    code = code_of(value)
    return Port(
        name=op.label.data,
        base=address_of(value),
        type=code.element_type,
        shape=shape_of(value),
        model_shape=int_values(op.model_shape),
        order=int_values(op.order),
        scale=code.scale.data,
        zero=code.zero.data,
        low=code.low.data,
        high=code.high.data,
        whole=isinstance(op, InputOp) and op.integers is not None,
    )


def _program(builder: Builder, op: xbar.MvmOp) -> None:
    """Programme every copy of a layer's blocks from the same targets; a layer that shares another's has none."""
    if op.shares is not None:
        return
    assert op.first_block is not None
    spots, count = int_values(op.blocks), _block_count(op)
    targets = _targets(builder, op)
    for number in range(count * op.copies):
        tile, row, col = spots[3 * number : 3 * number + 3]
        data, rows, cols = targets[number % count]
        builder.put(
            "program",
            block=int_value(op.first_block) + number,
            tile=tile,
            row=row,
            col=col,
            rows=rows,
            cols=cols,
            data=data,
            zeros="program" if op.skip_zeros is None else "skip",
        )


def _targets(builder: Builder, op: xbar.MvmOp) -> list[tuple[int, int, int]]:
    """Add the conductances of each block to the payload; return (byte offset, rows, columns) of each."""
    assert op.conductance is not None
    levels, found = builder.graph.weights.get(op.conductance), []
    for group in range(levels.shape[0]):
        for c0, c1 in pairwise(int_values(op.col_cuts)):
            for part, (r0, r1) in enumerate(pairwise(int_values(op.row_cuts))):
                found.append((builder.matrix(levels[group, r0:r1, c0:c1]), r1 - r0, c1 - c0))
                where = f"group {group}, columns {c0}..{c1 - 1}, row block {part}"
                builder.cells.append((*found[-1], f"conductance of {builder.names[0]}, {where}"))
    return found


def _block_count(op: xbar.MvmOp) -> int:
    """Return the number of blocks of one copy of a layer."""
    return op.matrix[0] * (len(int_values(op.row_cuts)) - 1) * (len(int_values(op.col_cuts)) - 1)


def _gain(builder: Builder, products: Sequence[xbar.MvmOp]) -> None:
    """Load the one gain of all ADCs, which belongs to no layer, or the gain of each tile where they have their own."""
    tiles = {tile: _gain_of(product) for product in products for tile in int_values(product.blocks)[::3]}
    builder.enter(None)
    if len(set(tiles.values())) == 1:
        builder.put("gain", tile=0, scope="all", **_gain_of(products[0])._asdict())
        return
    for tile, gain in sorted(tiles.items()):
        builder.put("gain", tile=tile, scope="tile", **gain._asdict())


class _Gain(NamedTuple):
    multiplier: int
    divide: int


def _gain_of(op: xbar.MvmOp) -> _Gain:
    assert op.adc_multiplier is not None and op.adc_shift is not None
    return _Gain(int_value(op.adc_multiplier), int_value(op.adc_shift))


def _calibrate(builder: Builder, op: xbar.MvmOp) -> None:
    """Read the layer's vectors from constant memory through each of its rows of blocks."""
    if op.vectors is None or op.reference is None or op.first_block is None:
        return
    reference, (count, rows) = builder.graph.weights.get(op.reference), op.vectors.dims
    parts, block = len(int_values(op.row_cuts)) - 1, int_value(op.first_block)
    base = builder.parameter(op, "vectors", "i8")
    builder.tensor(IN, (count, rows), base, space="const", type=_driven_type(op) or "i8", pitch=(0, 0, rows, 1))
    for number in range(op.matrix[0] * op.copies):
        group = number % op.matrix[0]
        for c0, c1 in pairwise(int_values(op.col_cuts)):
            name = f"reference of {builder.names[0]}, group {group}, columns {c0}..{c1 - 1}"
            sums = builder.table(reference[group, :, c0:c1], "i64", name)
            builder.put("calibrate", in_=IN, block=block, blocks=parts, reference=sums, per="column")
            block += parts


def _rounding(op: Any) -> dict[str, int]:
    return {"shift": int_value(op.shift), "low": int_value(op.low), "high": int_value(op.high)}


def _nothing(builder: Builder, op: Operation) -> None:
    """Inputs, outputs and views need no instruction; for states and results of loops the loop has them."""


def _mvm(builder: Builder, op: xbar.MvmOp) -> None:
    """Stream all vectors through the blocks, or where there are copies of them a part of the vectors through each."""
    assert op.first_block is not None
    block, count = int_value(op.first_block), _block_count(op)
    lines, width = _lines(op)
    cuts = [lines * copy // op.copies for copy in range(op.copies + 1)]
    for copy, (first, last) in enumerate(pairwise(cuts)):
        _mvm_part(builder, op, block + copy * count, (first, last), width)


def _lines(op: xbar.MvmOp) -> tuple[int, int]:
    """Return into how many lines of vectors a layer can be cut, and the vectors of each: rows of a window's output."""
    vectors_all = math.prod(shape_of(op.out)[:-1])
    lines = int_values(op.window)[8] if op.window is not None else vectors_all
    return lines, vectors_all // max(lines, 1)


def _mvm_part(builder: Builder, op: xbar.MvmOp, block: int, part: tuple[int, int], width: int) -> None:
    """Stream lines part[0] to part[1] - 1, of `width` vectors each, through one copy of the blocks."""
    assert op.scale is not None and op.offset is not None
    scale, offset = builder.graph.weights.get(op.scale), builder.graph.weights.get(op.offset)
    group, _, cols = op.matrix
    parts, pitch = len(int_values(op.row_cuts)) - 1, shape_of(op.out)[-1]
    count, start = (part[1] - part[0]) * width, part[0] * width * pitch
    for number in range(group):
        _mvm_input(builder, op, number, part)
        for c0, c1 in pairwise(int_values(op.col_cuts)):
            label = f"of {builder.names[0]}, group {number}, columns {c0}..{c1 - 1}"
            scales = builder.table(scale[number, :, c0:c1], "i32", f"scale {label}")
            biases = builder.table(offset[number * cols + c0 : number * cols + c1], "i64", f"offset {label}")
            builder.result(op, (count, c1 - c0), (pitch, 1), start + number * cols + c0)
            builder.put("mvm", in_=IN, out=OUT, block=block, blocks=parts, scale=scales, bias=biases, **_rounding(op))
            block += parts


def _mvm_input(builder: Builder, op: xbar.MvmOp, number: int, part: tuple[int, int]) -> None:
    depth = vectors(shape_of(op.x))[0][1]
    channels, element = depth // op.matrix[0], _driven_type(op)
    if op.window is None:
        builder.stream(
            IN, op.x, (part[1] - part[0], channels), (depth, 1), part[0] * depth + number * channels, element
        )
    else:
        builder.patches(op, code_of(op.x).zero.data, channels, number * channels, part, element)


def _driven_type(op: xbar.MvmOp) -> str | None:
    """Return the element type that tells the machine which read phases a layer needs, None where any will do."""
    return "u8" if op.read_phases is not None and code_of(op.x).low.data >= 0 else None


def _whole_result(builder: Builder, op: Computed) -> None:
    shape, pitch = vectors(shape_of(op.out))
    builder.result(op, shape, pitch)


def _whole_input(builder: Builder, op: Any) -> None:
    shape, pitch = vectors(shape_of(op.x))
    builder.stream(IN, op.x, shape, pitch)


def _depthwise(builder: Builder, op: xbar.DepthwiseOp) -> None:
    builder.patches(op, code_of(op.x).zero.data, shape_of(op.x)[2])
    _whole_result(builder, op)
    taps, weights = _taps(builder, op)
    scale, bias = builder.parameter(op, "scale", "i32"), builder.parameter(op, "offset", "i64")
    builder.put(
        "depthwise",
        in_=IN,
        out=OUT,
        weights=weights,
        multiplier=op.weights.dims[2],
        scale=scale,
        bias=bias,
        taps=taps,
        **_rounding(op),
    )


def _taps(builder: Builder, op: xbar.DepthwiseOp) -> tuple[str, int]:
    """Return how a depthwise layer's weights lie in constant memory, two a byte where all fit, and their address."""
    weights = builder.graph.weights.get(op.weights)
    if weights.min(initial=0) < -8 or weights.max(initial=0) > 7:
        return "i8", builder.parameter(op, "weights", "i8")
    name = f"weights of {builder.names[0]}"
    return "i4", builder.table(in_halves(weights, name), "u8", name)


def _pool_max(builder: Builder, op: xbar.PoolMaxOp) -> None:
    builder.patches(op, code_of(op.x).low.data, shape_of(op.x)[2])
    _whole_result(builder, op)
    builder.put("poolmax", in_=IN, out=OUT, low=int_value(op.low), high=int_value(op.high))


def _pool_sum(builder: Builder, op: xbar.PoolSumOp) -> None:
    builder.patches(op, code_of(op.x).zero.data, shape_of(op.x)[2])
    _whole_result(builder, op)
    per = "all" if op.scale.dims == (1,) else "position"
    scale, bias = builder.parameter(op, "scale", "i32"), builder.parameter(op, "offset", "i64")
    builder.put("poolsum", in_=IN, out=OUT, per=per, scale=scale, bias=bias, **_rounding(op))


def _affine(builder: Builder, op: xbar.AffineOp) -> None:
    _whole_input(builder, op)
    _whole_result(builder, op)
    scale, bias = builder.parameter(op, "scale", "i32"), builder.parameter(op, "offset", "i64")
    builder.put("affine", in_=IN, out=OUT, period=op.scale.dims[0], scale=scale, bias=bias, **_rounding(op))


def _broadcast(value: SSAValue, shape: Shape) -> list[int]:
    """Return the pitches that repeat a value along the axes where it has size 1."""
    own = shape_of(value)
    own = (1,) * (len(shape) - len(own)) + own
    return [0 if size == 1 else step for size, step in zip(own, dense(own), strict=True)]


def _operands(builder: Builder, op: xbar.AddOp | xbar.MulOp | xbar.SelectOp | xbar.DivOp) -> None:
    """Define streams IN, SECOND ... over the operands, broadcast to the result, and the output stream."""
    shape = shape_of(op.out)
    if all(shape_of(value) == shape for value in op.operands):
        for number, value in zip(OPERANDS, op.operands, strict=False):
            builder.stream(number, value, *vectors(shape))
        _whole_result(builder, op)
        return
    steps = [dense(shape), *(_broadcast(value, shape) for value in op.operands)]
    sizes, (result, *reads) = _folded(shape, *steps)
    for number, value, pitch in zip(OPERANDS, op.operands, reads, strict=False):
        builder.stream(number, value, sizes, pitch)
    builder.result(op, sizes, result)


def _add(builder: Builder, op: xbar.AddOp) -> None:
    _operands(builder, op)
    constants = {"ma": int_value(op.ma), "mb": int_value(op.mb), "bias": int_value(op.bias)}
    builder.put("add", a=IN, b=SECOND, out=OUT, **constants, **_rounding(op))


def _mul(builder: Builder, op: xbar.MulOp) -> None:
    _operands(builder, op)
    constants = {"za": int_value(op.za), "zb": int_value(op.zb), "m": int_value(op.m), "bias": int_value(op.bias)}
    builder.put("mul", a=IN, b=SECOND, out=OUT, **constants, **_rounding(op))


def _div(builder: Builder, op: xbar.DivOp) -> None:
    _operands(builder, op)
    names = ("za", "zb", "m", "zero")
    constants = {name: int_value(getattr(op, name)) for name in names}
    builder.put("div", a=IN, b=SECOND, out=OUT, **constants, **_rounding(op))


def _arg_max(builder: Builder, op: xbar.ArgMaxOp) -> None:
    _whole_input(builder, op)
    _whole_result(builder, op)
    builder.put("argmax", in_=IN, out=OUT, which=int_value(op.which), tie=int_value(op.tie))


def _lut(builder: Builder, op: xbar.LutOp) -> None:
    _whole_input(builder, op)
    _whole_result(builder, op)
    code = code_of(op.out)
    table = builder.parameter(op, "table", code.element_type)
    builder.put(
        "lut", in_=IN, out=OUT, table=table, type=code.element_type, first=int_value(op.first), entries=op.table.dims[0]
    )


def _softmax(builder: Builder, op: xbar.SoftmaxOp) -> None:
    _whole_input(builder, op)
    _whole_result(builder, op)
    builder.put(
        "softmax",
        in_=IN,
        out=OUT,
        table=builder.parameter(op, "table", "i32"),
        entries=op.table.dims[0],
        numerator=int_value(op.numerator),
        zero=int_value(op.zero),
        low=int_value(op.low),
        high=int_value(op.high),
    )


def _move(builder: Builder, op: xbar.MoveOp) -> None:
    shape, (pitch, result) = _folded(shape_of(op.out), int_values(op.pitch), dense(shape_of(op.out)))
    builder.stream(IN, op.x, shape, pitch, int_value(op.start))
    builder.result(op, shape, result)
    builder.put("move", in_=IN, out=OUT)


def _folded(shape: Shape, *pitches: Shape) -> tuple[list[int], list[list[int]]]:
    """Merge neighbouring axes that one pitch walks in every tensor, so that long shapes fit four axes."""
    sizes, steps = [1], [[0] for _ in pitches]
    for size, *here in zip(shape, *pitches, strict=True):
        if size == 1:
            continue
        if sizes[-1] == 1 or all(one[-1] == size * step for one, step in zip(steps, here, strict=True)):
            sizes[-1] *= size
            for one, step in zip(steps, here, strict=True):
                one[-1] = step
        else:
            sizes.append(size)
            for one, step in zip(steps, here, strict=True):
                one.append(step)
    return sizes, steps


def _matmul(builder: Builder, op: xbar.MatMulOp) -> None:
    shape = shape_of(op.out)
    steps = [dense(shape)[:-2], *(_broadcast(value, shape)[:-2] for value in (op.a, op.b))]
    left, right = (shape_of(value)[-2:] for value in (op.a, op.b))
    sizes, (result, a, b) = _folded(shape[:-2], *steps)
    builder.stream(IN, op.a, (*sizes, *left), (*a, left[1], 1))
    builder.stream(SECOND, op.b, (*sizes, *right), (*b, right[1], 1))
    builder.result(op, (*sizes, *shape[-2:]), (*result, shape[-1], 1))
    constants = {"za": int_value(op.za), "zb": int_value(op.zb), "m": int_value(op.m), "bias": int_value(op.bias)}
    builder.put("matmul", a=IN, b=SECOND, out=OUT, **constants, **_rounding(op))


def _norm(builder: Builder, op: xbar.NormOp) -> None:
    _whole_input(builder, op)
    _whole_result(builder, op)
    epsilon = builder.parameter(op, "epsilon", "i64")
    scale, bias = builder.parameter(op, "scale", "i32"), builder.parameter(op, "offset", "i64")
    numbers = {"zero": int_value(op.zero), "fraction": int_value(op.fraction), "epsilon": epsilon}
    centre = "mean" if int_value(op.centred) else "zero"
    builder.put("norm", in_=IN, out=OUT, centre=centre, **numbers, scale=scale, bias=bias, **_rounding(op))


def _embed(builder: Builder, op: xbar.EmbedOp) -> None:
    _whole_input(builder, op)
    _whole_result(builder, op)
    code = code_of(op.out)
    table = builder.parameter(op, "table", code.element_type)
    first, rows = int_value(op.first), op.table.dims[0]
    builder.put("embed", in_=IN, out=OUT, table=table, type=code.element_type, first=first, rows=rows)


def _select(builder: Builder, op: xbar.SelectOp) -> None:
    _operands(builder, op)
    builder.put("select", c=IN, a=SECOND, b=THIRD, out=OUT, zero=int_value(op.zero))


def _constant(builder: Builder, op: xbar.ConstantOp) -> None:
    shape, pitch = vectors(shape_of(op.out))
    code = code_of(op.out)
    base = builder.parameter(op, "table", code.element_type)
    builder.tensor(IN, shape, base, space="const", type=code.element_type, pitch=(0, 0, *pitch))
    _whole_result(builder, op)
    builder.put("move", in_=IN, out=OUT)


def _pick(builder: Builder, op: xbar.PickOp) -> None:
    axis, shape, entries = int_value(op.axis), shape_of(op.x), op.table.dims[0]
    outer, group, length = math.prod(shape[:axis]), shape[axis], math.prod(shape[axis + 1 :])
    builder.stream(IN, op.x, (outer * group, length), (length, 1))
    builder.result(op, (outer * entries, length), (length, 1))
    builder.put("pick", in_=IN, out=OUT, group=group, table=builder.parameter(op, "table", "i32"), entries=entries)


def _concat(builder: Builder, op: xbar.ConcatOp) -> None:
    axis, shape = int_value(op.axis), shape_of(op.out)
    outer, row, start = math.prod(shape[:axis]), math.prod(shape[axis:]), 0
    for part in op.parts:
        length = math.prod(shape_of(part)[axis:])
        builder.stream(IN, part, (outer, length), (length, 1))
        builder.result(op, (outer, length), (row, 1), start)
        builder.put("move", in_=IN, out=OUT)
        start += length


def _pad(builder: Builder, op: xbar.PadOp) -> None:
    inner, pitch = shape_of(op.x), dense(shape_of(op.out))
    start = sum(before * step for before, step in zip(int_values(op.before), pitch, strict=True))
    _whole_result(builder, op)
    builder.put("fill", out=OUT, value=int_value(op.value))
    builder.stream(IN, op.x, inner, dense(inner))
    builder.result(op, inner, pitch, start)
    builder.put("move", in_=IN, out=OUT)


EMITTERS: Mapping[type[Operation], Callable[[Builder, Any], None]] = {
    InputOp: _nothing,
    OutputOp: _nothing,
    xbar.ViewOp: _nothing,
    loop.ScanOp: lambda builder, op: emit_loops.scan(builder, op, _operation),
    loop.TakeOp: emit_loops.take,
    loop.StateOp: _nothing,
    loop.YieldOp: emit_loops.end,
    loop.ResultOp: _nothing,
    xbar.MvmOp: _mvm,
    xbar.DepthwiseOp: _depthwise,
    xbar.PoolMaxOp: _pool_max,
    xbar.PoolSumOp: _pool_sum,
    xbar.AffineOp: _affine,
    xbar.AddOp: _add,
    xbar.MulOp: _mul,
    xbar.DivOp: _div,
    xbar.ArgMaxOp: _arg_max,
    xbar.LutOp: _lut,
    xbar.SoftmaxOp: _softmax,
    xbar.MatMulOp: _matmul,
    xbar.NormOp: _norm,
    xbar.EmbedOp: _embed,
    xbar.SelectOp: _select,
    xbar.ConstantOp: _constant,
    xbar.MoveOp: _move,
    xbar.ConcatOp: _concat,
    xbar.PadOp: _pad,
    xbar.PickOp: _pick,
}
