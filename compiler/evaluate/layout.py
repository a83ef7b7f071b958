"""Shapes of lowered values: batch first, then the per-sample axes of the IR."""

from collections.abc import Sequence

from xdsl.ir import SSAValue

from cimc.evaluate.builder import Builder
from cimc.ir.types import shape_of


def reshape(b: Builder, x: str, shape: Sequence[int]) -> str:
    """Return x under another per-sample shape."""
    return b.node("Reshape", x, b.ints([0, *shape]))


def transpose(b: Builder, x: str, order: Sequence[int]) -> str:
    """Return x with per-sample axis a taken from axis order[a]."""
    if list(order) == sorted(order):
        return x
    return b.node("Transpose", x, perm=[0, *(axis + 1 for axis in order)])


def channels_first(b: Builder, x: str) -> str:
    return transpose(b, x, (2, 0, 1))


def channels_last(b: Builder, x: str) -> str:
    return transpose(b, x, (1, 2, 0))


def with_rank(b: Builder, x: str, shape: tuple[int, ...], rank: int) -> str:
    """Return x with axes of length one in front, so that values of different ranks broadcast as in numpy."""
    return x if len(shape) == rank else reshape(b, x, (1,) * (rank - len(shape)) + shape)


def swapped(b: Builder, x: str, shape: tuple[int, ...]) -> str:
    """Return x with its last two axes swapped."""
    rank = len(shape)
    return transpose(b, x, (*range(rank - 2), rank - 1, rank - 2))


def repeated(b: Builder, constant: str, shape: Sequence[int]) -> str:
    """Return a constant for every sample of the batch."""
    if b.batch_source is None:
        raise ValueError("a graph of constants has no batch")
    batch = b.node("Shape", b.batch_source, start=0, end=1)
    sizes = b.node("Concat", batch, b.ints(shape), axis=0) if shape else batch
    return b.node("Expand", constant, sizes)


def chosen(b: Builder, operands: Sequence[SSAValue], shape: Sequence[int], zero: int) -> str:
    """Return the second operand where the first differs from `zero`, the third elsewhere."""
    c, left, right = (with_rank(b, b.names[x], shape_of(x), len(shape)) for x in operands)
    return b.node("Where", b.node("Not", b.node("Equal", c, b.single(zero))), left, right)


def pad(b: Builder, x: str, before: Sequence[int], after: Sequence[int], value: float) -> str:
    """Return the float32 tensor x with `value` around it."""
    if not any(before) and not any(after):
        return x
    return b.node("Pad", x, b.ints([0, *before, 0, *after]), b.single(value))


def cut(
    b: Builder, x: str, begin: Sequence[int], count: Sequence[int], step: Sequence[int], first_axis: int = 0
) -> str:
    """Return elements begin, begin + step ... of per-sample axes first_axis on, `count` along each."""
    ends = [_end(at, n, by) for at, n, by in zip(begin, count, step, strict=True)]
    axes = [first_axis + 1 + axis for axis in range(len(ends))]
    return b.node("Slice", x, b.ints(begin), b.ints(ends), b.ints(axes), b.ints(step))


def _end(begin: int, count: int, step: int) -> int:
    end = begin + (count - 1) * step + (1 if step > 0 else -1)
    return end if end >= 0 else -(1 << 62)
