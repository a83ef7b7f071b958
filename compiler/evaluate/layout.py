"""Shapes of lowered values: batch first, then the per-sample axes of the IR."""

from collections.abc import Sequence

from cimc.evaluate.builder import Builder


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
