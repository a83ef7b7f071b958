"""Bits of single layers: those of all that nothing has changed, and those that were raised."""

from xdsl.ir import Operation

from cimc.ir.facts import BITS
from cimc.ir.nn import Layer

FULL = 8
"""Bits of weights, and as a layer's bits are told of inputs too, that nothing has lowered or raised."""


def is_raised(bits: tuple[int, int]) -> bool:
    """Return whether bits of a layer's input and of its weights are raised: what lowers leaves one of them below FULL.

    An input that is not in slices counts as FULL, whatever the DAC takes.
    """
    return min(bits) >= FULL < max(bits)


def lowered_weights(layer: Operation) -> int:
    """Return the bits that a layer's weights were lowered to, FULL where they were not."""
    return min((BITS.get(layer) or (FULL, FULL))[1], FULL)


def in_two_matrices(layer: Layer) -> bool:
    """Return whether a layer's weights were raised to bits that take two matrices, a coarse and a fine one."""
    return raised_bits(layer)[1] > FULL and layer.steps is None


def raised_bits(layer: Operation) -> tuple[int, int]:
    """Return the bits that a layer's input and its weights were raised to, FULL where they were not."""
    bits = BITS.get(layer)
    return bits if bits and is_raised(bits) else (FULL, FULL)
