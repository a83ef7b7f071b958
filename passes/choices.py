"""Options of passes that are one of a few words."""

from collections.abc import Iterable

from cimc.diagnostics import fail


def require_choice(stem: str, option: str, found: str, known: Iterable[str]) -> None:
    """Raise CimcError CIM0305 unless an option of the pass `stem` has one of the words known."""
    words = list(known)
    if found not in words:
        raise fail("CIM0305", f"{stem}{{{option}}} is {found!r}", hint=f"it can be {' or '.join(words)}")
