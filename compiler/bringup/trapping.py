"""Directed programs that end in a trap: one for each that a program can run into, with what it is about."""

from collections.abc import Callable, Mapping

from cimc.bringup.directed import IN, MEMORY, OTHER, OUT, SHAPE, product, single, tables, vectors, windowed
from cimc.isa.author import Author
from cimc.isa.limits import ACCUMULATOR_LIMIT, SUM_LIMIT
from cimc.isa.table import LOOP_DEPTH

UNUSED = 9
"""A stream and a block that nothing defines."""


def _deeper(author: Author) -> Author:
    for _ in range(LOOP_DEPTH + 1):
        author.put("loop", count=2)
    return author


def _pooled(author: Author) -> Author:
    """A pool of what is no window."""
    return author.put("poolmax", in_=IN, out=OUT, low=-5, high=6)


def _windowless(author: Author) -> Author:
    """A window over a tensor of two images."""
    return author.tensor(IN, (2, 3, 3, 1)).window(IN, (2, 2), (2, 2))


def _window_as_matrix(author: Author) -> Author:
    """A product of matrices, one of which is a window."""
    facts = {"za": 0, "zb": 0, "m": 9000, "bias": 3, "shift": 16, "low": -90, "high": 90}
    return windowed(author).put("matmul", a=IN, b=OTHER, out=OUT, **facts)


def _lost_gain(author: Author) -> Author:
    """A machine of its own, for whose tile no gain is ever loaded."""
    bare = Author(author.meta["target"], MEMORY).port("x", SHAPE, 0).block(0, [[1], [2]])
    return bare.tensor(IN, (9, 2)).tensor(OUT, (9, 1), 512).put("capture", in_=IN, out=OUT, block=0)


def _outside_dac(author: Author) -> Author:
    high = 1 << author.meta["target"]["dac"]["bits"] - 1
    author.data(IN, [high, 0, 0, 0], (1, 4), "i32").tensor(OUT, (1, 2), 512)
    return author.put("capture", in_=IN, out=OUT, block=0)


def _accumulated(author: Author) -> Author:
    """A sum of the digital unit that reaches 2^52 by its offset alone."""
    author.data(IN, [1], (1,)).tensor(OUT, (1,), 512)
    bias = author.table([ACCUMULATOR_LIMIT - 1], "i64")
    return author.put(
        "affine", in_=IN, out=OUT, period=1, scale=author.table([1], "i32"), bias=bias, shift=50, low=0, high=9
    )


def _too_strong(author: Author) -> Author:
    array = author.meta["target"]["array"]
    return author.block(2, [[(array["levels"] << array["fraction_bits"]) + 1]], (0, 2, 2))


def _outside_array(author: Author) -> Author:
    return author.block(2, [[1, 2]], (0, 0, author.meta["target"]["array"]["columns"] - 1))


def _unlisted(author: Author) -> Author:
    """A code behind the last entry of a table."""
    author.data(IN, [3], (1,)).tensor(OUT, (1,), 512)
    return author.put("lut", in_=IN, out=OUT, table=author.table([1, 2], "i8"), type="i8", first=0, entries=2)


def _unnamed(author: Author) -> Author:
    """A code below the first row of an embedding."""
    author.data(IN, [-1], (1,)).tensor(OUT, (1, 2), 512)
    return author.put("embed", in_=IN, out=OUT, table=author.table([1, 2], "i8"), type="i8", first=0, rows=1)


def _vast(author: Author) -> Author:
    return single(author).put("selftest", tile=0, col=1, value=SUM_LIMIT, out=OUT)


TRAPS: Mapping[str, Callable[[Author], Author]] = {
    "trap.CIM0501": lambda author: author.tensor(OUT, (2,), MEMORY - 1).put("fill", out=OUT, value=1),
    "trap.CIM0502": lambda author: author.put("move", in_=UNUSED, out=OUT),
    "trap.CIM0503": lambda author: author.data(OUT, [1, 2], (2,)).put("fill", out=OUT, value=1),
    "trap.CIM0504": _pooled,
    "trap.CIM0504.window": _windowless,
    "trap.CIM0504.matrix": _window_as_matrix,
    "trap.CIM0505": lambda author: author.tensor(OUT, (2,), 512).put("move", in_=IN, out=OUT),
    "trap.CIM0506": lambda author: author.tensor(OUT, (3, 6), 512, type="u8").put("move", in_=OTHER, out=OUT),
    "trap.CIM0507": _deeper,
    "trap.CIM0507.end": lambda author: author.put("endloop"),
    "trap.CIM0507.none": lambda author: author.put("loop", count=0),
    "trap.CIM0509": lambda author: author.put(
        "mvm", in_=IN, out=OUT, block=0, blocks=0, shift=1, low=0, high=0, **tables(author, 2)
    ),
    "trap.CIM0510": _outside_array,
    "trap.CIM0511": lambda author: vectors(author, 4, 2).put("capture", in_=IN, out=OUT, block=UNUSED),
    "trap.CIM0512": _lost_gain,
    "trap.CIM0513": _outside_dac,
    "trap.CIM0514": _vast,
    "trap.CIM0515": _accumulated,
    "trap.CIM0516": _too_strong,
    "trap.CIM0517": lambda author: product(author).put("gain", tile=0, scope="all", multiplier=1, divide=1),
    "trap.CIM0518": _unlisted,
    "trap.CIM0518.embed": _unnamed,
}
"""Name -> what writes the program, behind the beginning that all have; its trap is the name's second part."""
