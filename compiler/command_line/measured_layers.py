"""What measured layers say that they come from."""

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from cimc.backends.silicon.bands import ORIGIN
from cimc.diagnostics import fail
from cimc.isa.documents import json_value

OTHERS = {"program": "another program", "inputs": "other inputs"}
"""Part of an origin -> what it is called where it is not the wanted one."""


def other_origin(wanted: Mapping[str, str], measured: Mapping[str, NDArray[Any]], path: str, code: str) -> str | None:
    """Return what the arrays of a file were measured with instead of `wanted`, None where with that.

    Raises KeyError where the file has no origin, CimcError `code` where what it has is none.
    """
    said = str(measured[ORIGIN])
    try:
        found = json_value(said, path)
        different = [name for name in OTHERS if found[name] != wanted[name]]
    except (KeyError, TypeError, ValueError):
        raise fail(code, f"{path}: {ORIGIN} is not what `cimc run --layers` writes") from None
    return OTHERS[different[0]] if different else None
