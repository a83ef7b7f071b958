"""Our own functions on unknowns: a function of integers, called with terms of z3, becomes one formula.

Where the function asks whether a condition holds, it is called once for each answer; what it returns then stands in an
If. So the formulas that are proved are those of the code, not copies of them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import z3

WIDTH = 40
"""Bits of every term: no sum or product of the proofs comes near 2^39."""


class _Way:
    """One way through a function: the answers given so far, further ones are yes."""

    def __init__(self, answers: Sequence[bool]) -> None:
        self.answers = list(answers)
        self.conditions: list[z3.BoolRef] = []

    def asked(self, condition: z3.BoolRef) -> bool:
        place = len(self.conditions)
        if place == len(self.answers):
            self.answers.append(True)
        self.conditions.append(condition if self.answers[place] else z3.Not(condition))
        return self.answers[place]


_ways: list[_Way] = []
"""The way that is being gone, innermost last."""


@dataclass(frozen=True, eq=False)
class Truth:
    """A condition on unknowns, which counts as 1 or 0 where it is added."""

    formula: z3.BoolRef

    def __bool__(self) -> bool:
        known = z3.simplify(self.formula)
        return z3.is_true(known) or (not z3.is_false(known) and _ways[-1].asked(self.formula))

    def __or__(self, other: "Truth") -> "Truth":
        return Truth(z3.Or(self.formula, other.formula))

    def __and__(self, other: "Truth") -> "Truth":
        return Truth(z3.And(self.formula, other.formula))


def formula(value: Any) -> Any:
    """Return the formula of a term, a truth or a number."""
    if isinstance(value, Truth):
        return z3.If(value.formula, z3.BitVecVal(1, WIDTH), z3.BitVecVal(0, WIDTH))
    return value.formula if isinstance(value, Term) else value


@dataclass(frozen=True, eq=False)
class Term:
    """A whole number of WIDTH bits that is not known; or a real number, which has no quotients."""

    formula: Any

    def __add__(self, other: Any) -> "Term":
        return Term(self.formula + formula(other))

    def __radd__(self, other: Any) -> "Term":
        return Term(formula(other) + self.formula)

    def __sub__(self, other: Any) -> "Term":
        return Term(self.formula - formula(other))

    def __mul__(self, other: Any) -> "Term":
        return Term(self.formula * formula(other))

    def __rmul__(self, other: Any) -> "Term":
        return Term(formula(other) * self.formula)

    def __neg__(self) -> "Term":
        return Term(-self.formula)

    def __and__(self, bits: int) -> "Term":
        return Term(self.formula & bits)

    def __rshift__(self, bits: int) -> "Term":
        return Term(self.formula >> bits)

    def __lshift__(self, bits: int) -> "Term":
        return Term(self.formula << bits)

    def __floordiv__(self, divisor: Any) -> "Term":
        """Quotients are rounded down, divisors are above 0."""
        if isinstance(divisor, int) and divisor.bit_count() == 1:
            return self >> divisor.bit_length() - 1
        toward_zero, rest = self.formula / formula(divisor), z3.SRem(self.formula, formula(divisor))
        return Term(z3.If(rest < 0, toward_zero - 1, toward_zero))

    def __mod__(self, divisor: Any) -> "Term":
        return self - (self // divisor) * divisor

    def __divmod__(self, divisor: Any) -> "tuple[Term, Term]":
        return self // divisor, self % divisor

    def __lt__(self, other: Any) -> Truth:
        return Truth(self.formula < formula(other))

    def __gt__(self, other: Any) -> Truth:
        return Truth(self.formula > formula(other))

    def __le__(self, other: Any) -> Truth:
        return Truth(self.formula <= formula(other))

    def __ge__(self, other: Any) -> Truth:
        return Truth(self.formula >= formula(other))

    def __eq__(self, other: object) -> Truth:  # type: ignore[override]
        return Truth(self.formula == formula(other))

    def __ne__(self, other: object) -> Truth:  # type: ignore[override]
        return Truth(self.formula != formula(other))

    __hash__ = None  # type: ignore[assignment]


def number(value: Any) -> Any:
    """Return the formula of a value, whole numbers as WIDTH bits."""
    return z3.BitVecVal(value, WIDTH) if isinstance(value, int) else formula(value)


def unknown(name: str, bits: int) -> Term:
    """Return an unknown number of so many bits, sign included."""
    return Term(z3.SignExt(WIDTH - bits, z3.BitVec(name, bits)))


def outcome(function: Callable[[], Any]) -> Term:
    """Return what a function gives on all its ways, as one term."""
    left: list[list[bool]] = [[]]
    result = None
    while left:
        given = left.pop()
        _ways.append(way := _Way(given))
        try:
            value = number(function())
        finally:
            _ways.pop()
        left += [[*way.answers[:place], False] for place in range(len(given), len(way.answers))]
        result = value if result is None else z3.If(z3.And(way.conditions), value, result)
    return Term(result)


@dataclass
class Proof:
    """What is to hold for all numbers that meet the conditions."""

    conditions: list[Truth] = field(default_factory=list)

    def counterexample(self, claim: Truth, milliseconds: int = 30_000) -> z3.ModelRef | None:
        """Return numbers for which a claim does not hold, None where it always does. Fails where z3 cannot tell."""
        solver = z3.Solver()
        solver.set("timeout", milliseconds)
        solver.add(*(one.formula for one in self.conditions), z3.Not(claim.formula))
        answer = solver.check()
        assert answer != z3.unknown, solver.reason_unknown()
        return solver.model() if answer == z3.sat else None
