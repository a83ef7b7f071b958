"""Directed programs for every instruction: each field at its ends, each member, each rule at its limits, each trap."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from cimc.bringup.directed import (
    IN,
    INPUT,
    OTHER,
    OUT,
    ROUND,
    begun,
    calibrated,
    product,
    single,
    tables,
    vectors,
    windowed,
)
from cimc.bringup.rules import RULES
from cimc.bringup.spoiling import spoiled
from cimc.bringup.trapping import TRAPS
from cimc.isa.author import Author
from cimc.isa.coverage import boundary_values
from cimc.isa.program import Instruction, Program
from cimc.isa.table import TABLE

Array = NDArray[Any]

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
    for name, write in (*INSTRUCTIONS.items(), *RULES.items(), *TRAPS.items()):
        yield _case(name, write(begun(target)))
    for spec in TABLE:
        if spec.name in INSTRUCTIONS:
            yield from _fields(target, spec.name)
            yield from _spoiled(target, spec.name)


def _spoiled(target: Mapping[str, Any], name: str) -> Iterator[Case]:
    """Yield the plain program of an instruction with an output that cannot take what is written, trap by trap."""
    program = INSTRUCTIONS[name](begun(target)).program()
    index = max(n for n, one in enumerate(program.instructions) if one.name == name)
    for code, changed in spoiled(program, index):
        yield Case(f"trap.{code}.{name}", changed, {"x": INPUT})


def _fields(target: Mapping[str, Any], name: str) -> Iterator[Case]:
    """Yield programs in which one field of an instruction has one of its values; all else is as in the plain one."""
    author = INSTRUCTIONS[name](begun(target))
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
        "depthwise", in_=IN, out=OUT, weights=weights, multiplier=1, **tables(author, 2), **ROUND
    )


PAIR = {"a": IN, "b": OTHER, "out": OUT}

INSTRUCTIONS: Mapping[str, Callable[[Author], Author]] = {
    "halt": lambda author: author.put("halt"),
    "nop": lambda author: author.put("nop"),
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
    "time": lambda author: author.put("time", seconds=3600),
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
