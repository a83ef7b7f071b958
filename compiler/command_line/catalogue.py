"""cimc target, noise and passes: list what there is, show one in full."""

import argparse
import sys
from collections.abc import Iterable, Iterator, Sequence
from inspect import cleandoc
from typing import TYPE_CHECKING

from cimc.command_line.parsing import did_you_mean
from cimc.diagnostics import fail
from cimc.driving.tables import tabulate, terminal_width

if TYPE_CHECKING:
    from cimc.backends.noise.table import Source
    from cimc.passes.pipeline import Row
    from cimc.targets import Target

TYPES = {int: "whole number", float: "number", str: "word"}
"""Types of the options of passes, for people."""


def target_command(options: argparse.Namespace) -> int:
    from cimc.targets import built_in_names, load_target

    if options.action == "list":
        targets = [load_target(name) for name in built_in_names()]
        _print(("target", "chip"), [(target.name, _introduced(target, targets)) for target in targets])
    else:
        sys.stdout.write(load_target(_name(options, [*built_in_names(), "or a .toml file"])).render())
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
        _print(("profile", "statistics"), [(name, load_profile(name).summary) for name in built_in_names()])
        print()
        rows = [(one.name, "yes" if one.by_default else "no", one.disturbs) for one in SOURCES]
        _print(("source", "by default", "disturbs"), rows)
    else:
        _show_noise(_name(options, [*built_in_names(), *NAMES, "or a .toml file"]))
    return 0


def _show_noise(name: str) -> None:
    """Print a source and what a profile may say of it, or the file of a profile. Raises Refusal CIM0530, CIM0531."""
    from cimc.backends.machine.traps import Refusal
    from cimc.backends.noise.profiles import built_in_names, profile_text
    from cimc.backends.noise.table import SOURCES

    sources = {one.name: one for one in SOURCES}
    known = [*built_in_names(), *sources]
    if name in sources:
        print(f"{name}: {sources[name].disturbs}\n")
        _print(("constant", "unit", "default", "takes"), list(_constants(sources[name])))
    elif name in known or name.endswith(".toml"):
        sys.stdout.write(profile_text(name))
    else:
        hint = did_you_mean(name, known, f"one of {', '.join(known)}, or a .toml file")
        raise Refusal("CIM0531", f"there is no noise profile or source named {name!r}", hint)


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
        _print(("pass", "options", "why it stands in this place"), rows)
        return 0
    known = {row.name: row for row in PASSES}
    name = _name(options, known)
    if name not in known:
        hint = did_you_mean(name, known, f"one of {', '.join(known)}")
        raise fail("CIM0305", f"there is no pass named {name!r}", hint=hint)
    print("\n".join(_told(known[name])))
    return 0


def _told(row: "Row") -> Iterator[str]:
    """Yield what a pass does, why it stands where it does, and its options with types and defaults."""
    yield f"{row.name}: {cleandoc(row.kind.__doc__ or '')}\n"
    yield f"  in its place because   {row.reason}"
    if row.requires:
        yield f"  must stand behind      {', '.join(row.requires)}"
    if row.options:
        yield f"\nOptions, set with --set '{row.name}{{OPTION=VALUE}}':"
        rows = [(one.name, TYPES[type(one.default)], str(one.default)) for one in row.options]
        yield from tabulate([("option", "type", "default"), *rows], terminal_width())


def _name(options: argparse.Namespace, known: Iterable[str]) -> str:
    """Return the name given behind `show`. Raises CimcError CIM0003 where there is none."""
    if not options.name:
        raise fail("CIM0003", f"`cimc {options.shown} show` needs a name", hint=f"one of {', '.join(known)}")
    return str(options.name)


def _print(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    print("\n".join(tabulate([heads, *rows], terminal_width())))
