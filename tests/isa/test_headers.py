"""The C header and the SystemVerilog package take every operand out of a word, in a compiler and in simulators."""

import shutil
import subprocess
from pathlib import Path

import pytest

from cimc.isa.encode import encode, encode_all
from cimc.isa.fuzz import boundary_instructions
from cimc.isa.headers import c_header, systemverilog_package
from cimc.isa.table import TABLE

WORDS = list(boundary_instructions(1))
OPERANDS = [value for one in WORDS for each in one.operands for value in (each if isinstance(each, tuple) else (each,))]
"""Every operand of instructions at the boundaries of their fields, one behind the other."""


def taken(statement: str, case: str) -> str:
    """Return cases of a switch over opcodes that print every operand, by a statement about (field, entry)."""
    lines = []
    for spec in TABLE:
        names = [(f"{spec.name}_{field.name}".upper(), n) for field in spec.fields for n in range(field.count)]
        lines.append(case.format(spec.name.upper(), " ".join(statement.format(name, n) for name, n in names)))
    return "\n".join(lines)


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler")
def test_the_c_header_takes_every_operand(tmp_path: Path) -> None:
    print_one = 'printf("%lld\\n", (long long)cimc_operand(w, CIMC_{0}_LOW, CIMC_{0}_BITS, CIMC_{0}_SIGNED, {1}));'
    cases = taken(print_one, "case CIMC_OP_{}: {} break;")
    loop = "uint8_t w[32]; while (fread(w, 32, 1, stdin)) switch (w[0]) {" + cases + "} return 0;"
    (tmp_path / "isa.h").write_text(c_header())
    (tmp_path / "use.c").write_text('#include "isa.h"\n#include <stdio.h>\nint main(void) {' + loop + "}\n")
    subprocess.run(["cc", "-Wall", "-Werror", "-o", "use", "use.c"], cwd=tmp_path, check=True)
    found = subprocess.run([tmp_path / "use"], input=encode_all(WORDS), capture_output=True, check=True).stdout
    assert [int(line) for line in found.split()] == OPERANDS


def module(tmp_path: Path) -> list[str]:
    """Write a module that takes every operand of the words beside it; return the names of its files."""
    take = 'x = operand(w[i], {0}_LOW, {0}_BITS, {0}_SIGNED, {1}); $display("%0d", x);'
    cases = taken(take, "OP_{}: begin {} end")
    head = f"module use_all; import cimc_isa::*; logic [255:0] w[0:{len(WORDS) - 1}]; longint x;"
    body = f'initial begin $readmemh("words.hex", w); for (int i = 0; i < {len(WORDS)}; i++) case (w[i][7:0])'
    (tmp_path / "use.sv").write_text(f"{head}\n{body}\n{cases}\nendcase $finish; end endmodule\n")
    (tmp_path / "isa.sv").write_text(systemverilog_package())
    (tmp_path / "words.hex").write_text("".join(encode(one)[::-1].hex() + "\n" for one in WORDS))
    return ["isa.sv", "use.sv"]


@pytest.mark.skipif(shutil.which("iverilog") is None, reason="no Icarus Verilog here")
def test_the_systemverilog_package_takes_every_operand(tmp_path: Path) -> None:
    subprocess.run(["iverilog", "-g2012", "-o", "use", *module(tmp_path)], cwd=tmp_path, check=True)
    found = subprocess.run(["vvp", "-n", "use"], cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    assert [int(line) for line in found.split("\n") if line.lstrip("-").isdigit()] == OPERANDS


@pytest.mark.nightly
@pytest.mark.skipif(shutil.which("verilator") is None, reason="no Verilator here")
def test_so_does_it_in_verilator(tmp_path: Path) -> None:
    command = ["verilator", "--binary", "-Wno-fatal", "-Wno-lint", "--top-module", "use_all", *module(tmp_path)]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    run = subprocess.run(["obj_dir/Vuse_all"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert [int(line) for line in run.stdout.split("\n") if line.lstrip("-").isdigit()] == OPERANDS
