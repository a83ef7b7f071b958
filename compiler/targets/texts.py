"""The text of a file that describes a chip, and of which kind of chip it is."""

from typing import Any

from cimc.diagnostics import fail
from cimc.isa.documents import toml_value
from cimc.isa.opening import read_regular

PRICED_ONLY = "cost"
"""`kind` of a chip that has prices and no number rules: nothing compiles for it."""


def chip_text(path: str) -> str:
    """Return the text of a .toml file. Raises CimcError CIM0001, CIM0301 where it cannot be read or is no text."""
    try:
        return read_regular(path, "toml_bytes").decode()
    except OSError as error:
        raise fail("CIM0001", f"cannot read the target file {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise fail("CIM0301", f"{path} is not UTF-8 text") from None


def chip_tables(source: str, file: str) -> dict[str, Any]:
    """Return the tables of a TOML text. Raises CimcError CIM0301."""
    try:
        return toml_value(source, file)
    except ValueError as error:
        raise fail("CIM0301", f"{file}: {error}", hint="a target is a TOML file") from None
