"""The plain program of every instruction: operands that no machine refuses, and results that show what it does."""

from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from functools import partial
from itertools import cycle

from cimc.bringup.directed import IN, OTHER, OUT, ROUND, calibrated, product, single, tables, vectors, windowed
from cimc.isa.author import Author
from cimc.isa.lint import lint
from cimc.isa.program import Operand
from cimc.isa.table import TABLE, Field, Spec


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
    return author.put("norm", in_=IN, out=OUT, **facts, **tables(author, 6), **ROUND)


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


def _depthwise(author: Author) -> Author:
    weights = author.table([3, -2, 127, -128, 0, 1, 5, -7], "i8")
    return windowed(author).put(
        "depthwise", in_=IN, out=OUT, weights=weights, multiplier=1, taps="i8", **tables(author, 2), **ROUND
    )


LAID: tuple[Callable[[Author], Author], ...] = (
    lambda author: author,
    single,
    lambda author: author.tensor(OUT, (3, 1), 512, type="i16"),
    windowed,
    lambda author: vectors(author, 4, 2),
)
"""Streams that instructions may want: an output like the input, of one element, of one a vector; windows; products."""
ENTRIES = 18
"""Entries of a table where no operand says how many: one for each element of the input."""
NUMBERS = {
    "tile": 0,
    "block": 0,
    "zero": 0,
    "za": 1,
    "zb": -2,
    "m": 9000,
    "ma": 40000,
    "mb": -33000,
    "bias": 5,
    "value": -9,
    "seconds": 3600,
    **ROUND,
}
"""Numbers by the names of operands, 1 for any other: what they make of INPUT is neither all alike nor all clamped."""


def by_names(spec: Spec, author: Author) -> Author:
    """Append an instruction with operands by their names, on the first streams in which the linter finds no fault."""
    tried = [_put(spec, laid(deepcopy(author))) for laid in LAID]
    return next((one for one in tried if _is_taken(one)), tried[0])


def _is_taken(author: Author) -> bool:
    """Return whether the linter finds no fault of an instruction; an output may stay unwritten."""
    return all(found.index is None for found in lint(author.program()))


def _put(spec: Spec, author: Author) -> Author:
    """Append an instruction: streams in turn, tables of multipliers and offsets, and numbers by name."""
    streams = cycle((IN, OTHER))
    constants = tables(author, ENTRIES) if any(one.hexadecimal for one in spec.fields) else {}
    operands = {one.name: _value(one, streams, constants) for one in spec.fields}
    return author.put(spec.name, **{"in_" if name == "in" else name: value for name, value in operands.items()})


def _value(field: Field, streams: Iterator[int], constants: Mapping[str, int]) -> Operand:
    """Return an operand: a stream, the address of a table, or a number within its field."""
    if field.prefix == "s":
        return OUT if field.is_written else next(streams)
    if field.hexadecimal:
        return constants.get(field.name, constants["scale"])
    number = min(max(NUMBERS.get(field.name, 1), field.lowest), field.highest)
    return (number,) * field.count if field.count > 1 else number


WRITTEN: Mapping[str, Callable[[Author], Author]] = {
    "loop": lambda author: author.put("loop", count=3).put("move", in_=IN, out=OUT).put("endloop"),
    "endloop": lambda author: author.put("loop", count=2).put("advance", stream=OUT, by=1).put("endloop"),
    "tensor": lambda author: author.tensor(IN, (1, 3, 3, 2), pitch=(0, 6, 2, 1)).put("move", in_=IN, out=OUT),
    "window": lambda author: windowed(author).tensor(OUT, (4, 8), 512).put("move", in_=IN, out=OUT),
    "advance": lambda author: author.put("advance", stream=OUT, by=3).put("move", in_=IN, out=OUT),
    "gain": lambda author: author.put("gain", tile=0, scope="tile", multiplier=40000, divide=21),
    "program": lambda author: author.block(2, [[7, -7], [0, 1]], (0, 2, 2), zeros="skip"),
    "pattern": lambda author: author.put("pattern", tile=0, row=2, col=1, rows=2, cols=2, plus=9, minus=100),
    "verify": _verify,
    "readcell": lambda author: single(author).put("readcell", tile=0, row=1, col=3, polarity="minus", out=OUT),
    "calibrate": calibrated,
    "mvm": product,
    "capture": lambda author: vectors(author, 4, 2).put("capture", in_=IN, out=OUT, block=0),
    "selftest": lambda author: single(author).put("selftest", tile=0, col=1, value=-70000, out=OUT),
    "depthwise": _depthwise,
    "poolmax": lambda author: windowed(author).put("poolmax", in_=IN, out=OUT, low=-5, high=6),
    "poolsum": lambda author: windowed(author).put(
        "poolsum", in_=IN, out=OUT, per="position", **tables(author, 4), **ROUND
    ),
    "affine": lambda author: author.put("affine", in_=IN, out=OUT, period=4, **tables(author, 4), **ROUND),
    "lut": _lut,
    "softmax": _softmax,
    "matmul": _matmul,
    "norm": _norm,
    "embed": _embed,
    "pick": _pick,
    "argmax": lambda author: author.tensor(OUT, (3, 1), 512, type="i16").put(
        "argmax", in_=IN, out=OUT, which="smallest", tie="last"
    ),
    "div": lambda author: author.put(
        "div", a=IN, b=OTHER, out=OUT, za=1, zb=7, m=1 << 31, zero=3, shift=30, low=-90, high=90
    ),
}
"""Instruction -> what appends it, where operands by their names would not do: they hang together, or show less."""

INSTRUCTIONS: Mapping[str, Callable[[Author], Author]] = {
    spec.name: WRITTEN.get(spec.name, partial(by_names, spec)) for spec in TABLE
}
"""Instruction -> what appends it, with operands that no machine refuses."""
