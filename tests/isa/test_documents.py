"""Generated documents are current, and the package stays light to import."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from cimc.isa import limits
from cimc.isa.encode import isa_hash
from cimc.isa.grammar import grammar, parser
from cimc.isa.headers import c_header, systemverilog_package
from cimc.isa.layout import LAYOUT
from cimc.isa.manual import manual
from cimc.isa.table import TABLE

MANUAL = Path(__file__).parents[2] / "docs" / "isa.md"


def test_the_manual_is_current() -> None:
    assert MANUAL.read_text() == manual(), "run make manual"


def test_the_manual_is_what_its_module_prints() -> None:
    """`make manual` takes it from there."""
    found = subprocess.run([sys.executable, "-m", "cimc.isa.manual"], capture_output=True, text=True, check=True)
    assert found.stdout == manual()


def test_every_instruction_is_in_every_document() -> None:
    texts = (manual(), c_header(), systemverilog_package(), grammar())
    for spec in TABLE:
        assert f"### {spec.name}\n" in texts[0]
        assert f"CIMC_OP_{spec.name.upper()} 0x{spec.opcode:02x}" in texts[1]
        assert re.search(rf"\bOP_{spec.name.upper()} = 8'h{spec.opcode:02x}\b", texts[2])
        assert f"M_{spec.name.upper()}: " in texts[3]


def test_positions_agree_with_the_layout() -> None:
    defined = dict(re.findall(r"#define CIMC_(\w+)_LOW (\d+)", c_header()))
    assert {name: int(low) for name, low in defined.items()} == {
        f"{name}_{slot.field.name}".upper(): slot.low for name, slots in LAYOUT.items() for slot in slots
    }


def test_headers_carry_every_limit_in_bits() -> None:
    widths = {name: value for name, value in vars(limits).items() if name.endswith("_BITS")}
    assert widths["ACCUMULATOR_BITS"] == 52
    for name, value in widths.items():
        assert f"#define CIMC_{name} {value}\n" in c_header()
        assert f"  localparam int {name} = {value};\n" in systemverilog_package()


def test_a_limit_is_no_part_of_the_hash() -> None:
    """The hash is over encodings, which a limit of sums does not change."""
    code = "from cimc.isa import limits; limits.SUM_BITS = 31; from cimc.isa.encode import isa_hash; print(isa_hash())"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == isa_hash()


def test_the_parser_is_made_once() -> None:
    assert parser() is parser()


@pytest.mark.parametrize("option", ["--c", "--sv"])
def test_the_header_command_prints(option: str) -> None:
    found = subprocess.run(
        [sys.executable, "-m", "cimc.isa.headers", option], capture_output=True, text=True, check=True
    )
    assert found.stdout == (c_header() if option == "--c" else systemverilog_package())


def test_imports_are_light() -> None:
    modules = "container, binary, encode, lint, disassemble, assemble, manual, fuzz"
    code = f"import sys; from cimc.isa import {modules}; print({{'lark', 'numpy'}} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "set()"
