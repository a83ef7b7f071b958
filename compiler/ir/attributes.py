"""Short constructors and readers for the builtin attributes our dialects use.

Making one costs more than finding it again: those of numbers and text, which equal ones can stand for, are kept.
"""

from collections.abc import Iterable
from functools import lru_cache

from xdsl.dialects.builtin import (
    DenseArrayBase,
    Float64Type,
    FloatAttr,
    IntAttr,
    IntegerAttr,
    IntegerType,
    StringAttr,
    f64,
    i64,
)

Ints = DenseArrayBase[IntegerType]
Integer = IntegerAttr
Floats = DenseArrayBase[Float64Type]
Real = FloatAttr
Text = StringAttr
KEPT = 1 << 16


def ints(values: Iterable[int]) -> Ints:
    return _ints(tuple(int(value) for value in values))


@lru_cache(KEPT)
def _ints(values: tuple[int, ...]) -> Ints:
    return DenseArrayBase.from_list(i64, values)


def floats(values: Iterable[float]) -> Floats:
    return DenseArrayBase.from_list(f64, [float(value) for value in values])


def integer(value: int) -> Integer:
    return _integer(int(value))


@lru_cache(KEPT)
def _integer(value: int) -> Integer:
    return IntegerAttr(value, i64)


@lru_cache(KEPT)
def whole(value: int) -> IntAttr:
    """Return an integer as a parameter of a type."""
    return IntAttr(value)


def integers(**values: int) -> dict[str, Integer]:
    """Return properties that are single integers, by name."""
    return {name: integer(value) for name, value in values.items()}


def real(value: float) -> Real:
    return _real(float(value).hex())


@lru_cache(KEPT)
def _real(value: str) -> Real:
    """Return a number by its bits: 0 and -0 are equal, and not the same."""
    return FloatAttr(float.fromhex(value), f64)


@lru_cache(KEPT)
def text(value: str) -> Text:
    return StringAttr(value)


def int_values(attribute: Ints | None) -> tuple[int, ...]:
    """Return the integers of a dense array; empty where the attribute is left out."""
    return () if attribute is None else tuple(int(value) for value in attribute.get_values())


def float_values(attribute: Floats | None) -> tuple[float, ...]:
    """Return the floats of a dense array; empty where the attribute is left out."""
    return () if attribute is None else tuple(float(value) for value in attribute.get_values())


def int_value(attribute: Integer) -> int:
    return int(attribute.value.data)


def float_value(attribute: Real) -> float:
    return float(attribute.value.data)
