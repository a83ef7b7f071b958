"""The forms in which errors and warnings are printed: for people, or one JSON object a line."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from cimc.diagnostics import Diagnostic, DiagnosticError
from cimc.isa.errors import CimcError, CimcWarning

OPTION, FORMS = "--diagnostics", ("text", "json")
PLACES = ("place", "node", "operator", "port", "index", "locations")
"""What errors may say of their place, each where it knows it."""


class Form:
    """Prints for people."""

    def error(self, error: CimcError) -> str:
        return str(error)

    def warning(self, warning: CimcWarning) -> str:
        return warning.render()


class JsonForm(Form):
    """One JSON object a line: severity, code, message, hint, and for an error exit status and place."""

    def error(self, error: CimcError) -> str:
        return "\n".join(json.dumps(facts) for facts in _facts(error))

    def warning(self, warning: CimcWarning) -> str:
        facts = {"severity": "warning", "code": warning.code, "message": warning.message, "hint": warning.hint}
        return json.dumps({name: value for name, value in facts.items() if value})


def form_in(arguments: Sequence[str]) -> Form:
    """Return the form that arguments ask for, whether or not they can be parsed."""
    pairs = zip(arguments, [*arguments[1:], ""], strict=False)
    wanted = any(f"{name}={value}".startswith(f"{OPTION}=json") for name, value in pairs)
    return JsonForm() if wanted else Form()


def _facts(error: CimcError) -> Iterator[dict[str, Any]]:
    """Yield the facts of each problem of an error."""
    problems: Sequence[CimcError | Diagnostic] = error.diagnostics if isinstance(error, DiagnosticError) else [error]
    for one in problems:
        places = {name: found for name in PLACES if (found := getattr(one, name, None)) not in ("", None, ())}
        facts = {"severity": "error", "code": one.code, "status": error.codes[one.code].status, "message": one.message}
        yield {**facts, **({"hint": one.hint} if one.hint else {}), **places}
