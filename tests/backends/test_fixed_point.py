"""Fixed-point numbers of noise against exact rationals."""

from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cimc.backends.noise.fixed_point import CYCLE_SHIFT, EXACT_DOUBLE, EXPONENT_BITS, cycle_shift, log2


@given(st.integers(0, 2**40), st.integers(0, 2**22), st.integers(0, 2**15))
@example(2**24, 1, 2**15)
@example(2**33, 1024, 127)
def test_variances_of_columns_lose_as_few_bits_as_leave_them_exact(largest, devices, largest_input):
    def variance(shift):
        return devices * (largest_input * int(Fraction(2 * largest + 2**shift, 2 ** (shift + 1)) // 1)) ** 2

    shift = cycle_shift(largest, devices, largest_input)
    assert variance(shift) < EXACT_DOUBLE
    assert shift == CYCLE_SHIFT or (shift > CYCLE_SHIFT and variance(shift - 1) >= EXACT_DOUBLE)


@pytest.mark.parametrize(
    "ratio",
    [Fraction(1), Fraction(2), Fraction(1 << 40), Fraction(3, 2), Fraction(10**9, 7), 1 + Fraction(1, 10**9)],
)
def test_logarithms_are_floors(ratio):
    """2^n <= ratio^(2^20) < 2^(n + 1), by 200 digits of the logarithm."""
    from decimal import Decimal, localcontext

    with localcontext() as context:
        context.prec = 200
        exact = (Decimal(ratio.numerator) / Decimal(ratio.denominator)).ln() / Decimal(2).ln() * (1 << EXPONENT_BITS)
        wanted = int((exact + Decimal(10) ** -150).to_integral_value(rounding="ROUND_FLOOR"))
    assert log2(ratio) == wanted
