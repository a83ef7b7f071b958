"""cimc asm, objdump and lint."""

import argparse
import sys

from cimc.isa.container import load, save_binary, save_text
from cimc.isa.disassemble import render


def asm_command(options: argparse.Namespace) -> int:
    save_binary(load(options.program), options.output)
    return 0


def objdump_command(options: argparse.Namespace) -> int:
    program = load(options.program)
    if options.output:
        save_text(program, options.output)
    else:
        sys.stdout.write(render(program, "prog.payload"))
    return 0


def lint_command(options: argparse.Namespace) -> int:
    from cimc.isa.lint import lint

    findings = lint(load(options.program))
    for finding in findings:
        print(finding)
    print(f"{options.program}: {len(findings)} finding{'' if len(findings) == 1 else 's'}", file=sys.stderr)
    return 3 if findings else 0
