"""The instruction set as one table: every other file of this package derives from it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from cimc.isa.limits import (
    ACCUMULATOR_BITS,
    FACTOR_HIGHEST,
    GAIN_BITS,
    MULTIPLIER_BITS,
    NORM_BITS,
    PLACE_BITS,
    ROOT_BITS,
    SHIFT_BITS,
    WINDOW_MOST,
)

VERSION = 1
WORD_BITS = 256
WORD_BYTES = WORD_BITS // 8
OPCODE_BITS = 8
STREAMS = 16
LOOP_DEPTH = 4
FACTOR_ONE = 1 << 14

ELEMENT_TYPES: Mapping[str, tuple[int, bool]] = {
    "i8": (1, True),
    "u8": (1, False),
    "i16": (2, True),
    "u16": (2, False),
    "i32": (4, True),
    "i64": (8, True),
}
"""Element type -> (bytes, signed). Little-endian in every memory."""

TAP_BITS: Mapping[str, int] = {"i8": 8, "i4": 4}
"""How taps of `depthwise` lie in constant memory -> bits of each: of 4 two lie in a byte, the first in its low half."""


def bytes_of(bits: int) -> int:
    """Return the bytes that hold so many bits."""
    return (bits + 7) // 8


@dataclass(frozen=True)
class Field:
    """One operand: `bits` wide each, `count` of them; `signed` is two's complement, `names` lists an enumeration's members."""

    name: str
    bits: int
    meaning: str
    signed: bool = False
    count: int = 1
    prefix: str = ""
    names: tuple[str, ...] = ()
    hexadecimal: bool = False

    @property
    def width(self) -> int:
        return self.bits * self.count

    @cached_property
    def lowest(self) -> int:
        return -(1 << (self.bits - 1)) if self.signed else 0

    @cached_property
    def highest(self) -> int:
        if self.names:
            return len(self.names) - 1
        return (1 << (self.bits - self.signed)) - 1

    @property
    def is_written(self) -> bool:
        """Whether the operand is the stream that the instruction writes."""
        return self.prefix == "s" and self.name == "out"


@dataclass(frozen=True)
class Spec:
    """One instruction: its opcode, its operands from bit 8 upwards in this order, what it does, and what may trap.

    `traps` are the codes beside those that its operands alone bring about (isa/faults.py). `counts` says by counter
    (docs/cost.md) how much work it is, as a sum of products of numbers, operands and facts of streams and blocks:
    `in.elements * multiplier`; `per.position` is 1 for that member of `per`, and 0 for others. What streams through
    arrays, and the bytes of streams, follow from the operands; `type.size` and `i32` are bytes of an element. Halves of
    a byte are counted as a byte.
    """

    name: str
    opcode: int
    fields: tuple[Field, ...]
    summary: str
    meaning: str
    traps: tuple[str, ...] = ()
    counts: Mapping[str, str] = field(default_factory=dict, hash=False)

    @cached_property
    def places(self) -> Mapping[str, int]:
        """Where among the operands each one stands, by name."""
        return {one.name: place for place, one in enumerate(self.fields)}

    @cached_property
    def streams_blocks(self) -> bool:
        """Whether it streams vectors through blocks."""
        return {"in", "block"} <= self.places.keys()

    @cached_property
    def is_product(self) -> bool:
        """Whether it streams a sample's vectors through blocks: what calibrates does so too, but writes no stream."""
        return self.streams_blocks and any(one.is_written for one in self.fields)

    def field(self, name: str) -> Field:
        return self.fields[self.places[name]]


def _stream(name: str, meaning: str) -> Field:
    return Field(name, 4, meaning, prefix="s")


def _block(name: str, meaning: str) -> Field:
    return Field(name, 16, meaning, prefix="b")


def _constant(name: str, meaning: str) -> Field:
    return Field(name, 36, meaning, hexadecimal=True)


def _signed(name: str, bits: int, meaning: str, count: int = 1) -> Field:
    return Field(name, bits, meaning, signed=True, count=count)


_IN = _stream("in", "vectors read")
_OUT = _stream("out", "vectors written")
_SHIFT = Field("shift", SHIFT_BITS, "right shift k of the rounding")
_LOW = _signed("low", 33, "lowest result")
_HIGH = _signed("high", 33, "highest result")
_ROUND = (_SHIFT, _LOW, _HIGH)
_TILE = Field("tile", PLACE_BITS, "tile number")
_REGION = (
    _TILE,
    Field("row", PLACE_BITS, "first row"),
    Field("col", PLACE_BITS, "first column"),
    Field("rows", PLACE_BITS, "rows"),
    Field("cols", PLACE_BITS, "columns"),
)
_DATA = Field("data", 44, "byte address in the conductance section", hexadecimal=True)
_TYPE = Field("type", 3, "element type", names=tuple(ELEMENT_TYPES))
_SCALES = _constant("scale", f"constant address of the multipliers M, i32 each, |M| < 2^{MULTIPLIER_BITS}")
_BIASES = _constant("bias", "constant address of the offsets B, i64 each")

TABLE: tuple[Spec, ...] = (
    Spec("halt", 0x01, (), "end of the program", "Stops the machine."),
    Spec("nop", 0x02, (), "nothing", "Does nothing."),
    Spec(
        "loop",
        0x03,
        (Field("count", 24, "times the body runs, at least 1"),),
        "start a counted loop",
        "Runs the instructions up to the matching `endloop` `count` times. Loops nest four deep.",
        traps=("CIM0507",),
    ),
    Spec(
        "endloop",
        0x04,
        (),
        "end of the innermost loop",
        "Jumps back to the innermost `loop` until its count is used up.",
        traps=("CIM0507",),
    ),
    Spec(
        "tensor",
        0x10,
        (
            _stream("stream", "stream defined"),
            Field("space", 1, "memory", names=("act", "const")),
            _TYPE,
            Field("base", 36, "byte address of element (0, 0, 0, 0)", hexadecimal=True),
            Field("shape", 20, "counts, outermost first", count=4),
            _signed("pitch", 28, "distance between neighbours along each axis, in elements", count=4),
        ),
        "define a stream over a strided tensor",
        "The stream yields shape[0] * shape[1] * shape[2] vectors of shape[3] elements, last axis fastest; element (a, b, c, d) lies at "
        "base + size * (a * pitch[0] + b * pitch[1] + c * pitch[2] + d * pitch[3]). Any earlier window of the stream is gone.",
        traps=("CIM0509",),
    ),
    Spec(
        "window",
        0x11,
        (
            _stream("stream", "stream changed"),
            Field("kernel", WINDOW_MOST.bit_length(), "kernel height, width", count=2),
            Field("stride", WINDOW_MOST.bit_length(), "stride down, across", count=2),
            Field("dilation", WINDOW_MOST.bit_length(), "dilation down, across", count=2),
            _signed("pad", 13, "padding above, left", count=2),
            Field("out", 20, "output height, width", count=2),
            _signed("fill", 17, "code read outside the tensor"),
        ),
        "turn a stream into an im2col window",
        "The tensor's shape is read as (1, height, width, channels). The stream now yields out[0] * out[1] vectors, output row by output row, "
        "each of kernel[0] * kernel[1] * channels elements in the order (kernel row, kernel column, channel). Kernel tap (i, j) of output "
        "(y, x) is tensor row y * stride[0] - pad[0] + i * dilation[0] and column x * stride[1] - pad[1] + j * dilation[1]; outside the "
        "tensor it reads `fill`. Windows are read only.",
        traps=(
            "CIM0502",
            "CIM0504",
            "CIM0509",
        ),
    ),
    Spec(
        "advance",
        0x12,
        (_stream("stream", "stream moved"), _signed("by", 36, "distance in elements")),
        "move a stream's base",
        "Adds `by` elements to the base address of the stream: the affine addresses of loops.",
        traps=("CIM0502",),
    ),
    Spec(
        "gain",
        0x20,
        (
            _TILE,
            Field("scope", 1, "one tile, or every tile", names=("tile", "all")),
            Field("multiplier", GAIN_BITS, f"m, 2^{GAIN_BITS - 1} or more"),
            Field("divide", SHIFT_BITS, "k"),
        ),
        "load an ADC gain",
        "From now on the ADCs of the tile (of every tile where scope is `all`; then tile is 0) give "
        "code = clip(round(s * m / 2^k)), with rounding and range of the target.",
        traps=(
            "CIM0510",
            "CIM0517",
        ),
    ),
    Spec(
        "program",
        0x21,
        (
            _block("block", "block defined"),
            *_REGION,
            _DATA,
            Field("zeros", 1, "devices with target zero: pulsed to zero, or left alone", names=("program", "skip")),
        ),
        "programme a block of devices",
        "Reads rows * cols conductance differences (i16, row by row, in units of 2^-F levels) and programmes each cell: plus device max(v, 0), "
        "minus device max(-v, 0). The block number then names this region of this tile.",
        traps=(
            "CIM0509",
            "CIM0510",
            "CIM0516",
        ),
        counts={"programmed": "block.programmed", "rows_programmed": "block.programmed_rows"},
    ),
    Spec(
        "pattern",
        0x22,
        (*_REGION, Field("plus", 16, "value of every plus device"), Field("minus", 16, "value of every minus device")),
        "write one raw value pair to a region",
        "Programmes every cell of the region to the two values, in units of 2^-F levels.",
        traps=(
            "CIM0509",
            "CIM0510",
            "CIM0516",
        ),
        counts={"programmed": "rows * cols", "rows_programmed": "rows"},
    ),
    Spec(
        "verify",
        0x23,
        (_block("block", "block compared"), _DATA, Field("tolerance", 16, "largest accepted difference"), _OUT),
        "count wrongly programmed devices",
        "Compares both devices of every cell of the block with the conductance section as `program` would set them; writes the number of devices that "
        "differ by more than `tolerance` as the one element of `out`.",
        traps=(
            "CIM0511",
            "CIM0516",
        ),
    ),
    Spec(
        "readcell",
        0x24,
        (
            _TILE,
            Field("row", PLACE_BITS, "row"),
            Field("col", PLACE_BITS, "column"),
            Field("polarity", 1, "device of the pair", names=("plus", "minus")),
            _OUT,
        ),
        "read one device",
        "Writes the programmed value of one device, in units of 2^-F levels, as the one element of `out`.",
        traps=("CIM0510",),
    ),
    Spec(
        "time",
        0x25,
        (Field("seconds", 40, "seconds since programming"),),
        "select the time of evaluation",
        "Array reads from now on happen this long after programming. Without device noise nothing changes.",
    ),
    Spec(
        "calibrate",
        0x26,
        (
            _IN,
            _block("block", "first block"),
            Field("blocks", 12, "blocks side by side along the rows"),
            _constant("reference", "constant address of the expected sums, i64: blocks * cols, or one per block"),
            Field("per", 1, "one factor per block, or per column", names=("block", "column")),
        ),
        "set digital drift factors",
        "Streams the vectors of `in` through the blocks as `mvm` does and sums |code| per column (over all columns for `block`). "
        f"Each factor becomes F = clamp(round(2^14 * reference / sum), 1, {FACTOR_HIGHEST}), or 2^14 where the sum is 0; `mvm` then uses "
        "round(M * F / 2^14) for M. `program` resets the factors of its block to 2^14.",
        traps=(
            "CIM0505",
            "CIM0509",
            "CIM0511",
            "CIM0512",
            "CIM0513",
            "CIM0514",
            "CIM0533",
        ),
        counts={"cal_products": "in.vectors * blocks"},
    ),
    Spec(
        "mvm",
        0x30,
        (
            _IN,
            _OUT,
            _block("block", "first block"),
            Field("blocks", 12, "blocks that share the outputs, numbered consecutively"),
            _SCALES,
            _BIASES,
            *_ROUND,
        ),
        "stream matrix-vector products through blocks",
        "For each vector x of `in`: block t takes the next rows_t elements of x, the array gives s_tj = sum_i x_i (G+_ij - G-_ij), the ADC code_tj; "
        "y_j = clamp(round((sum_t code_tj * M_tj + B_j) / 2^shift), low, high) is written to `out`. M is stored as blocks x cols, B as cols.",
        traps=(
            "CIM0509",
            "CIM0511",
            "CIM0512",
            "CIM0513",
            "CIM0514",
            "CIM0515",
            "CIM0533",
        ),
        # sums of blocks behind the first are scaled and added
        counts={
            "dig_mul": "out.elements * blocks - out.elements",
            "dig_add": "out.elements * blocks - out.elements",
            "requant": "out.elements",
            "const_read": "i32 * block.cols * blocks + i64 * block.cols",
        },
    ),
    Spec(
        "capture",
        0x31,
        (_IN, _OUT, _block("block", "block read")),
        "stream vectors and keep the raw ADC codes",
        "Like `mvm` with one block, without the digital epilogue: writes code_j itself.",
        traps=(
            "CIM0511",
            "CIM0512",
            "CIM0513",
            "CIM0514",
            "CIM0533",
        ),
    ),
    Spec(
        "selftest",
        0x32,
        (_TILE, Field("col", PLACE_BITS, "column"), _signed("value", 48, "array sum put at the ADC's input"), _OUT),
        "convert a known value",
        "Writes the code that the ADC of this column gives for the value, as the one element of `out`.",
        traps=(
            "CIM0510",
            "CIM0512",
            "CIM0514",
            "CIM0533",
        ),
    ),
    Spec(
        "depthwise",
        0x40,
        (
            _IN,
            _OUT,
            _constant("weights", "constant address of the weights, taps x channels x multiplier"),
            Field("multiplier", 12, "outputs per channel"),
            _SCALES,
            _BIASES,
            *_ROUND,
            Field("taps", 1, "weights: a byte each, or two a byte, the first in its low half", names=tuple(TAP_BITS)),
        ),
        "depthwise convolution on the digital unit",
        "`in` is a window over C channels. a = sum over taps of x[tap, c] * w[tap, c, n]; "
        "output channel o = c * multiplier + n is clamp(round((a * M_o + B_o) / 2^shift), low, high). "
        "Weights are two's complement; what is left of the last byte where their number is odd is not read.",
        traps=(
            "CIM0504",
            "CIM0515",
        ),
        counts={
            "dig_mul": "in.elements * multiplier",
            "dig_add": "in.elements * multiplier",
            "requant": "out.elements",
            "const_read": "taps.size * in.length * multiplier + i32 * in.channels * multiplier + i64 * in.channels * multiplier",
        },
    ),
    Spec(
        "poolmax",
        0x41,
        (_IN, _OUT, _LOW, _HIGH),
        "maximum pooling",
        "`in` is a window over C channels: output channel c is clamp(max over taps of x[tap, c], low, high).",
        traps=("CIM0504",),
        counts={"dig_add": "in.elements"},
    ),
    Spec(
        "poolsum",
        0x42,
        (
            _IN,
            _OUT,
            Field("per", 1, "one M and B for all outputs, or per output position", names=("all", "position")),
            _SCALES,
            _BIASES,
            *_ROUND,
        ),
        "sum or average pooling",
        "`in` is a window over C channels: output channel c at position p is clamp(round((sum over taps of x[tap, c] * M_p + B_p) / 2^shift), low, high).",
        traps=(
            "CIM0504",
            "CIM0515",
        ),
        counts={
            "dig_add": "in.elements",
            "requant": "out.elements",
            "const_read": "i32 * per.all + i64 * per.all + i32 * per.position * in.vectors + i64 * per.position * in.vectors",
        },
    ),
    Spec(
        "affine",
        0x43,
        (_IN, _OUT, Field("period", 20, "length of both tables"), _SCALES, _BIASES, *_ROUND),
        "multiply and add constants, requantise",
        "Element n of the stream, counted over the whole stream: clamp(round((x_n * M[n mod period] + B[n mod period]) / 2^shift), low, high).",
        traps=(
            "CIM0509",
            "CIM0515",
        ),
        counts={"requant": "out.elements", "const_read": "i32 * period + i64 * period"},
    ),
    Spec(
        "add",
        0x44,
        (
            _stream("a", "first operand"),
            _stream("b", "second operand"),
            _OUT,
            _signed("ma", 18, "multiplier of a"),
            _signed("mb", 18, "multiplier of b"),
            _signed("bias", 54, "offset B"),
            *_ROUND,
        ),
        "weighted sum of two tensors",
        "clamp(round((a_n * ma + b_n * mb + B) / 2^shift), low, high), element by element.",
        traps=("CIM0515",),
        counts={"dig_mul": "2 * out.elements", "dig_add": "out.elements", "requant": "out.elements"},
    ),
    Spec(
        "mul",
        0x45,
        (
            _stream("a", "first operand"),
            _stream("b", "second operand"),
            _OUT,
            _signed("za", 17, "zero point of a"),
            _signed("zb", 17, "zero point of b"),
            _signed("m", 18, "multiplier"),
            _signed("bias", 54, "offset B"),
            *_ROUND,
        ),
        "product of two tensors",
        "clamp(round(((a_n - za) * (b_n - zb) * m + B) / 2^shift), low, high), element by element.",
        traps=("CIM0515",),
        counts={"dig_mul": "out.elements", "dig_add": "2 * out.elements", "requant": "out.elements"},
    ),
    Spec(
        "lut",
        0x46,
        (
            _IN,
            _OUT,
            _constant("table", "constant address of the table"),
            _TYPE,
            _signed("first", 17, "code of entry 0"),
            Field("entries", 17, "length"),
        ),
        "look codes up in a table",
        "Each element becomes table[x - first]; `type` is the element type of the table.",
        traps=(
            "CIM0509",
            "CIM0518",
        ),
        counts={"dig_table": "in.elements", "const_read": "in.elements * type.size"},
    ),
    Spec(
        "softmax",
        0x47,
        (
            _IN,
            _OUT,
            _constant("table", "constant address of the exponentials, i32 each, all >= 0, the first > 0"),
            Field("entries", 17, "length of the table"),
            Field("numerator", 32, "steps of the output for the value 1"),
            _signed("zero", 33, "output code of the value 0"),
            _LOW,
            _HIGH,
        ),
        "softmax of each vector",
        "For each vector: e_i = table[min(max(x) - x_i, entries - 1)]; y_i = clamp(round(e_i * numerator / sum(e)) + zero, low, high), "
        "the quotient rounded half to even.",
        traps=("CIM0509",),
        # largest element and differences, exponentials, their sum, and a scaled quotient each
        counts={
            "dig_add": "3 * in.elements",
            "dig_table": "in.elements",
            "dig_mul": "in.elements",
            "dig_div": "in.elements",
            "const_read": "i32 * in.elements",
        },
    ),
    Spec(
        "move",
        0x48,
        (_IN, _OUT),
        "copy",
        "Copies element by element in stream order; the element types may differ if every value fits.",
    ),
    Spec(
        "fill",
        0x49,
        (_OUT, _signed("value", 33, "value written")),
        "set every element",
        "Writes `value` to every element of `out`.",
    ),
    Spec(
        "matmul",
        0x4A,
        (
            _stream("a", "left operand"),
            _stream("b", "right operand"),
            _OUT,
            _signed("za", 17, "zero point of a"),
            _signed("zb", 17, "zero point of b"),
            _signed("m", 18, "multiplier"),
            _signed("bias", 54, "offset B"),
            *_ROUND,
        ),
        "matrix products of two tensors",
        "`a` is read as shape[0] * shape[1] matrices of shape[2] rows of K elements, `b` as as many matrices whose rows are the columns of the right "
        "operand, `out` as as many of (rows of a) x (rows of b): clamp(round((sum_k (a_ik - za) * (b_jk - zb) * m + B) / 2^shift), low, high). "
        "A pitch of 0 repeats a matrix.",
        traps=(
            "CIM0504",
            "CIM0515",
        ),
        counts={
            "dig_mul": "out.elements * a.channels",
            "dig_add": "out.elements * a.channels",
            "requant": "out.elements",
        },
    ),
    Spec(
        "norm",
        0x4B,
        (
            _IN,
            _OUT,
            Field(
                "centre",
                1,
                "what is subtracted from each element: the zero point, or the vector's mean",
                names=("zero", "mean"),
            ),
            _signed("zero", 17, "zero point of the input"),
            Field("fraction", 4, "half the fraction bits f of the sum under the root"),
            _constant("epsilon", "constant address of E, one i64, 0 or more"),
            _SCALES,
            _BIASES,
            *_ROUND,
        ),
        "normalise each vector",
        f"For each vector of n elements, u_i = x_i - zero, s = sum(u) for `mean` and 0 for `zero`: W = max((n * sum(u^2) - s^2) * 4^f + E, 1), below 2^{ROOT_BITS}; t is the "
        f"largest integer with W * 4^t < 2^{ROOT_BITS}, R = floor(sqrt(W * 4^t)); h_i = round((n * u_i - s) * 2^({NORM_BITS} + f + t) / R), "
        "y_i = clamp(round((h_i * M_i + B_i) / 2^shift), low, high). M and B have n entries.",
        traps=("CIM0515",),
        # sum and sum of squares, one root a vector; for each element a difference, a quotient and a requantisation
        counts={
            "dig_mul": "2 * in.elements",
            "dig_add": "3 * in.elements",
            "dig_div": "in.elements + in.vectors",
            "requant": "in.elements",
            "const_read": "i64 + i32 * in.length + i64 * in.length",
        },
    ),
    Spec(
        "embed",
        0x4C,
        (
            _IN,
            _OUT,
            _constant("table", "constant address of the table"),
            _TYPE,
            _signed("first", 17, "code of row 0"),
            Field("rows", 24, "rows of the table"),
        ),
        "look rows up in a table",
        "Element v of `in` selects row x_v - first of the table, which becomes vector v of `out`; a row has as many elements as such a vector, "
        "of element type `type`.",
        traps=(
            "CIM0509",
            "CIM0518",
        ),
        counts={"dig_table": "in.elements", "const_read": "out.elements * type.size"},
    ),
    Spec(
        "select",
        0x4D,
        (
            _stream("c", "condition"),
            _stream("a", "taken where the condition holds"),
            _stream("b", "taken elsewhere"),
            _OUT,
            _signed("zero", 17, "code that means no"),
        ),
        "choose between two tensors",
        "a_n where c_n differs from `zero`, b_n elsewhere, element by element; the element types may differ if every value fits.",
        counts={"dig_add": "out.elements"},
    ),
    Spec(
        "pick",
        0x50,
        (
            _IN,
            _OUT,
            Field("group", 20, "vectors that a group has"),
            _constant("table", "constant address of the numbers of the vectors wanted, i32 each, below `group`"),
            Field("entries", 20, "length of the table"),
        ),
        "pick vectors by number",
        "Takes the vectors of `in` in groups of `group`; of each group, the vectors table[0], table[1] ... are copied to `out` in this order.",
        traps=(
            "CIM0509",
            "CIM0518",
        ),
        # only the vectors picked are read
        counts={"act_read": "out.elements * in.size", "const_read": "i32 * entries"},
    ),
    Spec(
        "argmax",
        0x51,
        (
            _IN,
            _OUT,
            Field("which", 1, "which element is looked for", names=("largest", "smallest")),
            Field("tie", 1, "which of equal ones", names=("first", "last")),
        ),
        "place of the largest element of each vector",
        "For each vector of `in`, writes the place, counted from 0, of its largest or smallest element; of equal ones the first or the last.",
        counts={"dig_add": "in.elements"},
    ),
    Spec(
        "div",
        0x52,
        (
            _stream("a", "dividend"),
            _stream("b", "divisor"),
            _OUT,
            _signed("za", 17, "zero point of a"),
            _signed("zb", 17, "zero point of b"),
            _signed("m", 34, "multiplier"),
            _signed("zero", 33, "output code of the value 0"),
            *_ROUND,
        ),
        "quotient of two tensors",
        f"clamp(round((a_n - za) * m / ((b_n - zb) * 2^shift)) + zero, low, high), element by element, |(a_n - za) * m| < 2^{ACCUMULATOR_BITS}. "
        "Where b_n is zb, the result is `high`, `low` or clamp(zero) as (a_n - za) * m is above, below or at zero.",
        traps=("CIM0515",),
        counts={
            "dig_mul": "out.elements",
            "dig_add": "2 * out.elements",
            "dig_div": "out.elements",
            "requant": "out.elements",
        },
    ),
)

BY_NAME: Mapping[str, Spec] = {spec.name: spec for spec in TABLE}
BY_OPCODE: Mapping[int, Spec] = {spec.opcode: spec for spec in TABLE}
