"""The lark grammar of program text, generated from the table."""

from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING

from cimc.isa.table import TABLE, Field, Spec

if TYPE_CHECKING:
    from lark import Lark

HEADER = {
    "isa": "STRING",
    "target": "STRING",
    "manifest": "STRING",
    "meta": "STRING JSON",
    "input": "JSON",
    "output": "JSON",
    "layer": "STRING STRING STRING*",
    "activation": "INTEGER",
    "payload": "STRING",
    "constants": "INTEGER STRING?",
    "conductances": "INTEGER STRING?",
    "code": "STRING",
}
"""Header directives and their arguments; a STRING is a hash, but in meta, layer and payload."""

_INTEGER = r"-?(?:0[xX][0-9a-fA-F]+|[0-9]+)"
_RULES = r"""
start: _NEWLINE? version header* body*
version: D_CIMC INTEGER _NEWLINE
?body: location | instruction
location: D_LOC STRING* _NEWLINE
_NEWLINE: /(?:\r?\n[ \t]*(?:;[^\r\n]*)?)+/
STRING: /"(?:[^"\\\r\n]|\\.)*"/
JSON: /[^\s;][^\r\n]*/
_COMMA: ","
%ignore /[ \t]+/
%ignore /;[^\r\n]*/
"""


def positional(spec: Spec) -> bool:
    """Return whether the first operand is written without its name: the `stream` or `block` in question."""
    return bool(spec.fields) and spec.fields[0].name in ("stream", "block")


def mnemonic_terminal(spec: Spec) -> str:
    """Return the terminal of an instruction's name."""
    return f"M_{spec.name.upper()}"


def operand_terminal(spec: Spec, field: Field) -> str:
    """Return the terminal of an operand with its name; operands of one name and kind share it."""
    kind = field.prefix or "_".join(field.names) or (f"n{field.count}" if field.count > 1 else "n")
    bare = "P" if positional(spec) and field is spec.fields[0] else "O"
    return f"{bare}_{field.name}_{kind}".upper()


def value_pattern(field: Field) -> str:
    """Return the regular expression of an operand's value."""
    if field.names:
        return f"(?:{'|'.join(sorted(field.names, key=len, reverse=True))})"
    if field.prefix:
        return f"{field.prefix}[0-9]+"
    if field.count == 1:
        return _INTEGER
    return r"\[[ \t]*" + r"[ \t]*,[ \t]*".join([_INTEGER] * field.count) + r"[ \t]*\]"


def grammar() -> str:
    """Return the whole grammar."""
    return "\n".join((_RULES, f"INTEGER: /{_INTEGER}/", *_headers(), *_instructions(), *_terminals(), ""))


@cache
def parser() -> "Lark":
    """Return the LALR parser of program text (lark is imported on the first call)."""
    from lark import Lark

    return Lark(grammar(), parser="lalr", lexer="contextual", maybe_placeholders=False)


def _headers() -> Iterator[str]:
    yield f"header: ({' | '.join(f'D_{name.upper()} {arguments}' for name, arguments in HEADER.items())}) _NEWLINE"
    for name in ("cimc", "loc", *HEADER):
        yield rf"D_{name.upper()}: /\.{name}\b/"


def _instructions() -> Iterator[str]:
    yield f"instruction: ({' | '.join(_instruction(spec) for spec in TABLE)}) _NEWLINE"


def _instruction(spec: Spec) -> str:
    return f"{mnemonic_terminal(spec)} {' _COMMA '.join(operand_terminal(spec, field) for field in spec.fields)}"


def _terminals() -> Iterator[str]:
    for spec in TABLE:
        yield rf"{mnemonic_terminal(spec)}: /{spec.name}\b/"
    operands = {operand_terminal(spec, field): field for spec in TABLE for field in spec.fields}
    for terminal, field in operands.items():
        name = "" if terminal.startswith("P_") else rf"{field.name}[ \t]*=[ \t]*"
        yield (
            f"{terminal}: /{name}{value_pattern(field)}\\b/"
            if field.names
            else f"{terminal}: /{name}{value_pattern(field)}/"
        )
