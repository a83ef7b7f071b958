"""cimc check, target and explain."""

import argparse
import sys
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from cimc.diagnostics import CODES, CimcError, fail


def check_command(options: argparse.Namespace) -> int:
    from cimc.frontend import check

    problems = check(Path(options.model), options.unbatched)
    if problems:
        raise CimcError(problems)
    print(f"{options.model}: everything in this model can be compiled")
    return 0


def target_command(options: argparse.Namespace) -> int:
    from cimc.targets import built_in_names, load_target

    if options.action == "list":
        names = built_in_names()
        for name in names:
            print(f"{name:{max(map(len, names))}}  {load_target(name).summary}")
        return 0
    if not options.name:
        raise fail(
            "CIM0003", "`cimc target show` needs a name", hint=f"one of {', '.join(built_in_names())}, or a .toml file"
        )
    sys.stdout.write(load_target(options.name).render())
    return 0


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
    from cimc.backends.traps import CODES as MACHINE
    from cimc.isa.errors import CODES as INSTRUCTIONS

    return {**CODES, **INSTRUCTIONS, **MACHINE}
