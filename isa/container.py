"""Programs as files: binary or text by content on loading; whole files, with fresh checksums, on saving."""

import os
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from cimc.isa import binary
from cimc.isa.atomic import pending_name, write_files, write_pair
from cimc.isa.budgets import require
from cimc.isa.disassemble import render
from cimc.isa.errors import IsaError
from cimc.isa.opening import open_named, open_regular
from cimc.isa.program import Program

DIFFERENT = ("CIM0424", "CIM0426")
"""Codes of a text and a payload that do not go together."""
MOST_RACES = 20
"""How often a text is read again that was replaced while its payload was read."""


class Overtaken(Exception):
    """A writer replaced the text before its payload was read."""


def load_program(path: str | os.PathLike[str]) -> Program:
    """Return the program of a binary or text file. Raises IsaError on what is no whole program, OSError, OverBudget."""
    path = Path(path)
    for _ in range(MOST_RACES):
        with suppress(Overtaken):
            return _load(path, is_last=False)
    return _load(path, is_last=True)


def _load(path: Path, is_last: bool) -> Program:
    with open_regular(path) as file:
        start = file.read(len(binary.MAGIC))
        file.seek(0)
        try:
            if binary.is_container(start):
                return binary.read(file)
            text = _text(file)
        except IsaError as error:
            raise error.at(f"{path}: {error.place}" if error.place else str(path)) from None
        try:
            return _parse(text, path)
        except IsaError as error:
            if error.code in DIFFERENT and not is_last and _is_replaced(path, file, text):
                raise Overtaken from None
            raise


def _is_replaced(path: Path, file: BinaryIO, text: str) -> bool:
    """Return whether the name has another file now, which may hold the same text again, or the file another text."""
    if not path.exists():
        return False
    return not os.path.samestat(os.fstat(file.fileno()), path.stat()) or path.read_bytes() != text.encode()


def save_program(program: Program, path: str | os.PathLike[str]) -> None:
    """Write a program as binary where the name ends in .cimb, else as text. Raises as `save_binary` and `save_text`."""
    (save_binary if str(path).endswith(".cimb") else save_text)(program, path)


def save_binary(program: Program, path: str | os.PathLike[str]) -> None:
    """Write the binary file of a program. Raises IsaError, or OSError with nothing left behind."""
    write_files({Path(path): binary.to_parts(program)})


def save_text(program: Program, path: str | os.PathLike[str]) -> None:
    """Write program text, and `<stem>.payload` beside it if there is payload.

    Raises as `save_binary` does, and IsaError CIM0427 if both names agree.
    """
    path = Path(path)
    payload = path.with_name(f"{path.stem}.payload")
    if payload == path:
        raise IsaError(
            "CIM0427",
            f"program text cannot be saved as {path.name!r}, the name of its payload file",
            "choose a name that ends in .asm",
        )
    text = render(program, payload.name).encode()
    if program.constants or program.conductances:
        write_pair(path, text, payload, (program.constants, program.conductances))
    else:
        write_files({path: (text,)})


def _text(file: BinaryIO) -> str:
    require("text_bytes", os.fstat(file.fileno()).st_size, "bytes of program text")
    data = file.read()
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise IsaError("CIM0420", f"neither a binary program nor text: byte {error.start} is no UTF-8") from None
    if not text.strip():
        raise IsaError("CIM0420", "the file is empty, wanted a program")
    return text


def _parse(text: str, path: Path) -> Program:
    from cimc.isa.assemble import parse

    return parse(text, lambda name: _payload(path.parent, name, text), str(path))


def _payload(folder: Path, name: str, text: str) -> BinaryIO:
    """Return the payload of a text, where it waits for its own name if its writer did not finish."""
    try:
        return open_named(folder, pending_name(name, text.encode()))
    except (OSError, ValueError):
        return open_named(folder, name)
