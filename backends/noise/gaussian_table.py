"""Writes gaussian.txt, the table of the integer Gaussian: `python -m cimc.backends.noise.gaussian_table`.

Row e, entry c is round(2^16 * z) where a normal variable exceeds z in magnitude with probability
p = 2^-(e + 1) * (1 + c / 32). Computed in decimal arithmetic with 50 digits, so that every machine finds the same.
"""

from decimal import Decimal, localcontext
from pathlib import Path

ROWS, CELLS = 31, 32
DIGITS = 50
PI = Decimal("3.14159265358979323846264338327950288419716939937510582097494459")
FILE = Path(__file__).with_name("gaussian.txt")


def density(z: Decimal) -> Decimal:
    """Return the standard normal density."""
    return (-z * z / 2).exp() / (2 * PI).sqrt()


def beyond(z: Decimal) -> Decimal:
    """Return the probability of magnitudes above z: 1 - 2 density(z) sum_n z^(2n+1) / (2n+1)!!."""
    term = total = z
    n = 1
    while term > total.scaleb(-DIGITS):
        n += 2
        term *= z * z / n
        total += term
    return 1 - 2 * density(z) * total


def quantile(probability: Decimal, start: Decimal) -> Decimal:
    """Return the z that is exceeded in magnitude with this probability, by Newton's rule from `start`."""
    z = start
    for _ in range(200):
        step = (beyond(z) - probability) / (2 * density(z))
        z += step
        if abs(step) < Decimal("1e-30"):
            return z
    raise ArithmeticError(f"no quantile found for {probability}")


def row(e: int) -> list[int]:
    """Return the entries of one row."""
    with localcontext() as context:
        context.prec = DIGITS
        entries, z = [], Decimal(e + 1).sqrt()
        for c in range(CELLS + 1):
            probability = Decimal(CELLS + c) / (CELLS << (e + 1))
            z = quantile(probability, z) if probability < 1 else Decimal(0)
            entries.append(int((z * (1 << 16)).to_integral_value()))
    return entries


def main() -> None:
    """Write the table."""
    FILE.write_text("".join(" ".join(map(str, row(e))) + "\n" for e in range(ROWS)))


if __name__ == "__main__":
    main()
