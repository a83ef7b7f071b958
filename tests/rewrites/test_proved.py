"""Rewrites of integers proved for all numbers of small widths: 8-bit values, 12-bit multipliers, shifts up to 12.

`half_even`, `clamp`, `both`, `rounded` and `shared` are the code's own, run on unknowns (terms.py). That passes write
B - z M and no other integer is held against rationals in tests/passes/test_integer_constants.py.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import z3
from rewrites.terms import Proof, Term, Truth, outcome, unknown

from cimc.backends.machine.rounding import clamp, half_even
from cimc.backends.noise.fixed_point import rounded, shared
from cimc.backends.plan import exact
from cimc.passes.fuse_clamp import both

SHIFTS = range(13)
DEARER = [pytest.param(shift, marks=() if shift in (0, 1, 2, 12) else pytest.mark.nightly) for shift in SHIFTS]
"""Shifts of proofs that take a second: some by day, all by night."""
VALUE, MULTIPLIER, OFFSET, SUM = 8, 12, 20, 21
X, Z, M, B = unknown("x", VALUE), unknown("z", VALUE), unknown("m", MULTIPLIER), unknown("b", OFFSET)
TOTAL = unknown("t", SUM)
"""A product of value and multiplier, and an offset."""
ENDS = [unknown(name, VALUE) for name in ("low", "high", "lower", "upper")]
LOW, HIGH, LOWER, UPPER = ENDS
RANGES = Proof([LOW <= HIGH, LOWER <= UPPER])
ANY = Proof()


def requantised(total: Any, shift: int, low: Any = LOW, high: Any = HIGH) -> Term:
    """Return clamp(round(total / 2^shift), low, high), the digital unit's rounding."""
    return outcome(lambda: clamp(half_even(total, 1 << shift), low, high))


def round_(total: Any, shift: int) -> Term:
    return outcome(lambda: half_even(total, 1 << shift))


def clamped(value: Any, low: Any, high: Any) -> Term:
    return outcome(lambda: clamp(value, low, high))


def require(claim: Truth, proof: Proof = ANY) -> None:
    found = proof.counterexample(claim)
    assert found is None, found


def fused(first: tuple[Any, Any], second: tuple[Any, Any]) -> tuple[Term, Term]:
    """Return the bounds that fuse-clamp gives."""
    return outcome(lambda: both(first, second)[0]), outcome(lambda: both(first, second)[1])


def by_one(a: Term, b: Term) -> Truth:
    return (a - b == 1) | (b - a == 1)


# Clamps.


def test_a_clamp_of_a_clamp_is_one_clamp() -> None:
    bounds = fused((LOW, HIGH), (LOWER, UPPER))
    require(clamped(clamped(X, LOW, HIGH), LOWER, UPPER) == clamped(X, *bounds), RANGES)


def test_a_clamp_of_a_clamp_is_one_clamp_of_reals() -> None:
    x, low, high, lower, upper = (Term(z3.Real(name)) for name in ("x", "low", "high", "lower", "upper"))
    bounds = fused((low, high), (lower, upper))
    claim = clamped(clamped(x, low, high), lower, upper) == clamped(x, *bounds)
    require(claim, Proof([low <= high, lower <= upper]))


def test_the_intersection_is_wrong_for_disjoint_clamps() -> None:
    bounds = outcome(lambda: max(LOW, LOWER)), outcome(lambda: min(HIGH, UPPER))
    claim = clamped(clamped(X, LOW, HIGH), LOWER, UPPER) == clamped(X, *bounds)
    found = RANGES.counterexample(claim)
    assert found is not None
    ends = {str(name): found[name].as_signed_long() for name in found.decls()}
    assert ends["high"] < ends["lower"] or ends["upper"] < ends["low"]
    require(claim, Proof([*RANGES.conditions, LOWER <= HIGH, LOW <= UPPER]))


@pytest.mark.parametrize("shift", DEARER)
def test_larger_values_have_no_smaller_codes(shift: int) -> None:
    """Saturation included. So a maximum may be taken before a requantisation or behind it."""
    other = unknown("u", SUM)
    require(requantised(TOTAL, shift) <= requantised(other, shift), Proof([*RANGES.conditions, other >= TOTAL]))


def test_what_is_monotone_commutes_with_a_clamp() -> None:
    """So an activation clamps codes to the codes of its bounds: a real value becomes a code by a monotone rule."""
    code = z3.Function("code", z3.RealSort(), z3.IntSort())
    value, low, high = (Term(z3.Real(name)) for name in ("v", "l", "h"))

    def of(x: Term) -> Term:
        return Term(code(x.formula))

    claim = of(clamped(value, low, high)) == clamped(of(value), of(low), of(high))
    pairs = [(a, b) for a in (value, low, high) for b in (value, low, high)]
    monotone = [Truth(z3.Implies(a.formula <= b.formula, code(a.formula) <= code(b.formula))) for a, b in pairs]
    require(claim, Proof([low <= high, *monotone]))
    assert Proof([low <= high]).counterexample(claim) is not None


# Zero points and biases.


def test_the_zero_point_of_an_operand_goes_into_the_offset() -> None:
    require(X * M + (B - Z * M) == (X - Z) * M + B)
    assert ANY.counterexample(round_(X * M + (B + Z * M), 5) == round_((X - Z) * M + B, 5)) is not None


def test_the_zero_point_of_a_layer_goes_into_the_offset_once_for_its_column() -> None:
    """B - z sum_i w_i, for three rows."""
    weights, codes = ([unknown(f"{name}{i}", VALUE) for i in range(3)] for name in "wx")
    apart = sum((w * (x - Z) for w, x in zip(weights, codes, strict=True)), B)
    folded = sum((w * x for w, x in zip(weights, codes, strict=True)), B - Z * (weights[0] + weights[1] + weights[2]))
    require(apart == folded)


@pytest.mark.parametrize("shift", DEARER)
def test_the_zero_point_of_a_result_goes_into_the_offset(shift: int) -> None:
    """Rounding before the zero point is added differs where a tie meets an odd zero point, and there by one code."""
    total = unknown("t", 16)
    folded, apart = round_(total + (Z << shift), shift), round_(total, shift) + Z
    tie, odd = total % (1 << shift) == (1 << shift >> 1), Z % 2 == 1
    require((folded == apart) | (tie & odd & by_one(folded, apart)))
    assert (ANY.counterexample(folded == apart) is None) == (shift == 0)


def test_an_affine_map_of_an_affine_map_is_one_of_reals() -> None:
    x, s, b, t, c = (Term(z3.Real(name)) for name in "xsbtc")
    require((x * s + b) * t + c == x * (s * t) + (b * t + c))
    assert ANY.counterexample((x * s + b) * t + c == x * (s * t) + (b + c)) is not None


# Requantisation.


@pytest.mark.parametrize("shift", range(11))
def test_requantisation_to_the_same_codes_is_nothing(shift: int) -> None:
    """A multiplier of 1: what quantise drops."""
    require(round_(X * (1 << shift) + (Z << shift) - Z * (1 << shift), shift) == X)
    require(clamped(X, LOW, HIGH) == X, Proof([LOW <= X, X <= HIGH]))


def test_requantisation_behind_one_that_rounds_nothing_is_one() -> None:
    """The first gives codes that are 2^n times finer: one multiplier does both, or one shift (powers of two, below)."""
    for steps in SHIFTS:
        require((X * (1 << steps)) * M + B == X * (M * (1 << steps)) + B)


@pytest.mark.parametrize("shift", SHIFTS[3:])
def test_requantisation_behind_one_that_rounds_is_not_one(shift: int) -> None:
    first, second = shift // 2, shift - shift // 2
    merged, apart = round_(TOTAL, shift), round_(round_(TOTAL, first), second)
    found = ANY.counterexample(merged == apart)
    assert found is not None
    t = found[z3.BitVec("t", SUM)].as_signed_long()
    assert half_even(t, 1 << shift) != half_even(half_even(t, 1 << first), 1 << second)
    require((merged == apart) | by_one(merged, apart))


@pytest.mark.parametrize("shift", DEARER)
def test_a_negation_mirrors_what_is_rounded(shift: int) -> None:
    require(-round_(TOTAL, shift) == round_(-TOTAL, shift))
    require(-clamped(X, LOW, HIGH) == clamped(-X, -HIGH, -LOW), RANGES)


# Shifts.


@pytest.mark.parametrize("shift", DEARER)
def test_powers_of_two_leave_a_quotient(shift: int) -> None:
    for more in range(13 - shift):
        require(round_(TOTAL << more, shift + more) == round_(TOTAL, shift))


@pytest.mark.parametrize("shift", SHIFTS)
def test_a_rounding_is_the_nearest_with_ties_to_even(shift: int) -> None:
    """By what it is: at most half away from the quotient, and even where it is half away."""
    error = TOTAL - (round_(TOTAL, shift) << shift)
    half = 1 << shift >> 1
    within = (error < half) & (-error < half) if shift else error == 0
    tie = ((error == half) | (-error == half)) & (round_(TOTAL, shift) % 2 == 0)
    require(within | tie)


def ties_away(numerator: Any, denominator: int) -> Any:
    """A broken half_even: ties go up."""
    return (numerator + denominator // 2) // denominator


@pytest.mark.parametrize("shift", SHIFTS[1:])
def test_ties_that_go_up_are_noticed(shift: int) -> None:
    assert ANY.counterexample(outcome(lambda: ties_away(TOTAL, 1 << shift)) == round_(TOTAL, shift)) is not None


@pytest.mark.parametrize("divisor", [*(1 << shift for shift in SHIFTS), 3, 10])
def test_both_interpreters_round_alike(divisor: int) -> None:
    """half_even of machine/rounding.py, and that of arrays in plan/exact.py."""
    vectorised: Callable[..., Any] = exact.half_even
    require(outcome(lambda: vectorised(TOTAL, divisor)) == outcome(lambda: half_even(TOTAL, divisor)))


@pytest.mark.parametrize("shift", SHIFTS)
def test_noise_rounds_to_the_nearest_with_ties_upwards(shift: int) -> None:
    error = (rounded(TOTAL, shift) << shift) - TOTAL  # type: ignore[call-overload]
    half = 1 << shift >> 1
    require(((error >= -half) & (error < half)) | (error == half) if shift else error == 0)
    require((error > -half) | Truth(z3.BoolVal(shift == 0)))


@pytest.mark.parametrize("parts", [1, 2, 3, 4, 10])
def test_shares_are_the_nearest_with_ties_upwards(parts: int) -> None:
    total = unknown("t", 12)
    error = shared(total, parts) * parts - total  # type: ignore[call-overload]
    require((2 * error <= parts) & (2 * error > -parts))


LIMIT = 1 << 12


def test_a_clamp_may_end_at_a_limit_that_no_result_exceeds() -> None:
    """plan/exact.py clips in floating point, within the limit up to which whole numbers are exact.

    Where the whole clamp lies beyond it, the nearer end may be no such number: `Rounding.nearest` asks for more.
    """
    value, low, high = unknown("v", 13), unknown("wide_low", 16), unknown("wide_high", 16)
    cut = [clamped(end, -LIMIT, LIMIT) for end in (low, high)]
    claim = clamped(value, low, high) == clamped(value, *cut)
    require(claim, Proof([low <= high, low <= LIMIT, high >= -LIMIT]))
    found = Proof([low <= high]).counterexample(claim)
    assert found is not None
    ends = (found[z3.BitVec(name, 16)].as_signed_long() for name in ("wide_low", "wide_high"))
    assert exact.Rounding(0, *ends).nearest > LIMIT


# The formulas on unknowns are the functions.


@pytest.mark.parametrize("seed", range(3))
def test_formulas_are_the_functions_on_numbers(seed: int) -> None:
    rng = np.random.default_rng(seed)
    for shift in SHIFTS:
        total, low, high = int(rng.integers(-(1 << 20), 1 << 20)), *sorted(rng.integers(-128, 128, 2).tolist())
        found = requantised(TOTAL, shift).formula
        numbers = [(z3.BitVec(name, bits), z3.BitVecVal(value, bits)) for name, bits, value in
                   (("t", SUM, total), ("low", VALUE, low), ("high", VALUE, high))]  # fmt: skip
        value = z3.simplify(z3.substitute(found, *numbers)).as_signed_long()
        assert value == clamp(half_even(total, 1 << shift), low, high)
