"""Code types made of ranges and of other types, at the edges of what they hold."""

from fractions import Fraction
from itertools import product

import pytest

from cimc.ir.types import CodeType
from cimc.passes.code_types import FINEST, bounds, code_type, mirrored, narrowed, no_finer, whole_type, with_value

EDGES = sorted({sign * (2**n + d) for sign, n, d in product((-1, 1), (7, 15), (-2, -1, 0, 1))} | {-1, 0, 1})


def holds(code: CodeType, value: float) -> bool:
    """Return whether a value is between the lowest and the highest code, exactly."""
    number = Fraction(value) / Fraction(code.scale.data) + code.zero.data
    return code.low.data <= number <= code.high.data


@pytest.mark.parametrize("low", EDGES)
def test_whole_numbers_get_the_narrowest_codes_that_hold_them(low: int) -> None:
    for high in (edge for edge in EDGES if edge >= low):
        code, fitting = whole_type(low, high, 8), [bits for bits in (8, 16) if max(-low, high) < 2 ** (bits - 1)]
        if not fitting:
            assert code is None
            continue
        assert code is not None and (code.bits.data, code.zero.data, code.scale.data) == (fitting[0], 0, 1.0)
        top = 2 ** (fitting[0] - 1) - 1
        assert (code.low.data, code.high.data) == (-top if low < 0 else 0, 0 if low < 0 and high <= 0 else top)


@pytest.mark.parametrize("offset", [False, True])
@pytest.mark.parametrize("ends", [(-2.0, 1.0), (0.0, 3.0), (-3.0, 0.0)])
def test_what_a_type_holds_already_leaves_it_alone(ends: tuple[float, float], offset: bool) -> None:
    code = code_type(*ends, 8, offset)
    low, high = bounds(code)
    for value in (low, high, 0.0, (low + high) / 2):
        assert with_value(code, value) is code


@pytest.mark.parametrize("offset", [False, True])
@pytest.mark.parametrize("ends", [(-2.0, 1.0), (0.0, 3.0), (-3.0, 0.0)])
@pytest.mark.parametrize("value", [-9.0, 9.0])
def test_a_value_outside_widens_the_range_on_its_side(ends: tuple[float, float], offset: bool, value: float) -> None:
    code = code_type(*ends, 8, offset)
    wider = with_value(code, value)
    low, high = bounds(code)
    wanted = (min(low, value), max(high, value))
    assert wider == code_type(*wanted, 8, code.zero.data != 0)
    assert all(holds(wider, end) or end == pytest.approx(bounds(wider)[end > 0]) for end in wanted)


@pytest.mark.parametrize("ends", [(-127, 127, 0), (-127, 127, 90), (0, 127, 0), (-5, 9, -3), (-127, 0, 0)])
@pytest.mark.parametrize("scale", [0.25, 3.0])
def test_mirrored_codes_are_the_negatives(ends: tuple[int, int, int], scale: float) -> None:
    code = CodeType.of(8, *ends, scale)
    other = mirrored(code)
    values = {(c - code.zero.data) * scale for c in range(code.low.data, code.high.data + 1)}
    negated = {-(c - other.zero.data) * other.scale.data for c in range(other.low.data, other.high.data + 1)}
    assert (values, other.bits.data, mirrored(other)) == (negated, 8, code)


@pytest.mark.parametrize(("operand", "scale"), [(1.0, 2.0**-10), (1.0, 1 / FINEST), (64.0, 64.0 / FINEST)])
def test_codes_are_2_to_the_15_times_finer_at_most(operand: float, scale: float) -> None:
    code = CodeType.of(8, -100, 90, 3, 2.0**-10)
    found = no_finer(code, operand)
    assert found == CodeType.of(8, -100, 90, 3, max(scale, 2.0**-10))
    assert FINEST == 2**15


@pytest.mark.parametrize("bits", [3, 5, 7])
def test_fewer_bits_keep_the_range(bits: int) -> None:
    for code in (CodeType.of(8, 0, 127, 0, 0.5), CodeType.of(8, -127, 127, 0, 0.25)):
        low, high = bounds(narrowed(code, bits, offset=False))
        assert (low, high) == pytest.approx(bounds(code))
