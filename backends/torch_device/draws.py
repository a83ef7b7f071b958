"""Addressed random words and normal variables on a device: the numbers of philox.py and gaussian.py.

torch has 64-bit integers with a sign only. Sums and products wrap as those without one, and a shift to the right is
masked.
"""

from functools import cache

import torch
from torch import Tensor

from cimc.backends.noise import gaussian, philox
from cimc.backends.noise.draws import in_phase
from cimc.backends.plan.moving import way
from cimc.backends.plan.read_noise import Address
from cimc.backends.torch_device.memory import Memory

HALF = (1 << 32) - 1
BLOCKS = {"cpu": 1 << 13, "cuda": 1 << 22}
"""Blocks of words that are in work at a time: what suits a cache, or memory."""


def normals(address: Address, purpose: int, memory: Memory, vectors: int) -> Tensor:
    """Return normal variables [columns, vectors, images] in units of 2^-16, as doubles."""
    samples, occurrence = memory.samples, address.occurrence + way(address.steps, memory.turns)
    first, last = address.columns.start // philox.DRAWS, -(-address.columns.stop // philox.DRAWS)
    skipped = address.columns.start - first * philox.DRAWS
    device = samples.device
    index = torch.arange(first, last, device=device)[:, None, None]
    size = len(address.columns), vectors, len(samples)
    result = torch.empty(size, dtype=torch.float64, device=device)
    step = max(BLOCKS[device.type] // ((last - first) * len(samples)), 1)
    for start in range(0, vectors, step):
        positions = torch.arange(start, min(start + step, vectors), device=device)[:, None]
        last_word = _signed(in_phase(purpose, address.phase) | address.stream << 32)
        words = _words((index, positions + (occurrence << 32), samples, last_word), address.seed)
        result[:, start : start + step] = normal_variables(words[skipped : skipped + size[0]])
    return result


def _words(counter: tuple[Tensor, Tensor, Tensor, int], seed: int) -> Tensor:
    """Return the 32-bit words [8 * blocks, vectors, samples] at counters whose parts broadcast, key (seed, 0)."""
    a, b, c, d = counter
    for i in range(philox.ROUNDS):
        k, m = (_signed(key + i * step) for key, step in zip((seed, 0), philox.STEPS, strict=True))
        (high0, low0), (high1, low1) = _product(philox.MULTIPLIERS[0], a), _product(philox.MULTIPLIERS[1], c)
        a, b, c, d = high1 ^ b ^ k, low1, high0 ^ d ^ m, low0
    halves = [half for word in (a, b, c, d) for half in (word & HALF, word >> 32 & HALF)]
    return torch.stack(torch.broadcast_tensors(*halves), dim=1).flatten(0, 1)


def _product(constant: int, values: Tensor) -> tuple[Tensor, Tensor]:
    """Return the high and low 64 bits of a constant times values, all without sign."""
    low, high = constant & HALF, constant >> 32
    value_low, value_high = values & HALF, values >> 32 & HALF
    middle = high * value_low + (low * value_low >> 32 & HALF)
    other = low * value_high + (middle & HALF)
    return high * value_high + (middle >> 32 & HALF) + (other >> 32 & HALF), values * _signed(constant)


def _signed(word: int) -> int:
    """Return the number with a sign whose 64 bits are those of a word."""
    word &= philox.MASK
    return word - (1 << 64) if word >> 63 else word


def normal_variables(words: Tensor) -> Tensor:
    """Return the variables of 32-bit words held in int64, as gaussian.of_words does."""
    start, fall = _cells(words.device)
    bits = (words & gaussian.MAGNITUDE).clamp_(min=1).double().view(torch.int64)
    cell = (bits >> gaussian.DOUBLE_CELL) - gaussian.FIRST
    rest = bits >> gaussian.DOUBLE_REST & ((1 << gaussian.INTERPOLATION_BITS) - 1)
    magnitude = start[cell] - (fall[cell] * rest + gaussian.HALF >> gaussian.INTERPOLATION_BITS)
    return torch.where(words >> 31 > 0, -magnitude, magnitude)


@cache
def _cells(device: torch.device) -> tuple[Tensor, Tensor]:
    first, fall = gaussian.cells()
    return torch.tensor(first, device=device), torch.tensor(fall, device=device)
