"""What is wrong with a line of program text that the grammar refuses, said for people."""

import re
from collections.abc import Iterable

from cimc.isa.errors import IsaError
from cimc.isa.grammar import HEADER, positional
from cimc.isa.names import nearest
from cimc.isa.table import BY_NAME, Field, Spec

_WORD = re.compile(r'"(?:[^"\\]|\\.)*"?|[.\w]+|.')
_ARGUMENTS = {"STRING": '"..."', "JSON": "JSON", "INTEGER": "INTEGER", "STRING?": '["..."]', "STRING*": '["..." ...]'}


def syntax_error(line: str, column: int) -> IsaError:
    """Return the error for a line that is wrong at or before `column` (from 1), without a place."""
    first = _word(line.lstrip(" \t"))  # nothing else is space between words
    if first.startswith("."):
        return _directive_error(first, line, column)
    if first not in BY_NAME:
        return unknown("CIM0402", f"unknown instruction {first!r}", first, BY_NAME)
    return _operand_error(BY_NAME[first], line, column)


def unknown(code: str, message: str, word: str, known: Iterable[str]) -> IsaError:
    """Return an error about an unknown word, with the nearest known one as its hint."""
    near = nearest(word, known)
    return IsaError(code, message, f"did you mean {near!r}?" if near else "")


def wanted_value(field: Field) -> str:
    """Say what may stand as the value of an operand."""
    if field.names:
        return " or ".join((", ".join(field.names[:-1]), field.names[-1]))
    if field.prefix:
        return f"{field.prefix}0..{field.prefix}{field.highest}"
    one = f"{field.lowest}..{field.highest}"
    return f"an integer {one}" if field.count == 1 else f"a list of {field.count} integers {one}"


def _directive_error(first: str, line: str, column: int) -> IsaError:
    name = first[1:]
    if name not in (*HEADER, "cimc", "loc"):
        return unknown(
            "CIM0402", f"unknown directive {first!r}", first, (f".{known}" for known in ("cimc", "loc", *HEADER))
        )
    if not line[: column - 1].strip():
        return IsaError(
            "CIM0405", f"directive {first} at this place, wanted `.cimc 1`, then the header, then instructions and .loc"
        )
    arguments = {"cimc": "INTEGER", "loc": "STRING", **HEADER}[name].split()
    found = _word(line[column - 1 :].lstrip(" \t")) or "the end of the line"
    return IsaError(
        "CIM0401", f"directive {first} with {found}, wanted {first} {' '.join(_ARGUMENTS[word] for word in arguments)}"
    )


def _operand_error(spec: Spec, line: str, column: int) -> IsaError:
    before, piece = line[: column - 1].rstrip(), _piece(line[column - 1 :])
    index = len(re.findall(r",(?![^\[]*\])", before))
    operand_due = before.endswith(",") or before.strip() == spec.name
    if index >= len(spec.fields) or (not operand_due and index == len(spec.fields) - 1):
        rest = piece or line[column - 1 :].strip()
        return IsaError("CIM0403", f"{spec.name} goes on with {rest!r} after its last operand, wanted the line's end")
    if not operand_due and piece:
        return IsaError("CIM0401", f"found {piece!r}, wanted a comma")
    if not operand_due:
        return _missing(spec, spec.fields[index + 1])
    return _wrong_operand(spec, spec.fields[index], piece, bare=index == 0 and positional(spec))


def _wrong_operand(spec: Spec, field: Field, piece: str, bare: bool) -> IsaError:
    name, equals, value = (part.strip() for part in piece.partition("="))
    if not piece:
        return _missing(spec, field)
    if bare and not equals:
        return IsaError("CIM0404", f"operand {field.name} of {spec.name} is {piece!r}, wanted {wanted_value(field)}")
    names = [known.name for known in spec.fields[positional(spec) :]]
    if not bare and name == field.name:
        return IsaError("CIM0404", f"operand {field.name} of {spec.name} is {value!r}, wanted {wanted_value(field)}")
    if equals and name not in names:
        return unknown("CIM0403", f"{spec.name} has no operand {name!r}, wanted {_form(spec, field)}", name, names)
    return IsaError(
        "CIM0403", f"found {piece!r} where {spec.name} has operand {field.name}, wanted {_form(spec, field)}"
    )


def _missing(spec: Spec, field: Field) -> IsaError:
    return IsaError("CIM0403", f"{spec.name} ends before operand {field.name}, wanted {_form(spec, field)}")


def _form(spec: Spec, field: Field) -> str:
    bare = positional(spec) and field is spec.fields[0]
    return wanted_value(field) if bare else f"{field.name}= and {wanted_value(field)}"


def _word(text: str) -> str:
    match = _WORD.match(text)
    return match[0] if match else ""


def _piece(text: str) -> str:
    """Return the text up to the next comma outside a list, or a comment."""
    match = re.match(r"(?:\[[^\]]*\]|[^,;\[])*", text)
    return match[0].strip() if match else ""
