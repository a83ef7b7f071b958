"""From a planned instruction to a native step: the same arithmetic, with every exactness proved once more."""

import ctypes
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from cimc.backends.kernels import quads, tiles
from cimc.backends.kernels.certainty import (
    LARGEST,
    LEAST_CERTAIN_OF_ROWS,
    can_split,
    certainty,
    certainty_of_parts,
    is_float,
    is_whole,
    unclipped,
)
from cimc.backends.kernels.layout import Rectangle, even_step, filled, joined, rectangle
from cimc.backends.kernels.library import (
    ADD,
    BLOCK,
    COPY,
    FALL_BITS,
    LOOKUP,
    MAXIMUM,
    MULTIPLY,
    PIECE,
    PRODUCT,
    SOFTMAX,
    SUM,
    TILE_BYTES,
    TYPES,
    NativeConverter,
    NativeNoise,
    NativeQuads,
    NativeStep,
    Part,
    address,
)
from cimc.backends.noise import gaussian
from cimc.backends.noise.converters import ERROR_BITS, LARGEST_ERROR
from cimc.backends.noise.draws import in_phase
from cimc.backends.noise.fixed_point import NORMAL_BITS
from cimc.backends.noise.table import OUTPUT
from cimc.backends.plan.block_read import Conversion
from cimc.backends.plan.digital import Add, Affine, Lut, Move, Mul, Softmax
from cimc.backends.plan.exact import FLOAT32_LIMIT, OBJECT, Converter, Epilogue, Rounding
from cimc.backends.plan.memory import Array, aligned
from cimc.backends.plan.moving import moves
from cimc.backends.plan.products import Capture, Mvm, Stream
from cimc.backends.plan.read_noise import Cycle, Fluctuation, NoisyConverter
from cimc.backends.plan.state import Write, magnitude
from cimc.backends.plan.windows import Depthwise, PoolMax, PoolSum
from cimc.isa.limits import CodeRange
from cimc.isa.streams import StreamState

LINE = 64
"""Bytes of a cache line: tables that begin one are loaded a line at a time."""
SLACK = BLOCK
"""Elements behind a rectangle; kernels read up to the end of a block that begins in it, and nothing comes of them."""
SUM32_LIMIT = 1 << 31
LARGEST_WEIGHT = (1 << 15) - 1
LARGEST_DIVIDE = 38
"""Up to this k, errors of an ADC stay below 2^51 in units of 2^-k, where adding 1.5 * 2^52 rounds."""

MOST_READS = 3
"""Windows that read each element so often, on average, read it where it lies."""
MOST_COLUMNS = 1024
"""Elements of a line are taken up to so many at a time."""


class Unsuitable(Exception):
    """The instruction stays with numpy."""


@dataclass
class Lowered:
    """A step, the bytes of scratch that one image needs, and the arrays that the step points into.

    `tallied` is the rectangle of a product whose codes and inputs may be summed for an observer. Where `tiled`, tables
    for tile registers are made as well.
    """

    step: NativeStep
    kept: list[Any] = field(default_factory=list)
    tallied: Rectangle | None = None
    tiled: bool = False

    def pointer(self, array: Array, dtype: Any) -> int:
        """Return the address of a copy of an array's elements as `dtype`, which begins a cache line; keep it alive."""
        size = array.size * np.dtype(dtype).itemsize
        room = np.empty(size + LINE, np.uint8)
        start = -address(room) % LINE
        room[start : start + size].view(dtype).reshape(array.shape)[...] = array
        self.kept.append(room)
        return address(room) + start

    @property
    def scratch(self) -> int:
        """Elements of 16 bits, squares or magnitudes of those below 0 or packed vectors behind them, or floats."""
        step = self.step
        size = 4 if step.kind != PRODUCT or step.signs or step.squares else 2
        return aligned(int(step.room) * size) + tiles.scratch(int(step.packed), int(step.columns))


def lowered(write: Write, constants: Array, tiled: bool = False) -> Lowered | None:
    """Return the native step of an instruction, None where it stays with numpy; `tiled`: for tile registers as well."""
    lower = _LOWERINGS.get(type(write.compute))
    if lower is None or not write.always_fits or not write.out.elements or write.out.type not in TYPES:
        return None
    result = Lowered(NativeStep(), tiled=tiled)
    try:
        lower(result, write, write.compute, constants)
    except Unsuitable:
        return None
    result.step.moving = _is_moving(result.step)
    return result


def _is_moving(step: NativeStep) -> bool:
    """Return whether sources or results move on in the turns of loops."""
    places = [step.out_moves, *(step.source[n].moves for n in range(step.sources))]
    return any(any(place) for place in places)


def _require(condition: bool) -> None:
    if not condition:
        raise Unsuitable


def _product(result: Lowered, write: Write, compute: Mvm, constants: Array) -> None:
    stream, e, step = compute.stream, compute.epilogue, result.step
    conversions = [(each, m) for m, r in zip(e.multipliers, stream.reads, strict=True) for each in r.conversions]
    bounds = [_largest(m, each.bound if is_whole(each) else each.codes.magnitude) for each, m in conversions]
    _results(result, write, e, stream.reads[0].columns, bounds)
    with_noise = sum(
        bound for bound, (each, _) in zip(bounds, conversions, strict=True) if each.noise and is_whole(each)
    )
    certain = certainty(step, e, bounds, not with_noise, min(with_noise, unclipped(step, e)), fused=True)
    step.certain = certain if certain >= LEAST_CERTAIN_OF_ROWS else 0.0
    parts = _parts(result, write, stream, e.multipliers, constants)
    if step.certain == 0 and can_split(step, e, bounds, parts, [each for each, _ in conversions]):
        _split(result, e, parts, [m * each.phase.sign for each, m in conversions])


def _split(result: Lowered, e: Epilogue, parts: list[Part], tables: list[Array]) -> None:
    """Fill in what makes the results of a product of whole numbers and of what lies beside them.

    That is below 1.25 for each term, whose last steps round, and at most 0.5 for B; sums of so many of them round, too.
    """
    step, count = result.step, len(parts)
    offsets = np.broadcast_to(e.offsets.astype(np.float64).ravel(), step.columns)
    for part, table in zip(parts, tables, strict=True):
        rests = np.broadcast_to(table.astype(np.float64) - table.astype(np.float32), step.columns)
        part.rests = result.pointer(_pad(rests, step.columns), np.float32)
    step.narrow_offsets = result.pointer(_pad(np.rint(offsets), step.columns), np.float32)
    step.rests = result.pointer(_pad(offsets - np.rint(offsets), step.columns), np.float32)
    step.split = True
    step.certain = 0.5 - (count + 1) * (count + 2) / FLOAT32_LIMIT


def _capture(result: Lowered, write: Write, compute: Capture, constants: Array) -> None:
    read = compute.stream.reads[0]
    one = np.ones(read.columns)
    step = result.step
    step.certain = float(read.codes.magnitude < LARGEST)
    step.offsets = result.pointer(np.zeros(filled(read.columns)), np.float64)
    step.narrow_offsets = result.pointer(np.zeros(filled(read.columns)), np.float32)
    step.low, step.high = write.low, write.high
    _parts(result, write, compute.stream, (one,), constants)


def _parts(
    result: Lowered, write: Write, stream: Stream, multipliers: tuple[Array, ...], constants: Array
) -> list[Part]:
    """Fill in a product but for its epilogue; return its parts."""
    step, state, columns = result.step, stream.source, stream.reads[0].columns
    conversions = [
        (read, each, table * each.phase.sign)
        for read, table in zip(stream.reads, multipliers, strict=True)
        for each in read.conversions
    ]
    step.kind, step.count = PRODUCT, len(conversions)
    source = _rectangles(result, [state], constants, ("i8", "u8", "i16"), (stream.low, stream.high))
    _require(-stream.low < 1 << 15 and _apart(state, write.out))
    step.signs = any(each.phase.inputs < 0 for each in stream.reads[0].conversions)
    _vectors(step, write.out, columns)
    parts = (Part * len(conversions))()
    result.kept.append(parts)
    for part, (read, each, table) in zip(parts, conversions, strict=True):
        _part(result, part, each, source.elements[read.rows], CodeRange(stream.low, stream.high).magnitude)
        part.multipliers = result.pointer(_pad(table, columns), np.float64)
        part.narrow = result.pointer(_pad(table, columns), np.float32)
    largest = [_largest(table, 1) for _, _, table in conversions]
    step.certain = certainty_of_parts(step, list(parts), [each.bound for _, each, _ in conversions], largest)
    step.parts = ctypes.addressof(parts)
    is_plain = state.type == "i8" and not (step.signs or step.squares)
    if result.tiled and is_plain and tiles.suit([each.matrix for _, each, _ in conversions]):
        for part, (read, each, _) in zip(parts, conversions, strict=True):
            _tile(result, part, source.elements[read.rows], np.asarray(each.matrix))
        step.packed = sum(part.depth for part in parts) * TILE_BYTES
    result.tallied = None if conversions[0][1].noise else source  # a chip's noise is in every read
    return list(parts)


def _part(result: Lowered, part: Part, read: Conversion, elements: Array, limit: int) -> None:
    """Fill in one read phase of a block whose rows read these elements, up to `limit` in magnitude."""
    _require(read.negative is None and read.bound < SUM32_LIMIT and int(np.abs(read.matrix).max()) < 1 << 15)
    for law in read.noise.fluctuations if read.noise else ():
        _require(not part.noise and not result.step.signs)
        part.noise = _cycle(result, read, law, elements, limit)
    if read.noise and read.noise.converter:
        part.converter = _converter(result, read, read.noise.converter)
    offsets, weights = _pairs(elements, np.asarray(read.matrix).astype(np.int16))
    part.pairs = len(offsets)
    part.offsets, part.weights = result.pointer(offsets, np.int32), result.pointer(weights, np.int16)
    part.factor, part.low, part.high = read.adc.factor, read.adc.low, read.adc.high
    part.narrow_sums = read.bound < FLOAT32_LIMIT and not read.adc.floor and _largest_code(read.adc) < LARGEST
    part.whole = is_whole(read)
    part.floor = read.adc.floor
    part.negative = read.phase.inputs < 0


def _tile(result: Lowered, part: Part, elements: Array, matrix: Array) -> None:
    """Fill in what tile registers need of a block."""
    run = tiles.runs(elements)
    part.tiles, part.run = result.pointer(tiles.digits(matrix), np.int8), result.pointer(run, np.int32)
    part.runs, part.depth = len(run), tiles.depth(len(elements))


def _cycle(result: Lowered, read: Conversion, law: Fluctuation, offsets: Array, limit: int) -> int:
    """Return the address of the noise that a block's devices add to each product."""
    square = limit**2
    if not isinstance(law, Cycle) or square >= 1 << 15:
        raise Unsuitable
    variances = law.variances.astype(np.int64)
    digits, bits = _digits(variances, square)
    noise = _draws(result, read, law.purpose)
    noise.digits = result.pointer(np.stack([_pairs(offsets, digit.astype(np.int16))[1] for digit in digits]), np.int16)
    noise.count, noise.bits = len(digits), bits
    noise.scale = 2.0 ** -(NORMAL_BITS + law.unit_bits)
    _estimate(result, noise, read, variances, offsets, square)
    result.step.squares = True
    return ctypes.addressof(noise)


def _draws(result: Lowered, read: Conversion, purpose: int) -> NativeNoise:
    """Return where the normal variables of a block's products are drawn."""
    assert read.noise
    place, (start, fall) = read.noise.address, gaussian.cells()
    noise = NativeNoise(
        normals=result.pointer(start << FALL_BITS | fall, np.uint32),
        seed=place.seed,
        vector=place.occurrence << 32,
        purpose=in_phase(purpose, place.phase) | place.stream << 32,
        column=place.columns.start,
        moves=tuple(count << 32 for count in place.steps),
    )
    result.kept.append(noise)
    return noise


def _converter(result: Lowered, read: Conversion, adc: NoisyConverter) -> int:
    """Return the address of a block's ADCs with their errors."""
    _require(adc.divide <= LARGEST_DIVIDE and adc.thresholds is None)
    columns = read.matrix.shape[1]
    tables = [_pad(table, columns) for table in (adc.multipliers, adc.offsets, adc.bows)]
    multipliers, offsets, bows = (result.pointer(table, np.float64) for table in tables)
    converter = NativeConverter(
        multipliers=multipliers,
        offsets=offsets,
        bows=bows,
        output=adc.output * 2.0**-NORMAL_BITS,
        unit=2.0**-adc.divide,
        error_unit=2.0 ** (adc.divide - ERROR_BITS),
        largest=LARGEST_ERROR,
        high=adc.high,
    )
    if adc.output:
        converter.noise = ctypes.addressof(_draws(result, read, OUTPUT))
    result.kept.append(converter)
    return ctypes.addressof(converter)


def _estimate(
    result: Lowered, noise: NativeNoise, read: Conversion, variances: Array, offsets: Array, largest_square: int
) -> None:
    """Fill in how the codes of a block's sums are estimated in floats.

    After the variance each rounding adds at most 2^-24 to the relative error of the noise, as do those of the whole
    numbers that it may be; halves stand for the rounding of the noise itself and for the codes' own.
    """
    rounded, units, shares = rounded_variances(variances, largest_square)
    noise.estimates = result.pointer(_pairs(offsets, rounded.astype(np.int16))[1], np.int16)
    spreads = np.sqrt(units) * (noise.scale * read.adc.factor)
    noise.spreads = result.pointer(_pad(spreads, len(units)), np.float32)
    noise.shares = result.pointer(shares, np.float32)
    noise.error = 12 / FLOAT32_LIMIT
    noise.certain = 0.5 - 0.5001 * read.adc.factor - 2 * (_largest_code(read.adc) + 4) / FLOAT32_LIMIT


def rounded_variances(variances: Array, largest_square: int) -> tuple[Array, Array, Array]:
    """Return variances [rows, columns] in 15 bits, in units of their columns, the units [columns], and the shares.

    A sum of x^2 w in a column is wrong by sum x^2 e, e the errors of its w: by at most the largest e / W of the sum of
    x^2 W, W the sum of a row's w in the block of columns. That is its share [padded columns]. No w of a device that
    fluctuates is 0, so W is 0 only where nothing does; sums in floats and estimated roots add less than 0.1 %.
    Rounding adds less than 1 to a w: sums of x^2 w stay below 2^31, as x^2 is below 2^15 and a block has fewer than
    2^16 rows.
    """
    rows, columns = variances.shape
    room = SUM32_LIMIT // largest_square - rows
    units = np.maximum(np.maximum(variances.sum(axis=0) / room, variances.max(axis=0) / LARGEST_WEIGHT), 1)
    rounded = np.maximum(np.rint(variances / units), variances > 0).astype(np.int64)
    errors = _pad(np.where(rounded, np.abs(variances / units - rounded) + 1e-9, 0), columns)
    blocks = _pad(rounded, columns).reshape(rows, -1, BLOCK).sum(axis=2).repeat(BLOCK, axis=1)
    return rounded, units, 1.001 * (errors / np.maximum(blocks, 1)).max(axis=0)


def _digits(variances: Array, largest_square: int) -> tuple[list[Array], int]:
    """Return the fewest digits of variances, and their bits, whose sums stay below 2^32."""
    for count in range(1, 6):
        for bits in range(1, 16):
            digits = [variances >> bits * d & ((1 << bits) - 1) for d in range(count - 1)]
            digits.append(variances >> bits * (count - 1))
            if all(d.max() < 1 << 15 and _column_sum(d) * largest_square < 1 << 32 for d in digits):
                return digits, bits
    raise Unsuitable


def _column_sum(values: Array) -> int:
    return int(values.sum(axis=0).max())


def _pairs(offsets: Array, matrix: Array) -> tuple[Array, Array]:
    """Return the offset of each pair of neighbouring elements, and weights [columns / BLOCK, pairs, BLOCK, 2].

    An element whose successor is no neighbour makes a pair with a weight of zero.
    """
    rows, columns = matrix.shape
    apart = np.append(True, offsets[1:] != offsets[:-1] + 1)
    line = np.maximum.accumulate(np.where(apart, np.arange(rows), 0))
    starts = np.flatnonzero((np.arange(rows) - line) % 2 == 0)
    seconds = np.where(np.append(apart, True)[starts + 1], rows, starts + 1)
    padded = np.zeros((rows + 1, filled(columns)), matrix.dtype)
    padded[:rows, :columns] = matrix
    pairs = np.stack([padded[starts], padded[seconds]], axis=-1).reshape(len(starts), -1, BLOCK, 2)
    return offsets[starts], pairs.transpose(1, 0, 2, 3)


def _depthwise(result: Lowered, write: Write, compute: Depthwise, constants: Array) -> None:
    _require(compute.weights.shape[2] == 1)
    _sum(result, write, compute.source, compute.weights[:, :, 0], compute.epilogue, constants)


def _poolsum(result: Lowered, write: Write, compute: PoolSum, constants: Array) -> None:
    _require(len(compute.epilogue.offsets) == 1 and compute.source.window is not None)
    assert compute.source.window
    _sum(result, write, compute.source, np.ones((compute.source.window.taps, 1)), compute.epilogue, constants)


def _sum(result: Lowered, write: Write, state: StreamState, weights: Array, e: Epilogue, constants: Array) -> None:
    step, channels = result.step, state.shape[3]
    wide = np.broadcast_to(weights.astype(np.float64), (len(weights), channels))
    bound = _column_sum(np.abs(wide)) * magnitude(state)
    step.kind, step.count = SUM, len(weights)
    largest = _largest(e.multipliers[0], bound)
    _results(result, write, e, channels, [largest])
    is_exact = bound < FLOAT32_LIMIT
    step.certain = certainty(step, e, [largest], is_exact, 0.0 if is_exact else (len(weights) + 1) * largest)
    source = _rectangles(result, [state], constants)
    step.direct = _lies_ready(step, state, write.out)
    step.taps = result.pointer(source.elements[::channels], np.int32)
    step.weights = result.pointer(_pad(wide, channels), np.float32)
    table = np.broadcast_to(e.multipliers[0].ravel(), channels)
    step.multipliers = result.pointer(_pad(table, channels), np.float64)
    step.narrow_multipliers = result.pointer(_pad(table, channels), np.float32)
    _vectors(step, write.out, channels)
    is_small = is_exact and largest + float(np.abs(e.offsets).max()) < SUM32_LIMIT
    if state.type in quads.FLIPS and write.out.type in quads.FLIPS and is_small and step.certain and not step.direct:
        step.quads = _quads(result, source, state, wide, np.broadcast_to(e.offsets.ravel(), channels), table)


def _quads(
    result: Lowered, source: Rectangle, state: StreamState, weights: Array, offsets: Array, table: Array
) -> int | None:
    """Return the address of what products of bytes need for a weighted sum, None where they cannot make it, or lose.

    Sums of bytes made unsigned begin with what that adds to them, taken away.
    """
    step, window, limits = result.step, state.window, np.iinfo(np.int8)
    assert window
    grid = quads.grid(source, window.kernel, window.out, int(step.out_step))
    if not grid or not grid.fills or weights.min() < limits.min or weights.max() > limits.max:
        return None
    flip = quads.FLIPS[state.type]
    made = NativeQuads(
        weights=result.pointer(quads.weights(weights, grid), np.int8),
        taps=result.pointer(quads.taps(source, grid), np.int32),
        starts=result.pointer(quads.along(-flip * weights.sum(axis=0), grid), np.int32),
        multipliers=result.pointer(quads.along(table, grid), np.float32),
        offsets=result.pointer(quads.along(offsets, grid), np.float32),
        pitch=source.source.size[1] * source.channels,
        out_pitch=int(step.out_step) * window.out[1],
        pieces=grid.period // PIECE,
        height=grid.height,
        width=grid.width,
        across=grid.across,
        rows=grid.rows,
        lines=grid.lines,
        joined=grid.joined,
        stride=grid.stride,
        length=grid.length,
        flip=flip,
    )
    result.kept.append(made)
    return ctypes.addressof(made)


def _poolmax(result: Lowered, write: Write, compute: PoolMax, constants: Array) -> None:
    step, state = result.step, compute.source
    _require(max(abs(write.low), abs(write.high)) < LARGEST)
    step.kind, step.count = MAXIMUM, state.window.taps if state.window else 0
    source = _rectangles(result, [state], constants)
    step.direct = _lies_ready(step, state, write.out)
    step.taps = result.pointer(source.elements[:: state.shape[3]], np.int32)
    step.low, step.high = write.low, write.high
    _vectors(step, write.out, state.shape[3])


def _lies_ready(step: NativeStep, state: StreamState, out: StreamState) -> bool:
    """Return whether a window's elements lie as in the rectangle, a block or more, and too few are read again."""
    source, size = step.source[0], state.size
    rows, columns, channels = source.count
    return (
        source.constant is None
        and channels >= BLOCK
        and (rows, columns) == tuple(source.size)
        and tuple(source.pitch) == (columns * channels * size, channels * size, size)
        and step.count * step.vectors <= MOST_READS * rows * columns
        and _apart(state, out)
    )


def _add(result: Lowered, write: Write, compute: Add, constants: Array) -> None:
    e = compute.epilogue
    _elementwise(result, write, [compute.a, compute.b], list(e.multipliers), e, constants)


def _affine(result: Lowered, write: Write, compute: Affine, constants: Array) -> None:
    e = compute.epilogue
    _elementwise(result, write, [compute.source], list(e.multipliers), e, constants)


def _elementwise(
    result: Lowered, write: Write, states: list[StreamState], tables: list[Array], e: Epilogue, constants: Array
) -> None:
    """Sources times tables that repeat along the stream."""
    step, columns = result.step, _columns(write.out, len(e.offsets))
    bounds = [_largest(table, magnitude(s)) for table, s in zip(tables, states, strict=True)]
    repeated = replace(e, offsets=np.resize(e.offsets, columns))
    _results(result, write, repeated, columns, [sum(bounds)])
    step.kind, step.count = ADD, len(states)
    step.certain = certainty(step, e, bounds, sum(bounds) * 2.0**e.rounding.shift < FLOAT32_LIMIT)
    multipliers = np.stack([_pad(np.resize(table, columns), columns) for table in tables])
    step.multipliers = result.pointer(multipliers, np.float64)
    step.narrow_multipliers = result.pointer(multipliers, np.float32)
    _side_by_side(result, states, write.out, columns, constants)


def _side_by_side(result: Lowered, states: list[StreamState], out: StreamState, columns: int, constants: Array) -> None:
    """Fill in plain sources of as many elements each, read element by element, `columns` at a time."""
    step = result.step
    _require(all(state.window is None for state in states))
    _rectangles(result, states, constants)
    step.direct = all(_is_line(state) and (_apart(state, out) or _is_same(state, out)) for state in states)
    step.taps = result.pointer(np.arange(len(states)) * states[0].elements, np.int32)
    _flat(result, out, columns)


def _mul(result: Lowered, write: Write, compute: Mul, constants: Array) -> None:
    """Products of elements of 16 bits less their zero points of 17, in doubles, which hold them and their epilogue."""
    step, e, columns = result.step, compute.epilogue, _columns(write.out, 1)
    _results(result, write, e, columns, [np.inf])
    step.kind = MULTIPLY
    zeros = np.broadcast_to(np.array(compute.zeros, np.float64)[:, None], (2, columns))
    step.weights = result.pointer(_pad(zeros, columns), np.float32)
    step.multipliers = result.pointer(_pad(np.resize(e.multipliers[0], columns), columns), np.float64)
    _side_by_side(result, [compute.a, compute.b], write.out, columns, constants)


def _move(result: Lowered, write: Write, compute: Move, constants: Array) -> None:
    source, out = compute.source, write.out
    columns = min(_run(source), _run(out))
    is_even = even_step(source, columns) is not None and even_step(out, columns) is not None
    if source.type == out.type and is_even and (columns == out.elements or _apart(source, out)):
        _copy(result, source, out, columns, constants)
        return
    e = Epilogue(np.dtype(np.float64), (np.ones(1),), np.zeros(1), Rounding(0, write.low, write.high))
    _elementwise(result, write, [source], [np.ones(1)], e, constants)


def _run(state: StreamState) -> int:
    """Return how many of a stream's elements lie one behind the other, as many times as there are."""
    count, pitch = (joined(state) or [(1, 1)])[-1]
    return count if pitch == 1 else 1


def _is_line(state: StreamState) -> bool:
    """Return whether a stream's elements lie one behind the other."""
    return state.window is None and _run(state) == state.elements


def _copy(result: Lowered, source: StreamState, out: StreamState, columns: int, constants: Array) -> None:
    """Fill in a copy of runs of as many elements."""
    _require(source.window is None)
    result.step.kind = COPY
    _rectangles(result, [source], constants, tuple(TYPES))
    _flat(result, out, columns)
    result.step.count, result.step.source[0].pitch[0] = columns * source.size, even_step(source, columns)


def _softmax(result: Lowered, write: Write, compute: Softmax, constants: Array) -> None:
    step, state = result.step, compute.source
    step.kind, step.count = SOFTMAX, len(compute.table)
    step.table = result.pointer(compute.table, np.int32)
    step.numerator, step.zero = compute.numerator, compute.zero
    step.low, step.high = compute.low, compute.high
    _rectangles(result, [state], constants)
    _require(state.window is None)
    _vectors(step, write.out, state.length)


def _lut(result: Lowered, write: Write, compute: Lut, constants: Array) -> None:
    step, state = result.step, compute.source
    _require(_apart(state, write.out))
    step.kind, step.count = LOOKUP, len(compute.table)
    step.table = result.pointer(compute.table, np.int32)
    step.zero = compute.first
    _side_by_side(result, [state], write.out, _columns(write.out, 1), constants)


def _results(result: Lowered, write: Write, e: Epilogue, columns: int, bounds: list[float]) -> None:
    """Fill in the end of the epilogue for terms of the given largest magnitudes.

    Floats hold it, and are certain, where each term, each partial sum before the last, B and the limits are multiples
    of 2^-shift below 2^24 of them, and so is the sum of all terms, or it stays beyond the limits with B added to it:
    then what rounds is clipped.
    """
    _require(e.dtype != OBJECT)
    step, unit = result.step, 2.0**e.rounding.shift
    step.low, step.high = write.low, write.high
    limit = max(abs(write.low), abs(write.high))
    offsets = _pad(np.broadcast_to(e.offsets.ravel(), columns), columns)
    offset = float(np.abs(offsets).max())
    before_last = max(*bounds, sum(bounds[:-1]))
    clips = sum(bounds) * unit < FLOAT32_LIMIT or (limit + offset) * unit < FLOAT32_LIMIT
    holds = before_last * unit < FLOAT32_LIMIT and limit * unit <= FLOAT32_LIMIT and limit < LARGEST
    step.certain = float(is_float(offsets) and holds and clips)
    step.offsets, step.narrow_offsets = result.pointer(offsets, np.float64), result.pointer(offsets, np.float32)


def _rectangles(
    result: Lowered,
    states: list[StreamState],
    constants: Array,
    types: tuple[str, ...] = ("i8", "u8", "i16", "u16"),
    limits: tuple[int, int] | None = None,
) -> Rectangle:
    """Fill in the sources; return the rectangle of the first."""
    step, room = result.step, 0
    step.sources = len(states)
    found = [rectangle(state) for state in states]
    for n, (state, part) in enumerate(zip(states, found, strict=True)):
        _require(part is not None and state.type in types)
        assert part
        fill = state.window.fill if state.window else 0
        step.source[n] = part.source
        if state.space == "const":
            step.source[n].constant = address(constants)
        if limits:
            step.source[n].low, step.source[n].high = limits
            _require(limits[0] <= fill <= limits[1])
        room += part.size
    step.room = room + SLACK
    _require(room < 1 << 28)
    assert found[0]
    step.places = result.pointer(found[0].places, np.int32)
    step.vectors = len(found[0].places)
    return found[0]


def _vectors(step: NativeStep, out: StreamState, columns: int) -> None:
    """Fill in where the vectors of results go, one for each vector of the first source."""
    spacing = even_step(out, columns)
    _require(spacing is not None)
    step.columns, step.out_type, step.out_base, step.out_step = columns, TYPES[out.type], out.base, spacing
    step.out_moves = moves(out)


def _flat(result: Lowered, out: StreamState, columns: int) -> None:
    """The same for streams taken element by element, `columns` at a time."""
    step = result.step
    _require(out.elements % columns == 0)
    _vectors(step, out, columns)
    step.vectors = out.elements // columns


def _columns(out: StreamState, period: int) -> int:
    """Return how many elements to take at a time so that tables of this period repeat with them."""
    axes = joined(out)
    if len(axes) > 1:
        _require(axes[-1][0] % period == 0)
        return axes[-1][0]
    _require(out.elements % period == 0)
    counts = range(period, min(out.elements, MOST_COLUMNS) + 1, period)
    return max((count for count in counts if out.elements % count == 0), default=period)


def _apart(a: StreamState, b: StreamState) -> bool:
    """Return whether writing one stream leaves the other as it is."""
    (low, high), (first, last) = a.extent(), b.extent()
    return a.space != b.space or high <= first or last <= low


def _is_same(a: StreamState, b: StreamState) -> bool:
    """Return whether two lines of elements lie at the same place in every turn."""
    return (a.space, a.base, a.size, moves(a)) == (b.space, b.base, b.size, moves(b))


def _largest(table: Array, magnitude: int) -> float:
    return float(np.abs(table.astype(np.float64)).max()) * magnitude


def _largest_code(adc: Converter) -> int:
    return CodeRange(adc.low, adc.high).magnitude


def _pad(table: Array, columns: int) -> Array:
    """Return a table [..., columns] with zeros behind it, up to what the kernels read."""
    padded = np.zeros((*table.shape[:-1], filled(columns)))
    padded[..., :columns] = table
    return padded


_LOWERINGS: dict[type, Callable[[Lowered, Write, Any, Array], None]] = {
    Mvm: _product,
    Capture: _capture,
    Depthwise: _depthwise,
    PoolSum: _poolsum,
    PoolMax: _poolmax,
    Add: _add,
    Mul: _mul,
    Affine: _affine,
    Move: _move,
    Softmax: _softmax,
    Lut: _lut,
}
"""What computes a write in numpy -> what fills in the native step that does the same."""
