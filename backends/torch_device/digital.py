"""The digital unit on a device: windows, and element by element."""

import numpy as np
import torch
from torch import Tensor

from cimc.backends.plan.digital import Add, Affine, Lut, Move, Mul, Select, Softmax, Value
from cimc.backends.plan.windows import Depthwise, PoolMax, PoolSum
from cimc.backends.torch_device.exact import float_type, half_even, tensor_epilogue
from cimc.backends.torch_device.memory import Compute, Layout, Memory
from cimc.isa.streams import StreamState

BY_TAP = (1, 0, 2)


def depthwise(compute: Depthwise, layout: Layout) -> Compute:
    """Return the device form of one small product per channel."""
    source, epilogue = layout.source(compute.source, BY_TAP), tensor_epilogue(compute.epilogue, layout)
    dtype, (taps, channels, multiplier) = float_type(compute.weights.dtype), compute.weights.shape
    weights = layout.tensor(compute.weights[..., None])
    vectors = compute.source.vectors

    def results(memory: Memory) -> Tensor:
        inputs = source.read(memory).view(taps, vectors, channels, 1, memory.images)
        shape = (vectors, channels, multiplier, memory.images)
        total = torch.zeros(shape, dtype=dtype, device=layout.device)
        for values, weight in zip(inputs, weights, strict=True):
            total.addcmul_(values.to(dtype), weight)
        return epilogue([total.flatten(1, 2)])

    return results


def poolmax(compute: PoolMax, layout: Layout) -> Compute:
    """Return the device form of the largest element under each window."""
    source, shape = layout.source(compute.source, BY_TAP), _taps(compute.source)

    def results(memory: Memory) -> Tensor:
        return source.read(memory).reshape(*shape, memory.images).amax(0).long().clamp_(compute.low, compute.high)

    return results


def poolsum(compute: PoolSum, layout: Layout) -> Compute:
    """Return the device form of the sum under each window."""
    source, epilogue = layout.source(compute.source, BY_TAP), tensor_epilogue(compute.epilogue, layout)
    dtype, shape = float_type(compute.dtype), _taps(compute.source)
    return lambda memory: epilogue([source.read(memory).reshape(*shape, memory.images).sum(0, dtype=dtype)])


def _taps(state: StreamState) -> tuple[int, int, int]:
    """Return the numbers of taps, vectors and channels of a window."""
    assert state.window
    return state.window.taps, state.vectors, state.shape[3]


def affine(compute: Affine, layout: Layout) -> Compute:
    """Return the device form of elements times and plus tables that repeat along the stream."""
    source, epilogue = layout.source(compute.source), tensor_epilogue(compute.epilogue, layout)
    period = len(compute.epilogue.offsets)
    return lambda memory: epilogue([source.read(memory).reshape(-1, period, memory.images)])


def add(compute: Add, layout: Layout) -> Compute:
    """Return the device form of a weighted sum of two streams."""
    a, b, epilogue = layout.source(compute.a), layout.source(compute.b), tensor_epilogue(compute.epilogue, layout)
    return lambda memory: epilogue([a.read(memory), b.read(memory)])


def mul(compute: Mul, layout: Layout) -> Compute:
    """Return the device form of the product of two streams less their zero points."""
    a, b, epilogue = layout.source(compute.a), layout.source(compute.b), tensor_epilogue(compute.epilogue, layout)
    dtype, (za, zb) = float_type(compute.dtype), compute.zeros
    return lambda memory: epilogue([(a.read(memory).to(dtype) - za) * (b.read(memory).to(dtype) - zb)])


def lut(compute: Lut, layout: Layout) -> Compute:
    """Return the device form of a table look-up."""
    source, table = layout.source(compute.source), layout.tensor(compute.table.astype(np.int64))
    first, last = compute.first, compute.first + len(compute.table) - 1

    def results(memory: Memory) -> Tensor:
        codes = source.read(memory)
        memory.require(codes, first, last)
        return table[codes.long().clamp(first, last) - first]

    return results


def softmax(compute: Softmax, layout: Layout) -> Compute:
    """Return the device form of exponentials from a table, each divided by their sum over the vector."""
    source, table = layout.source(compute.source), layout.tensor(compute.table)
    shape, last = (compute.source.vectors, compute.source.length), len(compute.table) - 1

    def results(memory: Memory) -> Tensor:
        codes = source.read(memory).long().reshape(*shape, memory.images)
        below = codes.amax(1, keepdim=True) - codes
        e = table[torch.where(below < 0, last, below.clamp(max=last))]  # a difference of 2^63 or more wraps
        quotients = half_even(e * compute.numerator, e.sum(1, keepdim=True))
        return (quotients + compute.zero).clamp_(compute.low, compute.high)

    return results


def move(compute: Move, layout: Layout) -> Compute:
    """Return the device form of a copy: all is read before anything is written."""
    source = layout.source(compute.source)
    return lambda memory: source.read(memory).clone()


def select(compute: Select, layout: Layout) -> Compute:
    """Return the device form of one of two streams, element by element."""
    c, a, b = (layout.source(state) for state in (compute.c, compute.a, compute.b))
    return lambda memory: torch.where(c.read(memory).long() != compute.zero, a.read(memory), b.read(memory))


def value(compute: Value, layout: Layout) -> Compute:
    """Return the device form of one value in every element."""
    shape = (compute.elements, 1)
    constant = torch.full(shape, compute.value, dtype=torch.int64, device=layout.device)
    return lambda memory: constant.expand(-1, memory.images)
