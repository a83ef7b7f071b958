"""The digital unit over windows: depthwise convolution, maximum and sum pooling over a chunk of images."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from cimc.backends.machine import checks
from cimc.backends.plan.digital import INT64, integer_type
from cimc.backends.plan.exact import Epilogue, epilogue, exact_type
from cimc.backends.plan.memory import Array, Chunk
from cimc.backends.plan.state import Builder, PlanState, Write, magnitude, rounding
from cimc.isa.program import Instruction
from cimc.isa.streams import StreamState


@dataclass(frozen=True)
class Depthwise:
    """One small product per channel: weights [taps, channels, multiplier] in a type exact for the sums."""

    source: StreamState
    weights: Array
    epilogue: Epilogue

    def __call__(self, chunk: Chunk) -> Array:
        shape = (chunk.images, self.source.vectors, *self.weights.shape[1:])
        total = chunk.buffer("total", shape, self.weights.dtype)
        product = chunk.buffer("product", shape, self.weights.dtype)
        total[...] = 0
        for tap, weight in zip(chunk.taps(self.source, self.weights.dtype), self.weights, strict=True):
            np.multiply(tap[..., None], weight, out=product.reshape(*tap.shape, shape[3]))
            total += product
        return self.epilogue([total.reshape(*shape[:2], len(self.epilogue.offsets))])


def depthwise(state: PlanState, i: Instruction, _: int) -> Write:
    source, out = state.window(i["in"]), state.out(i["out"])
    channels, outputs = source.shape[3], source.shape[3] * i["multiplier"]
    weights = state.taps(i, source.length * i["multiplier"]).astype(np.int64)
    multipliers, offsets = state.multipliers(i["scale"], outputs), state.biases(i["bias"], outputs)
    checks.count("the output", out.elements, source.vectors * outputs)
    weights = weights.reshape(source.window.taps if source.window else 0, channels, i["multiplier"])
    bound = int(np.abs(weights).sum(axis=0).max(initial=0)) * magnitude(source)
    exact = epilogue([multipliers], offsets, rounding(i), [bound])
    return Write(out, Depthwise(source, weights.astype(exact_type(bound)), exact), i["low"], i["high"])


@dataclass(frozen=True)
class PoolMax:
    """The largest element under each window."""

    source: StreamState
    dtype: np.dtype[Any]
    low: int
    high: int

    def __call__(self, chunk: Chunk) -> Array:
        taps = chunk.taps(self.source, self.dtype)
        first = next(taps)
        largest = chunk.buffer("largest", first.shape, self.dtype)
        np.copyto(largest, first)
        for tap in taps:
            np.maximum(largest, tap, out=largest)
        return np.clip(largest, self.low, self.high, out=largest)


def poolmax(state: PlanState, i: Instruction, _: int) -> Write:
    source, out = state.window(i["in"]), state.out(i["out"])
    checks.count("the output", out.elements, source.vectors * source.shape[3])
    reachable = i["low"] <= source.highest and i["high"] >= source.lowest
    dtype = integer_type(source) if reachable else INT64
    limits = np.iinfo(dtype)
    compute = PoolMax(source, dtype, max(i["low"], int(limits.min)), min(i["high"], int(limits.max)))
    return Write(out, compute, i["low"], i["high"])


@dataclass(frozen=True)
class PoolSum:
    """The sum under each window, summed in a type exact for it."""

    source: StreamState
    dtype: np.dtype[Any]
    epilogue: Epilogue

    def __call__(self, chunk: Chunk) -> Array:
        shape = (chunk.images, self.source.vectors, self.source.shape[3])
        total = chunk.buffer("total", shape, self.dtype)
        total[...] = 0
        if total.size:
            for tap in chunk.taps(self.source, self.dtype):
                total += tap.reshape(shape)
        return self.epilogue([total])


def poolsum(state: PlanState, i: Instruction, _: int) -> Write:
    source, out = state.window(i["in"]), state.out(i["out"])
    entries = source.vectors if i.choice("per") == "position" else 1
    multipliers, offsets = state.multipliers(i["scale"], entries), state.biases(i["bias"], entries)
    checks.count("the output", out.elements, source.vectors * source.shape[3])
    bound = (source.window.taps if source.window else 0) * magnitude(source)
    exact = epilogue([multipliers[:, None]], offsets[:, None], rounding(i), [bound])
    return Write(out, PoolSum(source, exact_type(bound), exact), i["low"], i["high"])


BUILDERS: Mapping[str, Builder] = {
    "depthwise": depthwise,
    "poolmax": poolmax,
    "poolsum": poolsum,
}
