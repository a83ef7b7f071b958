"""The header of program text: directives to facts, each checked where it stands."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cimc.isa.encode import check_isa
from cimc.isa.errors import IsaError
from cimc.isa.layers import layer_from
from cimc.isa.manifest import TEXT_VERSION, from_json, port_from
from cimc.isa.program import Layer, Port

if TYPE_CHECKING:
    from lark import Token

_VERSION = re.compile(r"(?:[ \t]*(?:;[^\n]*)?\r?\n)*[ \t]*\.cimc[ \t]+([^\s;]*)")
_ISA = re.compile(r'^[ \t]*\.isa[ \t]+"sha256:([0-9a-f]{64})"', re.MULTILINE)
_HASH = re.compile("sha256:([0-9a-f]{64})")
_REPEATED = ("meta", "input", "output", "layer")


@dataclass
class Header:
    """What the directives say; `hashes` and `lines` hold the hash and the line number of each directive given."""

    meta: dict[str, Any] = field(default_factory=dict)
    inputs: list[Port] = field(default_factory=list)
    outputs: list[Port] = field(default_factory=list)
    layers: list[Layer] = field(default_factory=list)
    activation_bytes: int = 0
    payload: str = ""
    lengths: dict[str, int] = field(default_factory=lambda: {"constants": 0, "conductances": 0})
    hashes: dict[str, str] = field(default_factory=dict)
    lines: dict[str, int] = field(default_factory=dict)


def check_compatible(text: str) -> None:
    """Raise IsaError CIM0420 to CIM0422 unless this is program text of this format and instruction set."""
    version = _VERSION.match(text)
    if version is None:
        raise IsaError("CIM0420", "no program text, wanted `.cimc 1` as the first line")
    if version[1] != str(TEXT_VERSION):
        raise IsaError(
            "CIM0421", f"program text of format version {version[1]!r}, this cimc reads version {TEXT_VERSION}"
        )
    stated = _ISA.search(text)
    if stated is not None:
        check_isa(stated[1])


def read_header(directives: Sequence[Sequence["Token"]]) -> Header:
    """Return what the directives say, each given as its tokens. Raises IsaError placed at "line:column"."""
    header = Header()
    for directive, *arguments in directives:
        name = str(directive)[1:]
        try:
            if name in header.lines and name not in _REPEATED:
                raise IsaError("CIM0405", f"directive .{name} is given twice")
            _apply(header, name, arguments)
        except IsaError as error:
            raise error.at(f"{directive.line}:{directive.column}") from None
        header.lines.setdefault(name, directive.line or 0)
    return header


def integer(text: str) -> int:
    """Return the value of a decimal or hexadecimal number. Raises IsaError CIM0404 on one of absurd length."""
    if len(text) > 100:
        raise IsaError("CIM0404", f"a number of {len(text)} digits is beyond every field")
    return int(text, 16 if "x" in text.lower() else 10)


def _apply(header: Header, name: str, arguments: list["Token"]) -> None:
    if name == "meta":
        _add_meta(header, from_json(arguments[0]), from_json(arguments[1]))
    elif name in ("input", "output"):
        (header.inputs if name == "input" else header.outputs).append(port_from(from_json(arguments[0])))
    elif name == "layer":
        header.layers.append(layer_from([from_json(text) for text in arguments]))
    elif name == "activation":
        header.activation_bytes = _count(arguments[0])
    elif name == "payload":
        header.payload = from_json(arguments[0])
    else:
        if name in header.lengths:
            header.lengths[name] = _count(arguments.pop(0))
        for argument in arguments:
            header.hashes[name] = _hash(name, from_json(argument))


def _add_meta(header: Header, key: str, value: Any) -> None:
    if key in header.meta:
        raise IsaError("CIM0405", f"meta {key!r} is given twice")
    header.meta[key] = value


def _count(token: "Token") -> int:
    count = integer(token)
    if count < 0:
        raise IsaError("CIM0405", f"found {token}, wanted at least 0 bytes")
    return count


def _hash(name: str, text: str) -> str:
    match = _HASH.fullmatch(text)
    if match is None:
        raise IsaError("CIM0405", f'directive .{name} has {text!r}, wanted "sha256:" and 64 hexadecimal digits')
    return match[1]
