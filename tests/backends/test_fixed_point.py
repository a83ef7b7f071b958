"""Fixed-point numbers of noise against exact rationals."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cimc.backends.machine.traps import Trap
from cimc.backends.noise.device_tables import Spread
from cimc.backends.noise.fixed_point import (
    CYCLE_SHIFT,
    EXACT_DOUBLE,
    EXPONENT_BITS,
    FINE_BITS,
    READ_BITS,
    cycle_shift,
    log2,
)
from cimc.backends.plan import devices
from cimc.backends.plan.read_noise import cycle_noise, require_sums


@given(st.integers(0, 2**40), st.integers(0, 2**22), st.integers(0, 2**15))
@example(2**24, 1, 2**15)
@example(2**33, 1024, 127)
def test_variances_of_columns_lose_as_few_bits_as_leave_them_exact(largest, devices, largest_input):
    def variance(shift):
        return devices * (largest_input * int(Fraction(2 * largest + 2**shift, 2 ** (shift + 1)) // 1)) ** 2

    shift = cycle_shift(largest, devices, largest_input)
    assert variance(shift) < EXACT_DOUBLE
    assert shift == CYCLE_SHIFT or (shift > CYCLE_SHIFT and variance(shift - 1) >= EXACT_DOUBLE)


@pytest.mark.parametrize("largest", [2**20, 2**30, 2**36])
def test_the_device_that_fluctuates_most_says_what_variances_lose(largest):
    """The sum of a column of such devices, each at the largest input, is exact in doubles."""
    sigmas = np.full((2, 16, 3), 5)
    sigmas[:, :, 1] = largest
    noise = cycle_noise(sigmas, 127)
    bits = FINE_BITS - noise.unit_bits
    assert bits == cycle_shift(largest, 32, 127)
    assert int(noise.variances[:, 1].sum()) == 32 * (largest >> bits) ** 2 < EXACT_DOUBLE // 127**2


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


@pytest.mark.parametrize("relative", [False, True])
def test_spreads_lie_between_those_of_neighbouring_codes(relative):
    """Up to the end of the table, and as at its end beyond."""
    table = (70, 10, 500, 900)
    end = (len(table) - 1 << FINE_BITS) - 1
    values = np.array([0, 1, 1 << FINE_BITS, (1 << FINE_BITS) + 1234, (2 << FINE_BITS) + 17, end - 1, end, end + 99])
    present = np.full_like(values, 3 << READ_BITS) if relative else values
    found = devices._sigmas(Spread(relative, table), values, present).tolist()
    for value, sigma in zip(values.tolist(), found, strict=True):
        code, rest = divmod(min(value, end), 1 << FINE_BITS)
        exact = table[code] + Fraction((table[code + 1] - table[code]) * rest, 1 << FINE_BITS)
        nearest = (2 * exact + 1) // 2
        assert sigma == (3 * nearest if relative else nearest)


@pytest.mark.parametrize("sums", [[-8, 0], [0, 8], [-8, -8], [8, 8]])
def test_sums_of_either_sign_end_at_the_limit(sums):
    with pytest.raises(Trap, match="CIM0514"):
        require_sums(np.array(sums), 8)
    require_sums(np.array(sums), 9)
    require_sums(np.array([], np.int64), 0)
