"""Between real values and codes, in double: the arithmetic that every level shares."""

from cimc.evaluate.bounds import SINGLE
from cimc.evaluate.builder import Builder
from cimc.ir.types import CodeType


def quantise(b: Builder, x: str, code: CodeType, limits: tuple[int, int] | None = None) -> str:
    """Return clip(round(x / scale) + zero) of a float32 tensor, half to even; `limits` default to all codes."""
    ratio = b.node("Div", b.to_double(x), b.double(code.scale.data))
    shifted = _plus(b, b.node("Round", ratio), code.zero.data)
    return _codes(b, shifted, *(limits or (code.low.data, code.high.data)))


def dequantise(b: Builder, x: str, code: CodeType) -> str:
    """Return float32((code - zero) * scale), the product in double."""
    return b.to_single(b.node("Mul", _plus(b, b.to_double(x), -code.zero.data), b.double(code.scale.data)))


def rescale(b: Builder, total: str, shift: int, low: int, high: int) -> str:
    """Return clip(round(total / 2^shift)) of a double tensor of integers, as codes."""
    return _codes(b, b.node("Round", b.node("Mul", total, b.double(2.0**-shift))), low, high)


def _codes(b: Builder, rounded: str, low: int, high: int) -> str:
    """Return integers within low..high as a tensor of codes: float32, or double where that does not hold them."""
    clipped = clip(b, rounded, low, high)
    return b.to_single(clipped) if max(-low, high) <= SINGLE else clipped


def clip(b: Builder, x: str, low: int, high: int) -> str:
    """Return the double tensor x within low..high."""
    return b.node("Clip", x, b.double(low), b.double(high))


def _plus(b: Builder, x: str, amount: int) -> str:
    return b.node("Add", x, b.double(amount)) if amount else x
