"""A noise profile as TOML that reads back as the same profile: for files that must not depend on another file."""

import json
from collections.abc import Iterator
from decimal import Decimal

from cimc.backends.noise.profiles.curve import Curve, Piece
from cimc.backends.noise.profiles.profile import Profile
from cimc.backends.noise.profiles.schema import REDRAWS, SCALARS

SOURCE = 'source = "unverified"'
"""Where numbers are from is not kept: it changes nothing that they do."""


def profile_toml(profile: Profile) -> str:
    """Return the TOML text of a profile with all its constants."""
    return "\n".join(_lines(profile)) + "\n"


def _lines(profile: Profile) -> Iterator[str]:
    yield f"name = {json.dumps(profile.name)}"
    yield f"summary = {json.dumps(profile.summary)}"
    for key, number in profile.numbers.items():
        yield f"{key} = {{ value = {_number(number)}, unit = {json.dumps(SCALARS[key].unit)}, {SOURCE} }}"
    yield from (f"{key} = {json.dumps(choice)}" for key, choice in profile.choices.items())
    yield from (f"{key} = {_curve(curve)}" for key, curve in profile.curves.items())
    redraws = (f"{{ seconds = {seconds}, sigma = {_curve(curve)} }}" for seconds, curve in profile.redraws)
    yield f"{REDRAWS} = [{', '.join(redraws)}]"


def _curve(curve: Curve) -> str:
    return f"{{ unit = {json.dumps(curve.unit)}, {SOURCE}, pieces = [{', '.join(map(_piece, curve.pieces))}] }}"


def _piece(piece: Piece) -> str:
    parts = [f"form = {json.dumps(piece.form)}", f"coefficients = {_numbers(piece.coefficients)}"]
    if piece.below is not None:
        parts.append(f"below = {_number(piece.below)}")
    if piece.low is not None and piece.high is not None:
        parts.append(f"clip = {_numbers((piece.low, piece.high))}")
    if piece.absolute:
        parts.append('of = "uS"')
    return f"{{ {', '.join(parts)} }}"


def _numbers(values: tuple[Decimal, ...]) -> str:
    return f"[{', '.join(map(_number, values))}]"


def _number(value: Decimal) -> str:
    """Return a number that TOML reads as the same decimal: with a point or an exponent, or as an integer."""
    text = str(value).lower()
    mantissa, e, exponent = text.partition("e")
    return f"{mantissa}e{int(exponent)}" if e else text
