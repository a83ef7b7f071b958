"""JSON files that a user has named."""

from typing import Any

from cimc.diagnostics import fail
from cimc.isa.documents import json_value
from cimc.isa.opening import read_regular


def read_json(path: str, code: str, hint: str) -> Any:
    """Return the value of a JSON file. Raises OSError, OverBudget, and CimcError `code` where it holds none."""
    try:
        return json_value(read_regular(path, "json_bytes").decode(), path)
    except ValueError as error:
        raise fail(code, f"{path} is not JSON: {error}", hint=hint) from None
