"""The digital unit matrix by matrix and vector by vector: matmul, norm and embed over a chunk of images."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isqrt
from typing import Any

import numpy as np

from cimc.backends.machine import checks
from cimc.backends.plan.exact import OBJECT, Epilogue, as_integers, epilogue, exact_type, half_even
from cimc.backends.plan.memory import Array, Chunk
from cimc.backends.plan.state import Builder, PlanState, Write, magnitude, rounding
from cimc.isa.limits import NORM_BITS, ROOT_BITS, ROOT_LIMIT
from cimc.isa.program import Instruction
from cimc.isa.streams import StreamState

INT64 = np.dtype(np.int64)
LARGEST_SHIFT = (ROOT_BITS - 1) // 2
"""W * 4^t stays below the limit for t up to this, W being at least 1."""


@dataclass(frozen=True)
class MatMul:
    """Stacks of matrix products, the sums in a type exact for them."""

    a: StreamState
    b: StreamState
    zeros: tuple[int, int]
    dtype: np.dtype[Any]
    epilogue: Epilogue

    def __call__(self, chunk: Chunk) -> Array:
        a, b = (self._matrices(chunk, stream, name) for stream, name in ((self.a, "a"), (self.b, "b")))
        a -= self.zeros[0]
        b -= self.zeros[1]
        return self.epilogue([np.matmul(a, b.swapaxes(-1, -2))])

    def _matrices(self, chunk: Chunk, stream: StreamState, name: str) -> Array:
        if self.dtype == OBJECT:
            return as_integers(chunk.vectors(stream, INT64, name)).reshape(chunk.images, *stream.shape)
        return chunk.vectors(stream, self.dtype, name).reshape(chunk.images, *stream.shape)


def matmul(state: PlanState, i: Instruction, _: int) -> Write:
    a, b, out = state.source(i["a"]), state.source(i["b"]), state.out(i["out"])
    checks.products(a, b, out)
    state.largest = max(state.largest, out.elements)
    bound = max(a.length, 1) * (magnitude(a) + abs(i["za"])) * (magnitude(b) + abs(i["zb"]))
    exact = epilogue([np.array([i["m"]])], np.array([i["bias"]]), rounding(i), [bound])
    return Write(out, MatMul(a, b, (i["za"], i["zb"]), exact_type(bound), exact), i["low"], i["high"])


@dataclass(frozen=True)
class Norm:
    """Vectors less their mean, over the root of their variance: `dtype` is int64, or object for Python integers."""

    source: StreamState
    centred: bool
    zero: int
    fraction: int
    epsilon: int
    dtype: np.dtype[Any]
    epilogue: Epilogue

    def __call__(self, chunk: Chunk) -> Array:
        u = chunk.vectors(self.source, INT64).astype(self.dtype) - self.zero
        n = u.shape[2]
        if not u.size:
            return u
        s = u.sum(axis=2, keepdims=True) if self.centred else 0
        spread = (n * (u * u).sum(axis=2, keepdims=True) - s * s) << 2 * self.fraction
        w = np.maximum(spread + self.epsilon, 1)
        checks.variance(int(w.max()))
        t = _shifts(w)
        power = np.left_shift(1, t)
        root = square_roots(w.astype(INT64) * power * power)
        h = half_even((n * u - s) * (power << NORM_BITS + self.fraction), root)
        return self.epilogue([h.astype(INT64)])


def norm(state: PlanState, i: Instruction, _: int) -> Write:
    source, out = state.source(i["in"]), state.out(i["out"])
    n = source.length
    epsilon = int(state.constant(i["epsilon"], "i64", 1)[0])
    checks.epsilon(epsilon)
    scales, biases = state.multipliers(i["scale"], n), state.biases(i["bias"], n)
    checks.count("the output", out.elements, source.elements)
    sums = ((n * (magnitude(source) + abs(i["zero"]))) ** 2 << 2 * i["fraction"]) + epsilon
    exact = epilogue([scales], biases, rounding(i), [(isqrt(n) + 2) << NORM_BITS])
    dtype = INT64 if sums < ROOT_LIMIT else OBJECT
    compute = Norm(source, i.choice("centre") == "mean", i["zero"], i["fraction"], epsilon, dtype, exact)
    return Write(out, compute, i["low"], i["high"])


def _shifts(w: Array) -> Array:
    """Return the largest t with w * 4^t below ROOT_LIMIT."""
    thresholds = ROOT_LIMIT >> 2 * np.arange(1, LARGEST_SHIFT + 1, dtype=np.int64)
    shifts: Array = (w.astype(INT64) < thresholds).sum(axis=2, keepdims=True)
    return shifts


def square_roots(values: Array) -> Array:
    """Return the integer square roots of int64 values below ROOT_LIMIT.

    Double gives the root of a square below that exactly, and rounds monotonically: one too many at most, none too few.
    """
    root = np.sqrt(values.astype(np.float64)).astype(INT64)
    root -= root * root > values
    return root


@dataclass(frozen=True)
class Embed:
    """Rows of a table by code; the first row stands for the code `first`."""

    source: StreamState
    table: Array
    first: int

    def __call__(self, chunk: Chunk) -> Array:
        codes = chunk.vectors(self.source, INT64)
        if codes.size:
            checks.entry(int(codes.min()), self.first, len(self.table))
            checks.entry(int(codes.max()), self.first, len(self.table))
        rows: Array = self.table[codes.reshape(chunk.images, -1) - self.first]
        return rows


def embed(state: PlanState, i: Instruction, _: int) -> Write:
    source, out, rows = state.source(i["in"]), state.out(i["out"]), i["rows"]
    table = state.constant(i["table"], i.choice("type"), rows * out.length).reshape(rows, out.length)
    checks.count("the output", out.vectors, source.elements)
    state.largest = max(state.largest, out.elements)
    return Write(out, Embed(source, table, i["first"]), int(table.min(initial=0)), int(table.max(initial=0)))


BUILDERS: Mapping[str, Builder] = {
    "matmul": matmul,
    "norm": norm,
    "embed": embed,
}
