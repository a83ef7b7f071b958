"""Code types for real ranges: how many codes, where zero lies, what a step is worth."""

from cimc.ir.types import CodeType

BYTE = 8
"""Bits of the codes that the digital unit reads at least, and that take a byte of activation memory."""
WIDE_BITS = 16
"""The widest codes that activation memory holds."""
FINEST = 1 << 15
"""How much finer than its operands' codes a sum's may be: one step of theirs then is all the positive 16-bit codes."""


def input_type(low: float, high: float, bits: int) -> CodeType:
    """Return codes that spend all steps on low..high, the zero point wherever 0 then lies: for a model's inputs."""
    top = (1 << (bits - 1)) - 1
    scale = (high - low) / (2 * top)
    return CodeType.of(bits, -top, top, min(max(-top - round(low / scale), -top), top), scale)


def code_type(low: float, high: float, bits: int, offset: bool) -> CodeType:
    """Return codes for real values low..high, symmetric or, where the range is one-sided, as `offset` says."""
    top = (1 << (bits - 1)) - 1
    if low < 0.0 < high:
        return CodeType.of(bits, -top, top, 0, max(-low, high) / top)
    span = max(-low, high)
    if offset:
        return CodeType.of(bits, -top, top, -top if low >= 0.0 else top, span / (2 * top))
    return CodeType.of(bits, 0 if low >= 0.0 else -top, top if low >= 0.0 else 0, 0, span / top)


def bounds(code: CodeType) -> tuple[float, float]:
    """Return the real values of the lowest and the highest code."""
    return (code.low.data - code.zero.data) * code.scale.data, (code.high.data - code.zero.data) * code.scale.data


def narrowed(code: CodeType, bits: int, offset: bool) -> CodeType:
    """Return codes for the same real range with fewer bits."""
    return code_type(*bounds(code), bits, offset)


def no_finer(code: CodeType, operand_scale: float) -> CodeType:
    """Return codes at most 2^15 times finer than the codes they are computed from: nothing finer can come of them."""
    bits, low, high, zero = (part.data for part in (code.bits, code.low, code.high, code.zero))
    return CodeType.of(bits, low, high, zero, max(code.scale.data, operand_scale / FINEST))


def whole_type(low: float, high: float, bits: int) -> CodeType | None:
    """Return codes of scale 1, which hold integers exactly, or None where low..high exceeds 16 bits."""
    reach = max(-low, high)
    needed = next((width for width in (bits, WIDE_BITS) if reach <= (1 << (width - 1)) - 1), None)
    if needed is None:
        return None
    top = (1 << (needed - 1)) - 1
    return CodeType.of(needed, -top if low < 0.0 else 0, top if high > 0.0 or low >= 0.0 else 0, 0, 1.0)


def mirrored(code: CodeType) -> CodeType:
    """Return the codes of the negated values: every code is its negative, nothing is rounded."""
    bits, low, high, zero = (part.data for part in (code.bits, code.low, code.high, code.zero))
    return CodeType.of(bits, -high, -low, -zero, code.scale.data)


def with_value(code: CodeType, value: float) -> CodeType:
    """Return codes that also hold `value`, with the same number of bits."""
    scale, zero = code.scale.data, code.zero.data
    if (code.low.data - zero) * scale <= value <= (code.high.data - zero) * scale:
        return code
    low, high = min((code.low.data - zero) * scale, value), max((code.high.data - zero) * scale, value)
    return code_type(low, high, code.bits.data, offset=zero != 0)
