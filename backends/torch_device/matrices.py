"""The digital unit on a device, matrix by matrix and vector by vector."""

import numpy as np
import torch
from torch import Tensor

from cimc.backends.plan.digital import INT64
from cimc.backends.plan.matrices import LARGEST_SHIFT, Embed, MatMul, Norm
from cimc.backends.torch_device.exact import float_type, half_even, square_root, tensor_epilogue
from cimc.backends.torch_device.memory import Compute, Layout, Memory, Unsuitable
from cimc.isa.limits import NORM_BITS, ROOT_LIMIT


def matmul(compute: MatMul, layout: Layout) -> Compute:
    """Return the device form of stacks of matrix products."""
    a, b, epilogue = layout.source(compute.a), layout.source(compute.b), tensor_epilogue(compute.epilogue, layout)
    dtype, (za, zb), left, right = float_type(compute.dtype), compute.zeros, compute.a.shape, compute.b.shape

    def results(memory: Memory) -> Tensor:
        factors = a.read(memory).to(dtype) - za, b.read(memory).to(dtype) - zb
        stacks = (v.reshape(*shape, memory.images) for v, shape in zip(factors, (left, right), strict=True))
        return epilogue([torch.einsum("abikn,abjkn->abijn", *stacks)])

    return results


def norm(compute: Norm, layout: Layout) -> Compute:
    """Return the device form of vectors less their mean, over the root of their variance."""
    if compute.dtype != INT64:
        raise Unsuitable
    source, epilogue = layout.source(compute.source), tensor_epilogue(compute.epilogue, layout)
    shape, n = (compute.source.vectors, compute.source.length), compute.source.length
    thresholds = layout.tensor(ROOT_LIMIT >> 2 * np.arange(1, LARGEST_SHIFT + 1, dtype=np.int64))

    def results(memory: Memory) -> Tensor:
        u = source.read(memory).long().reshape(*shape, memory.images) - compute.zero
        s = u.sum(1, keepdim=True) * compute.centred
        spread = (n * (u * u).sum(1, keepdim=True) - s * s) << 2 * compute.fraction
        w = (spread + compute.epsilon).clamp_(min=1)
        power = 1 << (w[..., None] < thresholds).sum(-1)
        h = half_even((n * u - s) * (power << NORM_BITS + compute.fraction), _integer_roots(w * power * power))
        return epilogue([h])

    return results


def _integer_roots(values: Tensor) -> Tensor:
    """Return the integer square roots of int64 values below 2^62; double is off by one at most."""
    root = square_root(values.double()).long()
    root -= (root * root > values).long()
    return root + ((root + 1) * (root + 1) <= values)


def embed(compute: Embed, layout: Layout) -> Compute:
    """Return the device form of rows of a table by code."""
    source, table = layout.source(compute.source), layout.tensor(compute.table.astype(np.int64))
    first, last = compute.first, compute.first + len(compute.table) - 1

    def results(memory: Memory) -> Tensor:
        codes = source.read(memory)
        memory.require(codes, first, last)
        return table[codes.long().clamp(first, last) - first].transpose(1, 2)

    return results
