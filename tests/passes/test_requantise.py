"""Quotients as multipliers of 32 bits: as near as they can be, and refused where none is."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cimc.isa.errors import CimcError
from cimc.passes.requantise import quotient_multiplier


@given(st.floats(2.0**-30, 2.0**30))
def test_a_quotient_is_off_by_half_a_step_at_most(ratio: float) -> None:
    multiplier, shift = quotient_multiplier(ratio, "y")
    assert 1 << 31 <= multiplier <= 1 << 32
    assert abs(Fraction(multiplier, 1 << shift) - Fraction(ratio)) <= Fraction(1, 2 << shift)


@pytest.mark.parametrize("ratio", [0.0, -1.0, 2.0**32, float("inf"), float("nan")])
def test_what_no_multiplier_says_is_refused_by_the_value(ratio: float) -> None:
    with pytest.raises(CimcError, match=r"CIM0304.*value 'y': scale ratio"):
        quotient_multiplier(ratio, "y")
