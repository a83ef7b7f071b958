"""Program text to programs, with errors that name line, column, what was found and what was wanted."""

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import PurePath
from typing import TYPE_CHECKING, BinaryIO, cast

from cimc.isa.encode import check_operand, encode_all
from cimc.isa.errors import IsaError
from cimc.isa.grammar import parser, positional
from cimc.isa.header import Header, check_compatible, integer, read_header
from cimc.isa.layers import check_layers
from cimc.isa.manifest import from_json, sha256, target_hash, to_bytes
from cimc.isa.program import Instruction, Operand, Program
from cimc.isa.syntax import syntax_error
from cimc.isa.table import BY_NAME, Field

if TYPE_CHECKING:
    from lark import Token, Tree

    Line = list[Token]

PayloadOpener = Callable[[str], BinaryIO]


def parse(text: str, open_payload: PayloadOpener, name: str = "program") -> Program:
    """Return the program of a text; `open_payload` opens the payload file of the name that the text states.

    Raises IsaError placed at "name:line:column" on wrong text, CIM0424 on a wrong checksum, CIM0426 on a wrong payload.
    """
    try:
        check_compatible(text)
        directives, body = _split(_tree(text))
        header = read_header(directives)
        instructions, locations = _body(body)
        constants, conductances = _payload(header, open_payload)
        ports = (tuple(header.inputs), tuple(header.outputs))
        program = Program(
            instructions,
            locations,
            *ports,
            constants,
            conductances,
            header.activation_bytes,
            header.meta,
            tuple(header.layers),
        )
        _check_layers(header, program)
        _check_hashes(header, program)
    except IsaError as error:
        raise error.at(f"{name}:{error.place}" if error.place else name) from None
    return program


def _tree(text: str) -> "Tree[Token]":
    from lark import UnexpectedInput

    text = text if text.endswith("\n") else text + "\n"
    try:
        return parser().parse(text)
    except UnexpectedInput as error:
        line = text.split("\n")[error.line - 1].removesuffix("\r")
        raise syntax_error(line, error.column).at(f"{error.line}:{error.column}") from None


def _split(tree: "Tree[Token]") -> tuple[list["Line"], list["Line"]]:
    directives: list[Line] = []
    body: list[Line] = []
    for line in cast("list[Tree[Token]]", tree.children[1:]):
        (directives if line.data == "header" else body).append(cast("Line", line.children))
    return directives, body


def _body(lines: Iterable["Line"]) -> tuple[tuple[Instruction, ...], tuple[tuple[str, ...], ...]]:
    instructions, locations = [], []
    location: tuple[str, ...] = ()
    for first, *rest in lines:
        try:
            if first == ".loc":
                location = tuple(from_json(token) for token in rest)
                continue
            instructions.append(_instruction(first, rest))
        except IsaError as error:
            raise error.at(f"{first.line}:{first.column}") if not error.place else error from None
        locations.append(location)
    return tuple(instructions), tuple(locations)


def _instruction(mnemonic: "Token", tokens: list["Token"]) -> Instruction:
    spec = BY_NAME[mnemonic]
    operands = []
    for field, token in zip(spec.fields, tokens, strict=True):
        bare = field is spec.fields[0] and positional(spec)
        try:
            operands.append(_operand(field, token if bare else token.partition("=")[2].strip()))
            check_operand(spec.name, field, operands[-1])
        except IsaError as error:
            raise error.at(f"{token.line}:{token.column}") from None
    return Instruction(spec.name, tuple(operands))


def _operand(field: Field, text: str) -> Operand:
    if field.names:
        return field.names.index(text)
    if field.count > 1:
        return tuple(integer(number.strip()) for number in text.strip("[]").split(","))
    return integer(text.removeprefix(field.prefix))


def _payload(header: Header, open_payload: PayloadOpener) -> tuple[bytes, bytes]:
    constants, conductances = header.lengths["constants"], header.lengths["conductances"]
    if not header.payload:
        if constants or conductances:
            raise IsaError("CIM0405", "the header states constants or conductances and no .payload")
        return b"", b""
    place = str(header.lines["payload"])
    if PurePath(header.payload).name != header.payload or "\\" in header.payload or "\0" in header.payload:
        raise IsaError("CIM0426", f"payload file {header.payload!r}, wanted a plain file name", place=place)
    try:
        file = open_payload(header.payload)
    except FileNotFoundError:
        raise IsaError(
            "CIM0426", f"payload file {header.payload!r} is missing", "keep it beside the program text", place
        ) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise IsaError("CIM0426", f"payload file {header.payload!r}: {reason}", place=place) from None
    with file:
        found = file.seek(0, os.SEEK_END)
        if found != constants + conductances:
            raise IsaError(
                "CIM0426", f"payload has {found} bytes, the header says {constants} + {conductances}", place=place
            )
        file.seek(0)
        return file.read(constants), file.read(conductances)


def _check_layers(header: Header, program: Program) -> None:
    try:
        check_layers(program)
    except IsaError as error:
        raise error.at(str(header.lines["layer"])) from None


def _check_hashes(header: Header, program: Program) -> None:
    for name, data in _hashed(header, program).items():
        stated = header.hashes[name]
        if data != stated:
            message = f"{name}: sha256 is {data[:16]}..., the header states {stated[:16]}..."
            raise IsaError(
                "CIM0424",
                message,
                f"the file was changed; remove the hash of .{name} if the change is meant",
                str(header.lines[name]),
            )


def _hashed(header: Header, program: Program) -> Mapping[str, str]:
    hashes: Mapping[str, Callable[[], str]] = {
        "target": lambda: target_hash(program.meta),
        "manifest": lambda: sha256(to_bytes(program)),
        "constants": lambda: program.payload_hashes[0],
        "conductances": lambda: program.payload_hashes[1],
        "code": lambda: sha256(encode_all(program.instructions)),
    }
    return {name: compute() for name, compute in hashes.items() if name in header.hashes}
