"""cimc check, target and explain."""

import argparse
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cimc.diagnostics import CODES, DiagnosticError, fail
from cimc.driving.tables import tabulate, terminal_width

if TYPE_CHECKING:
    from cimc.targets import Target


def check_command(options: argparse.Namespace) -> int:
    from cimc.frontend import check

    problems = check(Path(options.model), options.unbatched, dict(options.shape))
    if problems:
        raise DiagnosticError(problems)
    print(f"{options.model}: everything in this model can be compiled")
    return 0


def target_command(options: argparse.Namespace) -> int:
    from cimc.targets import built_in_names, load_target

    if options.action == "list":
        targets = [load_target(name) for name in built_in_names()]
        rows = [("target", "chip"), *((target.name, _introduced(target, targets)) for target in targets)]
        print("\n".join(tabulate(rows, terminal_width())))
        return 0
    if not options.name:
        raise fail(
            "CIM0003", "`cimc target show` needs a name", hint=f"one of {', '.join(built_in_names())}, or a .toml file"
        )
    sys.stdout.write(load_target(options.name).render())
    return 0


def _introduced(target: "Target", known: "Sequence[Target]") -> str:
    """Return a target's summary; for a variant, the constants in which it differs from its base."""
    base = next((one for one in known if target.name.startswith(f"{one.name}-")), None)
    if base is None:
        return target.summary
    changed = [f"{key} {value}" for key, value in target.constants.items() if value != base.constants.get(key)]
    return f"{base.name} with {', '.join(changed)}"


def explain_command(options: argparse.Namespace) -> int:
    codes = _all_codes()
    found = codes.get(options.code.upper())
    if found is None:
        near = get_close_matches(options.code.upper(), codes, 3)
        raise fail(
            "CIM0003",
            f"there is no error code {options.code!r}",
            hint=f"did you mean {' or '.join(near)}?" if near else f"codes run from {min(codes)} to {max(codes)}",
        )
    print(f"{options.code.upper()}: {found.title} (exit status {found.status})\n\n{found.explanation}")
    return 0


def _all_codes() -> dict[str, Any]:
    """Return the codes of every layer: compiler, instruction set, machine."""
    from cimc.backends.machine.traps import CODES as MACHINE
    from cimc.isa.budgets import CODES as BUDGETS
    from cimc.isa.errors import CODES as INSTRUCTIONS

    return {**CODES, **BUDGETS, **INSTRUCTIONS, **MACHINE}
