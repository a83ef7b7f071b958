"""Rounding of exact quotients, in integers."""


def half_even(numerator: int, denominator: int) -> int:
    """Return numerator / denominator rounded to the nearest integer, ties to even; the denominator is positive."""
    quotient, rest = divmod(numerator, denominator)
    above = 2 * rest > denominator
    tie = 2 * rest == denominator
    return quotient + (above or (tie and quotient % 2 == 1))


def clamp(value: int, low: int, high: int) -> int:
    """Return the value raised to `low`, then lowered to `high`."""
    return min(max(value, low), high)
