"""cimc target, noise and passes: list what there is, show one in full."""

import argparse
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from inspect import cleandoc
from typing import TYPE_CHECKING, Any

from cimc.command_line.parsing import hint_for
from cimc.diagnostics import fail
from cimc.driving.tables import tabulate, terminal_width
from cimc.isa.documents import toml_value
from cimc.isa.names import escaped

if TYPE_CHECKING:
    from cimc.backends.noise.table import Source
    from cimc.passes.pipeline import Row
    from cimc.targets import Target

Tables = Mapping[str, tuple[Sequence[str], Sequence[Sequence[str]]]]
"""Heads and rows of each table, by its name in JSON."""
TYPES = {int: "whole number", float: "number", str: "word"}
"""Types of the options of passes, for people."""


def target_command(options: argparse.Namespace) -> int:
    from cimc.targets import built_in_names, load_target

    if options.action == "list":
        targets = [load_target(name) for name in built_in_names()]
        rows = [(target.name, _introduced(target, targets)) for target in targets]
        return _print(options, {"targets": (("target", "chip"), rows)})
    target = load_target(_name(options, [*built_in_names(), "or a .toml file"]))
    if options.json:
        print(json.dumps({"name": target.name, **target.sections()}))
    else:
        sys.stdout.write(target.render())
    return 0


def _introduced(target: "Target", known: "Sequence[Target]") -> str:
    """Return a target's summary; for a variant, the constants in which it differs from its base."""
    base = next((one for one in known if target.name.startswith(f"{one.name}-")), None)
    if base is None:
        return target.summary
    changed = [f"{key} {value}" for key, value in target.constants.items() if value != base.constants.get(key)]
    return f"{base.name} with {', '.join(changed)}"


def noise_command(options: argparse.Namespace) -> int:
    from cimc.backends.noise.profiles import built_in_names, load_profile
    from cimc.backends.noise.table import NAMES, SOURCES

    if options.action == "list":
        profiles = [(name, load_profile(name).summary) for name in built_in_names()]
        rows = [(one.name, "yes" if one.by_default else "no", one.disturbs) for one in SOURCES]
        heads = ("source", "by default", "disturbs")
        return _print(options, {"profiles": (("profile", "statistics"), profiles), "sources": (heads, rows)})
    return _show_noise(options, _name(options, [*built_in_names(), *NAMES, "or a .toml file"]))


def _show_noise(options: argparse.Namespace, name: str) -> int:
    """Print a source and what a profile may say of it, or the file of a profile. Raises Refusal CIM0530, CIM0531."""
    from cimc.backends.machine.traps import Refusal
    from cimc.backends.noise.profiles import built_in_names, parse_profile, profile_text
    from cimc.backends.noise.table import SOURCES

    sources = {one.name: one for one in SOURCES}
    known = [*built_in_names(), *sources]
    if name in sources:
        table = (("constant", "unit", "default", "takes"), list(_constants(sources[name])))
        facts = {"name": name, "disturbs": sources[name].disturbs}
        return _print(options, {"constants": table}, facts, f"{name}: {sources[name].disturbs}\n")
    if name in known or name.endswith(".toml"):
        text = profile_text(name)
        parse_profile(text, name)  # any other file is refused
        sys.stdout.write(f"{json.dumps(toml_value(text, name))}\n" if options.json else _shown_text(text))
        return 0
    hint = hint_for(name, known, f"one of {', '.join(known)}, or a .toml file")
    raise Refusal("CIM0531", f"there is no noise profile or source named {name!r}", hint)


def _shown_text(text: str) -> str:
    """Return the text of a file without what would write to the terminal; tabs and ends of lines stay."""
    lines = text.replace("\r\n", "\n").split("\n")
    return "\n".join("\t".join(map(escaped, line.split("\t"))) for line in lines)


def _constants(source: "Source") -> Iterator[tuple[str, str, str, str]]:
    """Yield what a profile may say of a source; a constant without a default must be given."""
    for key, number in source.numbers.items():
        yield key, number.unit, "-" if number.default is None else number.default, f"{number.low} to {number.high}"
    for key, choices in source.choices.items():
        yield key, "-", choices[0], " or ".join(choices)
    for key, units in source.curves.items():
        yield key, " or ".join(units), "0", "a curve over conductance"


def passes_command(options: argparse.Namespace) -> int:
    from cimc.passes.pipeline import PASSES

    if options.action == "list":
        rows = [(row.name, ", ".join(one.name for one in row.options) or "-", row.reason) for row in PASSES]
        return _print(options, {"passes": (("pass", "options", "why it stands in this place"), rows)})
    known = {row.name: row for row in PASSES}
    name = _name(options, known)
    if name not in known:
        hint = hint_for(name, known, f"one of {', '.join(known)}")
        raise fail("CIM0305", f"there is no pass named {name!r}", hint=hint)
    row = known[name]
    facts = {"name": name, "does": cleandoc(row.kind.__doc__ or ""), "reason": row.reason, "requires": row.requires}
    options_of = [(one.name, TYPES[type(one.default)], str(one.default)) for one in row.options]
    table = {"options": (("option", "type", "default"), options_of)} if options_of or options.json else {}
    return _print(options, table, facts, "\n".join(_told(row)))


def _told(row: "Row") -> Iterator[str]:
    """Yield what a pass does, why it stands where it does, and how its options are set."""
    yield f"{row.name}: {cleandoc(row.kind.__doc__ or '')}\n"
    yield f"  in its place because   {row.reason}"
    if row.requires:
        yield f"  must stand behind      {', '.join(row.requires)}"
    if row.options:
        yield f"\nOptions, set with --set '{row.name}{{OPTION=VALUE}}':"


def _name(options: argparse.Namespace, known: Iterable[str]) -> str:
    """Return the name given behind `show`. Raises CimcError CIM0003 where there is none."""
    if not options.name:
        raise fail("CIM0003", f"`cimc {options.shown} show` needs a name", hint=f"one of {', '.join(known)}")
    return str(options.name)


def _print(options: argparse.Namespace, tables: Tables, facts: Mapping[str, Any] | None = None, head: str = "") -> int:
    """Print a head and tables for people, or facts and tables as one JSON object; return the exit status."""
    if options.json:
        rows = {name: [dict(zip(heads, row, strict=True)) for row in found] for name, (heads, found) in tables.items()}
        print(json.dumps({**(facts or {}), **rows}))
        return 0
    shown = ["\n".join(tabulate([heads, *rows], terminal_width())) for heads, rows in tables.values()]
    print("\n".join([*([head] if head else []), *(["\n\n".join(shown)] if shown else [])]))
    return 0
