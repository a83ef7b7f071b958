"""What changed between two programs, targets or reports: plain values by path, and conditions on them."""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from typing import Any

from cimc.backends.cost.estimate import estimate
from cimc.backends.cost.facts import facts
from cimc.diagnostics import fail
from cimc.driving.json_files import read_json
from cimc.isa.binary import program_digest
from cimc.isa.container import load_program
from cimc.isa.program import Program
from cimc.targets import built_in_names, load_target
from cimc.targets.macro import is_macro, load_macro

Value = str | int | float | bool | None
Values = Mapping[str, Value]

ENDINGS = {"energy": "energy_pj.value", "time": "time_ns.value", "efficiency": "chip_tops_per_w.value"}
"""Short names of conditions -> how the paths that they mean end."""
COST = ("time_ns", "energy_pj", "chip_tops_per_w", "components_pj", "counters")
"""What of a program's costs is compared; the rest follows from it or says where it comes from."""


@dataclass(frozen=True)
class Change:
    """A path whose value differs; None where one side does not have it."""

    path: str
    before: Value
    after: Value

    @property
    def share(self) -> float | None:
        """How much larger the value has become, as a share of what it was; None where that means nothing."""
        numbers = [v for v in (self.before, self.after) if isinstance(v, (int, float)) and not isinstance(v, bool)]
        return (numbers[1] - numbers[0]) / abs(numbers[0]) if len(numbers) == 2 and numbers[0] else None


@dataclass(frozen=True)
class Condition:
    """What must not happen: a value grows by more than a share of what it was, or, below 0, shrinks by more."""

    text: str
    name: str
    limit: float

    def met(self, changes: Sequence[Change]) -> list[Change]:
        """Return the changes that meet it: those of its name or, where the name is short, of what it stands for."""
        named = (change for change in changes if matches(self.name, change.path))
        return [change for change in named if change.share is not None and self._beyond(change.share)]

    def _beyond(self, share: float) -> bool:
        return share > self.limit if ">" in self.text else share < self.limit


def matches(name: str, path: str) -> bool:
    """Return whether a name means a path: the whole path, its end, or what the short name stands for."""
    ending = ENDINGS.get(name, name)
    return path == ending or path.endswith(f".{ending}")


def condition(text: str) -> Condition:
    """Return the condition of a text such as energy>5% or accuracy<-1%. Raises CimcError CIM0003."""
    found = re.fullmatch(r"([\w./ -]+?)\s*(?:>\s*(\d+(?:\.\d+)?)|<\s*(-\d+(?:\.\d+)?))\s*%", text)
    if not found:
        hint = "write energy>5% (more than 5 % more) or accuracy<-1% (more than 1 % less)"
        raise fail("CIM0003", f"--fail-on {text!r} is not a name, > or <, and a share in %", hint=hint)
    return Condition(text, found[1], float(found[2] or found[3]) / 100)


def require_known(one: Condition, before: Values, after: Values) -> None:
    """Raise CimcError CIM0003 where no value of either side has the condition's name."""
    paths = [*before, *after]
    if not any(matches(one.name, path) for path in paths):
        ends = {path.rpartition(".")[2] for path in paths} | set(ENDINGS)
        near = get_close_matches(one.name, sorted(ends), 3) or sorted(ENDINGS)
        raise fail("CIM0003", f"--fail-on {one.text!r}: there is no {one.name!r}", hint=f"try {', '.join(near)}")


def values_of(source: str) -> Values:
    """Return everything comparable of a program, a target or priced macro, or a report (.json), by path.

    Targets and macros go by name or .toml, targets also with constants changed.
    """
    if source.endswith(".json"):
        return dict(_flat(read_json(source, "CIM0201", "compare reports that cimc writes"), ""))
    if is_macro(source):
        return dict(_flat(asdict(load_macro(source)), ""))
    base = source.partition(",")[0]
    if base in built_in_names() or base.endswith(".toml"):
        return dict(_flat(load_target(source).sections(), ""))
    return dict(_flat(program_facts(load_program(source)), ""))


def changes_of(before: Values, after: Values) -> list[Change]:
    """Return what differs, in the order of the first side; what only the second has comes behind."""
    paths = [*before, *(path for path in after if path not in before)]
    pairs = (Change(path, before.get(path), after.get(path)) for path in paths)
    return [one for one in pairs if one.before != one.after]


def program_facts(program: Program) -> dict[str, Any]:
    """Return what a program is made of: target, mapping, instructions, data by hash, counters, costs, making."""
    cost = facts(estimate(program), program, "layer")
    return {
        "program": program_digest(program),
        "target": program.meta["target"],
        "mapping": dict(_mapping(program)),
        "instructions": {"all": len(program.instructions), **Counter(one.name for one in program.instructions)},
        "constants": _data(program.constants),
        "conductances": _data(program.conductances),
        "activation_bytes": program.activation_bytes,
        **{name: cost[name] for name in COST},
        "making": dict(program.origin),
    }


def _mapping(program: Program) -> Iterator[tuple[str, str]]:
    """Yield each layer on the array with where its blocks lie."""
    blocks: dict[str, list[str]] = {}
    for one in program.blocks:
        blocks.setdefault(one.layer, []).append(f"{one.rows}x{one.cols} at {one.tile}:{one.row},{one.col}")
    return ((layer, "; ".join(places)) for layer, places in blocks.items())


def _data(content: bytes) -> dict[str, Any]:
    return {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()[:16]}


def _flat(value: Any, path: str) -> Iterator[tuple[str, Value]]:
    """Yield every plain value within a value, with its path: keys with points between them, numbers in lists."""
    if isinstance(value, Mapping):
        for key, part in value.items():
            yield from _flat(part, f"{path}.{key}" if path else str(key))
    elif isinstance(value, (list, tuple)) and any(isinstance(part, (Mapping, list, tuple)) for part in value):
        for number, part in enumerate(value):
            yield from _flat(part, f"{path}.{_name(part, number)}")
    else:
        yield path, json.dumps(value) if isinstance(value, (list, tuple)) else value


def _name(part: Any, number: int) -> str:
    """Return what an entry of a list is called: rows by their names, so that a new one does not shift the others."""
    return str(part["name"]) if isinstance(part, Mapping) and "name" in part else str(number)
