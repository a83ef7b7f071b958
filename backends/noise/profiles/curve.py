"""A quantity as a function of conductance, in pieces, computed in decimal arithmetic."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal

Coefficients = tuple[Decimal, ...]
TINY = Decimal("1e-7")
"""Logarithms take no relative conductance below this."""

POINTS = 32
"""Steps between the relative conductances at which a curve is looked at before it is taken."""


def _polynomial(c: Coefficients, x: Decimal) -> Decimal:
    total = Decimal(0)
    for coefficient in reversed(c):
        total = total * x + coefficient
    return total


def _logarithm(c: Coefficients, x: Decimal) -> Decimal:
    return c[0] * max(x, TINY).ln() + c[1]


def _decimal_logarithm(c: Coefficients, x: Decimal) -> Decimal:
    return c[0] * max(x, TINY).log10() + c[1]


def _inverse_power(c: Coefficients, x: Decimal) -> Decimal:
    power = (c[1] * x.ln()).exp() if x > 0 else Decimal(0)
    return c[0] / max(power, c[2])


FORMS: Mapping[str, tuple[int | None, Callable[[Coefficients, Decimal], Decimal]]] = {
    "polynomial": (None, _polynomial),
    "ln": (2, _logarithm),
    "log10": (2, _decimal_logarithm),
    "inverse-power": (3, _inverse_power),
}
"""Form -> coefficients (None: any number) and value: sum c_k x^k; c0 ln x + c1; c0 log10 x + c1; c0 / max(x^c1, c2)."""


@dataclass(frozen=True)
class Piece:
    """One form up to and without the relative conductance `below` (None: to the end), clipped to low..high."""

    form: str
    coefficients: Coefficients
    below: Decimal | None = None
    low: Decimal | None = None
    high: Decimal | None = None
    absolute: bool = False
    """Whether x is the conductance in uS; otherwise it is relative to the range."""

    def at(self, relative: Decimal, conductance: Decimal) -> Decimal:
        """Return the value at a conductance."""
        value = FORMS[self.form][1](self.coefficients, conductance if self.absolute else relative)
        if self.low is not None:
            value = max(value, self.low)
        return value if self.high is None else min(value, self.high)


@dataclass(frozen=True)
class Curve:
    """Pieces in ascending order; values in uS, as a fraction of the conductance range, or without unit."""

    unit: str
    pieces: tuple[Piece, ...]

    def at(self, relative: Decimal, lowest: Decimal, highest: Decimal) -> Decimal:
        """Return the value, at least 0, at a relative conductance: in units of the range where the curve is in uS."""
        piece = next(p for p in self.pieces if p.below is None or relative < p.below)
        value = max(piece.at(relative, lowest + relative * (highest - lowest)), Decimal(0))
        return value / (highest - lowest) if self.unit == "uS" else value

    def negative(self, lowest: Decimal, highest: Decimal) -> tuple[int, Decimal, Decimal] | None:
        """Return the first piece with a value below 0, the relative conductance and the value, at POINTS of them."""
        for point in range(POINTS + 1):
            relative = Decimal(point) / POINTS
            number = next(n for n, p in enumerate(self.pieces) if p.below is None or relative < p.below)
            value = self.pieces[number].at(relative, lowest + relative * (highest - lowest))
            if value < 0:
                return number, relative, value
        return None


def constant(unit: str, value: Decimal) -> Curve:
    """Return the curve that has one value everywhere."""
    return Curve(unit, (Piece("polynomial", (value,)),))
