"""Directed programs for every instruction: each field at its ends, each member, each rule at its limits, each trap."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cimc.isa.author import Author
from cimc.isa.coverage import boundary_values
from cimc.isa.program import Instruction, Program
from cimc.isa.table import ELEMENT_TYPES, LOOP_DEPTH, TABLE

Array = NDArray[Any]

MEMORY = 1024
SHAPE = (3, 3, 2)
INPUT = np.array([[[-5, 7], [0, 3], [6, -7]], [[1, 0], [0, 0], [7, -7]], [[4, 2], [-1, 1], [0, 7]]], np.int8)
"""One sample for every program: both signs, zeros, the ends of a DAC of four bits."""
IN, OUT, OTHER = 0, 1, 2
"""Streams that the programs use."""


EXCLUDED = {("loop", "count", (1 << 24) - 1): "16,777,215 turns: how many an executor takes on is its own budget"}
"""Instruction, field and value that no program holds, and why."""


@dataclass(frozen=True)
class Case:
    """A program, what it is about, and the codes of its one sample by port."""

    name: str
    program: Program
    codes: Mapping[str, Array]


def cases(target: Mapping[str, Any]) -> Iterator[Case]:
    """Yield every directed program for a target, given by its sections."""
    for name, write in (*INSTRUCTIONS.items(), *RULES.items()):
        yield _case(name, write(_begun(target)))
    for spec in TABLE:
        if spec.name in INSTRUCTIONS:
            yield from _fields(target, spec.name)


def _fields(target: Mapping[str, Any], name: str) -> Iterator[Case]:
    """Yield programs in which one field of an instruction has one of its values; all else is as in the plain one."""
    author = INSTRUCTIONS[name](_begun(target))
    index = max(n for n, one in enumerate(author.instructions) if one.name == name)
    plain = author.instructions[index]
    for number, field in enumerate(plain.spec.fields):
        for place in range(field.count):
            for value in boundary_values(field):
                if (name, field.name, value) in EXCLUDED:
                    continue
                author.instructions[index] = _with(plain, number, place, value)
                at = f"[{place}]" if field.count > 1 else ""
                yield _case(f"{name}.{field.name}{at}={value}", author)
    author.instructions[index] = plain


def _with(plain: Instruction, number: int, place: int, value: int) -> Instruction:
    operands = list(plain.operands)
    old = operands[number]
    operands[number] = tuple(value if n == place else v for n, v in enumerate(old)) if isinstance(old, tuple) else value
    return Instruction(plain.name, tuple(operands))


def _case(name: str, author: Author) -> Case:
    return Case(name, author.program(), {"x": INPUT})


def _begun(target: Mapping[str, Any]) -> Author:
    """Return an author with the input, an output, a gain, two blocks, and streams for most instructions."""
    author = Author(target, MEMORY).port("x", SHAPE, 0).port("y", (8,), 512, output=True).gain(35328, 20)
    author.block(0, [[100, -60], [-33, 12], [7, 0], [0, 5]], (0, 1, 2)).block(1, [[5, -90], [64, 1]], (0, 9, 0))
    author.tensor(IN, (3, 6)).tensor(OUT, (3, 6), 512, type="i16").tensor(OTHER, (3, 6), 64)
    return author.put("move", in_=IN, out=OTHER)


def _tables(author: Author, count: int, biases: int | None = None) -> dict[str, int]:
    scale = [33000, -5, 65535, 1, -65535, 20000][:count] * (count // 6 + 1)
    bias = [1 << 14, -3, 0, 777, -(1 << 20), 5][: biases or count] * ((biases or count) // 6 + 1)
    return {"scale": author.table(scale[:count], "i32"), "bias": author.table(bias[: biases or count], "i64")}


def _window(author: Author) -> Author:
    """Make the input a window of 2 x 2 taps over two channels, with padding: four vectors of eight codes."""
    author.tensor(IN, SHAPE).window(IN, (2, 2), (2, 2), stride=(2, 1), pad=(1, 0), fill=-3)
    return author.tensor(OUT, (4, 2), 512, type="i16")


ROUND = {"shift": 16, "low": -90, "high": 90}


def _vectors(author: Author, length: int, out: int) -> Author:
    return author.tensor(IN, (3, length)).tensor(OUT, (3, out), 512, type="i16")


def _mvm(author: Author) -> Author:
    return _vectors(author, 6, 2).put("mvm", in_=IN, out=OUT, block=0, blocks=2, **_tables(author, 4, 2), **ROUND)


def _calibrate(author: Author) -> Author:
    reference = author.table([900, 30, 5, 800], "i64")
    return _vectors(author, 6, 2).put("calibrate", in_=IN, block=0, blocks=2, reference=reference, per="column")


def _lut(author: Author) -> Author:
    table = author.table([n * 7 - 60 for n in range(17)], "i16")
    return author.put("lut", in_=IN, out=OUT, table=table, type="i16", first=-8, entries=17)


def _softmax(author: Author) -> Author:
    table = author.table([1 << 20 - n for n in range(16)], "i32")
    facts = {"entries": 16, "numerator": 255, "zero": -128, "low": -128, "high": 127}
    return author.put("softmax", in_=IN, out=OUT, table=table, **facts)


def _matmul(author: Author) -> Author:
    author.tensor(OUT, (1, 1, 3, 3), 512, type="i16")
    return author.put("matmul", a=IN, b=OTHER, out=OUT, za=1, zb=-2, m=9000, bias=3, **ROUND)


def _norm(author: Author) -> Author:
    epsilon = author.table([1000], "i64")
    facts: dict[str, int | str] = {"centre": "mean", "zero": 1, "fraction": 3, "epsilon": epsilon}
    return author.put("norm", in_=IN, out=OUT, **facts, **_tables(author, 6), **ROUND)


def _embed(author: Author) -> Author:
    table = author.table([n * 3 - 20 for n in range(17 * 2)], "i16")
    author.tensor(OUT, (18, 2), 512, type="i16")
    return author.put("embed", in_=IN, out=OUT, table=table, type="i16", first=-8, rows=17)


def _pick(author: Author) -> Author:
    table = author.table([2, 0], "i32")
    author.tensor(OUT, (2, 6), 512, type="i16")
    return author.put("pick", in_=IN, out=OUT, group=3, table=table, entries=2)


def _verify(author: Author) -> Author:
    data = author.matrix([[100, -61], [-33, 12], [9, 0], [0, -5]])
    return author.tensor(OUT, (1,), 512, type="i16").put("verify", block=0, data=data, tolerance=1, out=OUT)


def _one(author: Author) -> Author:
    return author.tensor(OUT, (1,), 512, type="i16")


def _depthwise(author: Author) -> Author:
    weights = author.table([3, -2, 127, -128, 0, 1, 5, -7], "i8")
    return _window(author).put(
        "depthwise", in_=IN, out=OUT, weights=weights, multiplier=1, **_tables(author, 2), **ROUND
    )


PAIR = {"a": IN, "b": OTHER, "out": OUT}

INSTRUCTIONS: Mapping[str, Callable[[Author], Author]] = {
    "halt": lambda author: author.put("halt"),
    "nop": lambda author: author.put("nop"),
    "loop": lambda author: author.put("loop", count=3).put("move", in_=IN, out=OUT).put("endloop"),
    "endloop": lambda author: author.put("loop", count=2).put("advance", stream=OUT, by=1).put("endloop"),
    "tensor": lambda author: author.tensor(IN, (1, 3, 3, 2), pitch=(0, 6, 2, 1)).put("move", in_=IN, out=OUT),
    "window": lambda author: _window(author).tensor(OUT, (4, 8), 512).put("move", in_=IN, out=OUT),
    "advance": lambda author: author.put("advance", stream=OUT, by=3).put("move", in_=IN, out=OUT),
    "gain": lambda author: author.put("gain", tile=0, scope="tile", multiplier=40000, divide=21),
    "program": lambda author: author.block(2, [[7, -7], [0, 1]], (0, 2, 2), zeros="skip"),
    "pattern": lambda author: author.put("pattern", tile=0, row=2, col=1, rows=2, cols=2, plus=9, minus=100),
    "verify": _verify,
    "readcell": lambda author: _one(author).put("readcell", tile=0, row=1, col=3, polarity="minus", out=OUT),
    "time": lambda author: author.put("time", seconds=3600),
    "calibrate": _calibrate,
    "mvm": _mvm,
    "capture": lambda author: _vectors(author, 4, 2).put("capture", in_=IN, out=OUT, block=0),
    "selftest": lambda author: _one(author).put("selftest", tile=0, col=1, value=-70000, out=OUT),
    "depthwise": _depthwise,
    "poolmax": lambda author: _window(author).put("poolmax", in_=IN, out=OUT, low=-5, high=6),
    "poolsum": lambda author: _window(author).put(
        "poolsum", in_=IN, out=OUT, per="position", **_tables(author, 4), **ROUND
    ),
    "affine": lambda author: author.put("affine", in_=IN, out=OUT, period=4, **_tables(author, 4), **ROUND),
    "add": lambda author: author.put("add", **PAIR, ma=40000, mb=-33000, bias=5, **ROUND),
    "mul": lambda author: author.put("mul", **PAIR, za=1, zb=-2, m=9000, bias=5, **ROUND),
    "lut": _lut,
    "softmax": _softmax,
    "move": lambda author: author.put("move", in_=IN, out=OUT),
    "fill": lambda author: author.put("fill", out=OUT, value=-9),
    "matmul": _matmul,
    "norm": _norm,
    "embed": _embed,
    "select": lambda author: author.put("select", c=IN, a=OTHER, b=IN, out=OUT, zero=0),
    "pick": _pick,
    "argmax": lambda author: author.tensor(OUT, (3, 1), 512, type="i16").put(
        "argmax", in_=IN, out=OUT, which="smallest", tie="last"
    ),
    "div": lambda author: author.put("div", **PAIR, za=1, zb=7, m=1 << 31, zero=3, shift=30, low=-90, high=90),
}
"""Instruction -> what appends it, with operands that no machine refuses."""


def _ties(author: Author) -> Author:
    """Sums at exact halves of both parities and signs, at both ends of the ADC and beyond, through a gain of 1/2."""
    _one(author).put("gain", tile=0, scope="all", multiplier=1 << 15, divide=16)
    for value in (
        1,
        3,
        -1,
        -3,
        5,
        252,
        253,
        254,
        255,
        256,
        257,
        1 << 30,
        -252,
        -253,
        -254,
        -255,
        -256,
        -257,
        -(1 << 30),
    ):
        author.put("selftest", tile=0, col=1, value=value, out=OUT)
    return author


def _halves(author: Author) -> Author:
    """The digital unit's rounding at halves of both parities and signs, its clamp at and beyond both ends."""
    tables = {"scale": author.table([1], "i32"), "bias": author.table([0], "i64")}
    author.data(IN, [1, 3, 5, -1, -3, -5, 10, 11, 12, -10, -11, -12], (12,)).tensor(OUT, (12,), 512)
    return author.put("affine", in_=IN, out=OUT, period=1, shift=1, low=-5, high=5, **tables)


def _deep(author: Author) -> Author:
    """Loops as deep as they nest, whose output moves on in each."""
    author.tensor(IN, (1,)).tensor(OUT, (1,), 512)
    for _ in range(LOOP_DEPTH):
        author.put("loop", count=2)
    author.put("move", in_=IN, out=OUT)
    for by in range(1, LOOP_DEPTH + 1):
        author.put("advance", stream=OUT, by=by).put("advance", stream=IN, by=1).put("endloop")
    return author


def _types(author: Author) -> Author:
    """Each element type as source and as target, with the lowest and the highest value that it holds."""
    for name, (size, signed) in ELEMENT_TYPES.items():
        bits = 8 * size
        low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
        values = np.array([low, high, 0, 1], f"<{'i' if signed else 'u'}{size}")
        author.data(IN, values, (4,), name).tensor(OUT, (4,), 512, type=name).put("move", in_=IN, out=OUT)
    return author


def _backwards(author: Author) -> Author:
    """Negative pitches, a pitch of 0, padding that cuts, dilation."""
    author.tensor(IN, (3, 6), 17, pitch=(0, 0, -6, -1)).put("move", in_=IN, out=OUT)
    author.tensor(IN, (3, 6), 0, pitch=(0, 0, 0, 1)).put("move", in_=IN, out=OUT)
    author.tensor(IN, SHAPE).window(IN, (2, 2), (2, 1), pad=(-1, -1), dilation=(1, 1))
    author.tensor(OUT, (2, 8), 512).put("move", in_=IN, out=OUT)
    author.tensor(IN, SHAPE).window(IN, (2, 2), (2, 2), pad=(1, 1), dilation=(2, 2), fill=-4)
    return author.tensor(OUT, (4, 8), 512).put("move", in_=IN, out=OUT)


def _drifted(author: Author) -> Author:
    """Drift factors other than 1: blocks programmed to less than their reference sums."""
    return _mvm(_calibrate(author))


def _wide(author: Author) -> Author:
    """Sums of both signs as large as eight rows give, at the DAC's highest code and full conductance."""
    array, dac = author.meta["target"]["array"], author.meta["target"]["dac"]
    full, high = array["levels"] << array["fraction_bits"], (1 << dac["bits"] - 1) - 1
    author.block(3, [[full, -full]] * 8, (0, 2, 4)).data(IN, [high] * 8 + [-high] * 8, (2, 8), "i16")
    author.put("gain", tile=0, scope="all", multiplier=1 << 15, divide=15 + (8 * full * high).bit_length() - 7)
    return author.tensor(OUT, (2, 2), 512, type="i16").put("capture", in_=IN, out=OUT, block=3)


RULES: Mapping[str, Callable[[Author], Author]] = {
    "rule.ties": _ties,
    "rule.halves": _halves,
    "rule.loops": _deep,
    "rule.types": _types,
    "rule.backwards": _backwards,
    "rule.drift": _drifted,
    "rule.wide": _wide,
}
"""What no single field shows."""
