"""JSON and TOML of others: whatever they hold, the answer is a value, a ValueError that says why not, or OverBudget."""

import json
import re
import tomllib
from collections.abc import Callable
from typing import Any

from cimc.isa.budgets import require

DOTTED = re.compile(r"""[\w"'-][ \t]*\.(?=[ \t]*[\w"'-])""")
KEYS = re.compile(r"""[^\w"'.\- \t]+""")
"""What ends a key in TOML: a dotted key lies between two of these."""


def json_value(text: str, what: str, **hooks: Any) -> Any:
    """Return the value of JSON text. Raises ValueError, OverBudget about `what`; hooks are those of `json.loads`."""
    require("json_bytes", len(text), f"the bytes of {what}")
    require_digits(text, what)
    try:
        value = json.loads(text, **hooks)
    except RecursionError:
        raise ValueError("it nests too deep") from None
    require("depth", _depth(value), f"the depth of {what}")
    return value


def toml_value(text: str, what: str, parse_float: Callable[[str], Any] = float) -> dict[str, Any]:
    """Return the tables of TOML text. Raises ValueError, and OverBudget about `what`."""
    require("toml_bytes", len(text), f"the bytes of {what}")
    require_digits(text, what)
    require("depth", max(map(_dots, KEYS.split(text)), default=0), f"the names of a dotted key of {what}")
    try:
        value = tomllib.loads(text, parse_float=parse_float)
    except RecursionError:
        raise ValueError("it nests too deep") from None
    require("depth", _depth(value), f"the depth of {what}")
    return value


def require_digits(text: str, what: str) -> None:
    """Raise OverBudget where a number in a text has too many digits: reading it would take quadratic time."""
    longest = max((len(match[0]) for match in re.finditer(r"[0-9]{20,}", text)), default=0)
    require("digits", longest, f"the digits of a number of {what}")


def _dots(key: str) -> int:
    return len(DOTTED.findall(key)) if "." in key else 0


def _depth(value: Any) -> int:
    """Return how deep lists and dictionaries nest, without recursion."""
    depth, level = 0, [value]
    while level := [one for one in level if isinstance(one, (list, dict))]:
        depth += 1
        level = [inner for one in level for inner in (one.values() if isinstance(one, dict) else one)]
    return depth
