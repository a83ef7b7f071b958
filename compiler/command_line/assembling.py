"""cimc asm, objdump and lint."""

import argparse
import json
import sys
from dataclasses import asdict

from cimc.command_line.files import keep_inputs, payload_beside, write, writing
from cimc.command_line.programs import program_of
from cimc.diagnostics import fail
from cimc.driving.provenance import program_text
from cimc.isa.binary import program_digest, to_parts
from cimc.isa.container import load_program, save_text
from cimc.isa.disassemble import render
from cimc.isa.errors import INVALID
from cimc.isa.opening import STANDARD
from cimc.isa.program import Program
from cimc.isa.sections import SECTIONS


def asm_command(options: argparse.Namespace) -> int:
    keep_inputs(options, [options.output])
    if options.json and options.output == STANDARD:
        raise fail(
            "CIM0003", "--json and the program would both be standard output", hint="write the program to a file"
        )
    program = program_of(options)
    write(options.output, *to_parts(program))
    if options.json:
        print(json.dumps({"output": options.output, **_facts(program)}))
    return 0


def _facts(program: Program) -> dict[str, object]:
    """Return a program's hash, and what it has."""
    return {
        "program": program_digest(program),
        "instructions": len(program.instructions),
        "constant_bytes": len(program.constants),
        "conductance_bytes": len(program.conductances),
    }


def objdump_command(options: argparse.Namespace) -> int:
    if options.output:
        outputs = [options.output, payload_beside(options.output)]
        keep_inputs(options, outputs)
    elif options.section or options.numbers:
        lines = SECTIONS[options.section or "code"](load_program(options.program))
        print("\n".join(lines))
        return 0
    program = load_program(options.program)
    if options.output:
        with writing(options.output):
            save_text(program, options.output)
    else:
        sys.stdout.write(render(program, "prog.payload"))
    return 0


def lint_command(options: argparse.Namespace) -> int:
    from cimc.isa.lint import lint

    program = program_of(options)
    findings = lint(program)
    if options.json:
        facts = {"file": options.program, "program": program_digest(program)}
        print(json.dumps({**facts, "findings": [asdict(finding) for finding in findings]}))
    else:
        print("".join(f"{finding}\n" for finding in findings), end="")
    count = f"{len(findings)} finding{'' if len(findings) == 1 else 's'}"
    print(f"{options.program}, {program_text(program)}: {count}", file=sys.stderr)
    return INVALID if findings else 0
