"""cimc check and explain: what is wrong with a model, and what an error code means."""

import argparse
import json
from dataclasses import asdict
from difflib import get_close_matches
from pathlib import Path

from cimc.diagnostics import CODES, DiagnosticError, fail
from cimc.driving.tables import tabulate, terminal_width
from cimc.isa.errors import Code


def check_command(options: argparse.Namespace) -> int:
    from cimc.command_line.specialising import specialisation_of
    from cimc.frontend import check

    problems = check(Path(options.model), specialisation_of(options))
    if problems:
        if options.json:
            print(json.dumps({"model": options.model, "problems": [asdict(one) for one in problems]}))
        raise DiagnosticError(problems)
    sentence = f"{options.model}: everything in this model can be compiled"
    print(json.dumps({"model": options.model, "problems": []}) if options.json else sentence)
    return 0


def explain_command(options: argparse.Namespace) -> int:
    codes = _all_codes()
    if options.list:
        rows = [(name, str(code.status), code.title) for name, code in sorted(codes.items())]
        if options.json:
            print(json.dumps({name: code._asdict() for name, code in sorted(codes.items())}))
            return 0
        print("\n".join(tabulate([("code", "exit status", "title"), *rows], terminal_width())))
        return 0
    if not options.code:
        raise fail("CIM0003", "`cimc explain` needs a code", hint="`cimc explain --list` lists them all")
    found = codes.get(options.code.upper())
    if found is None:
        near = get_close_matches(options.code.upper(), codes, 3)
        raise fail(
            "CIM0003",
            f"there is no error code {options.code!r}",
            hint=f"did you mean {' or '.join(near)}?" if near else f"codes run from {min(codes)} to {max(codes)}",
        )
    name, sentence = options.code.upper(), f"{found.title} (exit status {found.status})\n\n{found.explanation}"
    print(json.dumps({"code": name, **found._asdict()}) if options.json else f"{name}: {sentence}")
    return 0


def _all_codes() -> dict[str, Code]:
    """Return the codes of every layer: compiler, instruction set, machine."""
    from cimc.backends.machine.traps import CODES as MACHINE
    from cimc.isa.budgets import CODES as BUDGETS
    from cimc.isa.errors import CODES as INSTRUCTIONS

    return {**CODES, **BUDGETS, **INSTRUCTIONS, **MACHINE}
