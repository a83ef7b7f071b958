"""The digital unit element by element and vector by vector, windows apart, over a chunk of images."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from cimc.backends.machine import checks
from cimc.backends.machine.ports import DTYPES
from cimc.backends.machine.traps import Trap
from cimc.backends.plan.exact import Epilogue, as_integers, epilogue, exact_type, half_even
from cimc.backends.plan.memory import Array, Chunk
from cimc.backends.plan.state import Builder, PlanState, Write, magnitude, rounding
from cimc.isa.limits import ACCUMULATOR_BITS, ACCUMULATOR_LIMIT
from cimc.isa.program import Instruction
from cimc.isa.streams import StreamState

INT64 = np.dtype(np.int64)


@dataclass(frozen=True)
class Affine:
    """Elements times and plus tables that repeat along the stream."""

    source: StreamState
    epilogue: Epilogue

    def __call__(self, chunk: Chunk) -> Array:
        elements = chunk.vectors(self.source, self.epilogue.dtype)
        return self.epilogue([elements.reshape(chunk.images, -1, len(self.epilogue.offsets))])


def affine(state: PlanState, i: Instruction, _: int) -> Write:
    source, out, period = state.source(i["in"]), state.out(i["out"]), i["period"]
    tables = state.multipliers(i["scale"], period), state.biases(i["bias"], period)
    checks.count("the output", out.elements, source.elements)
    if source.elements % period:
        tables = np.resize(tables[0], source.elements), np.resize(tables[1], source.elements)
    exact = epilogue(tables[:1], tables[1], rounding(i), [magnitude(source)])
    return Write(out, Affine(source, exact), i["low"], i["high"])


@dataclass(frozen=True)
class Add:
    """Weighted sum of two streams."""

    a: StreamState
    b: StreamState
    epilogue: Epilogue

    def __call__(self, chunk: Chunk) -> Array:
        a = chunk.vectors(self.a, self.epilogue.dtype, "a").reshape(chunk.images, -1)
        b = chunk.vectors(self.b, self.epilogue.dtype, "b").reshape(chunk.images, -1)
        return self.epilogue([a, b])


def add(state: PlanState, i: Instruction, _: int) -> Write:
    a, b, out = _operands(state, i)
    exact = epilogue(
        [_single(i["ma"]), _single(i["mb"])], _single(i["bias"]), rounding(i), [magnitude(a), magnitude(b)]
    )
    return Write(out, Add(a, b, exact), i["low"], i["high"])


@dataclass(frozen=True)
class Mul:
    """Product of two streams less their zero points, in a type exact for it."""

    a: StreamState
    b: StreamState
    zeros: tuple[int, int]
    dtype: np.dtype[Any]
    epilogue: Epilogue

    def __call__(self, chunk: Chunk) -> Array:
        a = chunk.vectors(self.a, self.dtype, "a").reshape(chunk.images, -1)
        b = chunk.vectors(self.b, self.dtype, "b").reshape(chunk.images, -1)
        a -= self.zeros[0]
        b -= self.zeros[1]
        a *= b
        return self.epilogue([a])


def mul(state: PlanState, i: Instruction, _: int) -> Write:
    a, b, out = _operands(state, i)
    bound = (magnitude(a) + abs(i["za"])) * (magnitude(b) + abs(i["zb"]))
    exact = epilogue([_single(i["m"])], _single(i["bias"]), rounding(i), [bound])
    return Write(out, Mul(a, b, (i["za"], i["zb"]), exact_type(bound), exact), i["low"], i["high"])


@dataclass(frozen=True)
class Lut:
    """Table look-up; the table's first entry stands for the code `first`."""

    source: StreamState
    table: Array
    first: int

    def __call__(self, chunk: Chunk) -> Array:
        codes = chunk.vectors(self.source, INT64)
        if codes.size:
            checks.entry(int(codes.min()), self.first, len(self.table))
            checks.entry(int(codes.max()), self.first, len(self.table))
        entries: Array = self.table[codes - self.first]
        return entries


def lut(state: PlanState, i: Instruction, _: int) -> Write:
    source, out = state.source(i["in"]), state.out(i["out"])
    table = state.constant(i["table"], i.choice("type"), i["entries"])
    checks.count("the output", out.elements, source.elements)
    return Write(out, Lut(source, table, i["first"]), int(table.min(initial=0)), int(table.max(initial=0)))


@dataclass(frozen=True)
class Softmax:
    """Exponentials from a table, each divided by their sum over the vector; all of it fits int64."""

    source: StreamState
    table: Array
    numerator: int
    zero: int
    low: int
    high: int

    def __call__(self, chunk: Chunk) -> Array:
        codes = chunk.vectors(self.source, INT64)
        if not codes.size:
            return codes
        below = codes.max(axis=2, keepdims=True).view(np.uint64) - codes.view(np.uint64)
        e = self.table[np.minimum(below, len(self.table) - 1).astype(np.intp)]
        quotients = half_even(e * self.numerator, e.sum(axis=2, keepdims=True))
        results: Array = np.clip(quotients + self.zero, self.low, self.high)
        return results


def softmax(state: PlanState, i: Instruction, _: int) -> Write:
    source, out = state.source(i["in"]), state.out(i["out"])
    table = state.constant(i["table"], "i32", i["entries"])
    if (table < 0).any() or not table[:1].all():
        checks.exponentials(table.tolist())
    checks.count("the output", out.elements, source.elements)
    compute = Softmax(source, table.astype(np.int64), i["numerator"], i["zero"], i["low"], i["high"])
    return Write(out, compute, i["low"], i["high"])


@dataclass(frozen=True)
class Move:
    """The elements as they are; all inputs are read before any output is written, so overlapping streams are fine."""

    source: StreamState
    dtype: np.dtype[Any]

    def __call__(self, chunk: Chunk) -> Array:
        return chunk.vectors(self.source, self.dtype)


def move(state: PlanState, i: Instruction, _: int) -> Write:
    source, out = state.source(i["in"]), state.out(i["out"])
    checks.count("the output", out.elements, source.elements)
    return Write(out, Move(source, integer_type(source)), *_reach(source))


@dataclass(frozen=True)
class Select:
    """One of two streams, element by element."""

    c: StreamState
    a: StreamState
    b: StreamState
    zero: int

    def __call__(self, chunk: Chunk) -> Array:
        c, a, b = (chunk.vectors(s, INT64, name).reshape(chunk.images, -1) for s, name in self._streams())
        return np.where(c != self.zero, a, b)

    def _streams(self) -> tuple[tuple[StreamState, str], ...]:
        return ((self.c, "c"), (self.a, "a"), (self.b, "b"))


def select(state: PlanState, i: Instruction, _: int) -> Write:
    c, a, b, out = (*(state.source(i[name]) for name in "cab"), state.out(i["out"]))
    checks.count("the first choice", a.elements, c.elements)
    checks.count("the second choice", b.elements, c.elements)
    checks.count("the output", out.elements, c.elements)
    bounds = [bound for stream in (a, b) for bound in _reach(stream)]
    return Write(out, Select(c, a, b, i["zero"]), min(bounds), max(bounds))


@dataclass(frozen=True)
class Value:
    """One value in every element, the same for all images."""

    value: int
    elements: int

    def __call__(self, chunk: Chunk) -> Array:
        return np.broadcast_to(np.int64(self.value), (chunk.images, self.elements))


def constant(out: StreamState, value: int) -> Write:
    """Return a write of one value known beforehand to every element of `out`."""
    return Write(out, Value(value, out.elements), value, value)


def fill(state: PlanState, i: Instruction, _: int) -> Write:
    return constant(state.out(i["out"]), i["value"])


@dataclass(frozen=True)
class Pick:
    """Vectors by number within groups of vectors."""

    source: StreamState
    group: int
    numbers: Array
    dtype: np.dtype[Any]

    def __call__(self, chunk: Chunk) -> Array:
        vectors = chunk.vectors(self.source, self.dtype)
        groups = vectors.reshape(len(vectors), -1, self.group, self.source.length)
        picked: Array = groups[:, :, self.numbers]
        return picked


def pick(state: PlanState, i: Instruction, _: int) -> Write:
    source, out, group = state.source(i["in"]), state.out(i["out"]), i["group"]
    table = state.constant(i["table"], "i32", i["entries"])
    checks.picks(table.tolist(), group)
    checks.count("the last group", source.vectors % group, 0)
    checks.count("the output", out.elements, source.vectors // group * len(table) * source.length)
    return Write(out, Pick(source, group, table.astype(np.intp), integer_type(source)), *_reach(source))


@dataclass(frozen=True)
class Argmax:
    """Place of the largest or smallest element of each vector."""

    source: StreamState
    smallest: bool
    last: bool

    def __call__(self, chunk: Chunk) -> Array:
        codes = chunk.vectors(self.source, INT64)
        find = np.argmin if self.smallest else np.argmax
        places: Array = find(codes[:, :, ::-1] if self.last else codes, axis=2)
        return self.source.length - 1 - places if self.last else places


def argmax(state: PlanState, i: Instruction, _: int) -> Write:
    source, out = state.source(i["in"]), state.out(i["out"])
    checks.count("the output", out.elements, source.vectors)
    compute = Argmax(source, i.choice("which") == "smallest", i.choice("tie") == "last")
    return Write(out, compute, 0, source.length - 1)


@dataclass(frozen=True)
class Div:
    """Quotient of two streams.

    A double quotient n / d rounds like the exact one: where it is no half, n / (d 2^k) differs from every half by at
    least 1 / (2 d 2^k), and the division changes it by at most n / (d 2^k) 2^-53, which is less for n < 2^52.
    """

    a: StreamState
    b: StreamState
    facts: Instruction

    def __call__(self, chunk: Chunk) -> Array:
        i = self.facts
        a = chunk.vectors(self.a, INT64, "a").reshape(chunk.images, -1)
        b = chunk.vectors(self.b, INT64, "b").reshape(chunk.images, -1)
        dividend, divisor = self._dividend(a).astype(np.float64), (b.astype(np.float64) - i["zb"])
        with np.errstate(divide="ignore", invalid="ignore"):
            rounded = np.rint(dividend / divisor * 2.0 ** -i["shift"]) + i["zero"]
        ends = np.where(dividend > 0, i["high"], np.where(dividend < 0, i["low"], i["zero"]))
        results: Array = np.clip(np.where(divisor == 0, ends, rounded), i["low"], i["high"])
        return results

    def _dividend(self, a: Array) -> Array:
        i = self.facts
        if (magnitude(self.a) + abs(i["za"])) * abs(i["m"]) < ACCUMULATOR_LIMIT:
            exact: Array = (a - i["za"]) * i["m"]
            return exact
        products: Array = (as_integers(a) - i["za"]) * i["m"]
        if products.size and np.abs(products).max() >= ACCUMULATOR_LIMIT:
            raise Trap("CIM0515", f"a dividend reaches 2^{ACCUMULATOR_BITS}", "a smaller multiplier would help")
        return products


def div(state: PlanState, i: Instruction, _: int) -> Write:
    a, b, out = _operands(state, i)
    return Write(out, Div(a, b, i), i["low"], i["high"])


def _reach(source: StreamState) -> tuple[int, int]:
    """Return the lowest and the highest value that a stream yields, padding included."""
    fill = source.window.fill if source.window else source.lowest
    return min(source.lowest, fill), max(source.highest, fill)


def integer_type(source: StreamState) -> np.dtype[Any]:
    """Return the stream's own type, or int64 where its padding code does not fit it."""
    fits = source.window is None or source.lowest <= source.window.fill <= source.highest
    return DTYPES[source.type] if fits else INT64


def _operands(state: PlanState, i: Instruction) -> tuple[StreamState, StreamState, StreamState]:
    a, b, out = state.source(i["a"]), state.source(i["b"]), state.out(i["out"])
    checks.count("the second operand", b.elements, a.elements)
    checks.count("the output", out.elements, a.elements)
    return a, b, out


def _single(value: int) -> Array:
    return np.array([value], INT64)


BUILDERS: Mapping[str, Builder] = {
    "affine": affine,
    "add": add,
    "mul": mul,
    "lut": lut,
    "softmax": softmax,
    "move": move,
    "fill": fill,
    "select": select,
    "pick": pick,
    "argmax": argmax,
    "div": div,
}
