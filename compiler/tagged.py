"""Tagged TOML, as targets and noise profiles are written: constants with unit and source, by section.key.

    name = "aon-cim"
    [array]
    rows = { value = 1024, unit = "rows", source = "verified" }
    [timing]
    phase = { value = 130.0, low = 129.0, high = 131.0, unit = "ns", source = "derived" }

Both have a schema of their own and raise errors of their own; what is wrong with the form of an entry is said here.
"""

from collections.abc import Collection, Iterator, Mapping
from math import isfinite
from typing import Any

TAGS = ("verified", "secondary", "derived", "unverified")
"""Where a number is from: read in the source that the file names, told by others, computed from such, or guessed."""

_CONTENTS = ("value", "pieces")
_BOUNDS = ("low", "high")
_MEMBERS = {*_CONTENTS, "unit", "source"}


class TaggedText:
    """The entries of a text by path, and the problems found in them so far: sentences that start with the path."""

    def __init__(self, data: Mapping[str, Any]) -> None:
        self.name, self.summary = str(data.get("name", "")), str(data.get("summary", ""))
        self.entries: dict[str, Any] = {}
        self.problems: list[str] = []
        self.amend({key: value for key, value in data.items() if key not in ("name", "summary")})

    def amend(self, data: Mapping[str, Any]) -> None:
        """Let sections of another text take the place of entries."""
        self.entries.update(_entries(data, ""))

    def entry(self, path: str) -> Any:
        """Return the entry of a path, None where it is missing, which is a problem."""
        if path not in self.entries:
            self.problems.append(f"constant {path!r} is missing")
        return self.entries.get(path)

    def content(self, path: str, entry: Any, units: Collection[str], name: str = "value") -> Any:
        """Return the content of an entry, `name`; None where it is not tagged as it must be, which is a problem."""
        if not isinstance(entry, dict) or name not in entry:
            self.problems.append(f"{path} must be written {{ {name} = ..., unit = ..., source = ... }}")
            return None
        found = [
            f"{path} has {member} {entry.get(member)!r}, not {_alternatives(allowed)}"
            for member, allowed in (("unit", units), ("source", TAGS))
            if entry.get(member) not in allowed
        ]
        self.problems += found
        return None if found else entry[name]

    def bounds(self, path: str) -> tuple[float, float] | None:
        """Return the bounds that an entry states for its value, None where it states none, or wrong ones: a problem."""
        entry = self.entries.get(path)
        if not isinstance(entry, dict) or not any(name in entry for name in _BOUNDS):
            return None
        low, value, high = (entry.get(name) for name in ("low", "value", "high"))
        numbers = [one for one in (low, value, high) if isinstance(one, (int, float)) and not isinstance(one, bool)]
        if len(numbers) == 3 and numbers == sorted(numbers) and numbers[0] >= 0 and isfinite(numbers[2]):
            return numbers[0], numbers[2]
        self.problems.append(f"{path} has low {low!r}, value {value!r}, high {high!r}: numbers, each at most the next")
        return None

    def check_names(self, what: str, known: Collection[str]) -> None:
        """Note paths that are not known, and a missing name of the whole."""
        self.problems += [f"there is no constant {path!r}" for path in self.entries if path not in known]
        if not self.name:
            self.problems.append(f'a {what} needs a name = "..."')


def _entries(data: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    """Yield path and entry of all that lies in sections; a table with a member of an entry is no section."""
    for key, value in data.items():
        if isinstance(value, dict) and not _MEMBERS & set(value):
            yield from _entries(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def _alternatives(allowed: Collection[str]) -> str:
    return " or ".join(map(repr, allowed)) if len(allowed) < len(TAGS) else f"one of {', '.join(allowed)}"
