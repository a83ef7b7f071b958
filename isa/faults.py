"""Which traps an instruction may end in: what its operands bring about, and what its record in the table adds."""

from collections.abc import Iterator

from cimc.isa.table import Field, Spec

ALWAYS = ("CIM0517", "CIM0521")
"""Codes that any instruction may have: an operand outside its field; more memory than an executor allows itself."""


def traps_of(spec: Spec) -> tuple[str, ...]:
    """Return the codes of an instruction's traps in the order of their numbers, without ALWAYS."""
    found = {code for field in spec.fields for code in _of_field(field)}
    return tuple(sorted({*found, *spec.traps}))


def _of_field(field: Field) -> Iterator[str]:
    if field.is_written:
        yield from ("CIM0501", "CIM0502", "CIM0503", "CIM0505", "CIM0506")
    elif field.prefix == "s" and field.name != "stream":
        yield from ("CIM0501", "CIM0502")
    elif field.hexadecimal and field.name != "base":
        yield "CIM0501"
    elif field.name in ("low", "ma", "m") or field.meaning.startswith("constant address of the multipliers"):
        yield "CIM0517"
