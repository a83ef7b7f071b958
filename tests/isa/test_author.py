"""Programs written by hand: what the author puts, shares, amends and refuses."""

import numpy as np
import pytest

from cimc.isa.assemble import parse
from cimc.isa.author import Author
from cimc.isa.constants import ConstantMemory
from cimc.isa.disassemble import render
from cimc.isa.errors import IsaError
from cimc.isa.program import Program, instruction


def doubled() -> Author:
    """A program that adds its input to itself, and programmes a block it does not use."""
    author = Author({"array": {"rows": 2}}, activation_bytes=16)
    author.names = ("sum",)
    author.port("x", (4,), 0).port("y", (4,), 8, output=True).block(3, [[1, -2], [3, 4]])
    author.tensor(0, (4,)).tensor(1, (4,), 8)
    return author.put("add", a=0, b=0, out=1, ma=1, mb=1, bias=0, shift=0, low=-128, high=127)


def test_an_author_writes_what_text_says() -> None:
    program = doubled().program()
    payload = program.constants + program.conductances
    text = render(program, "p")
    assert "add a=s0, b=s0, out=s1, ma=1, mb=1" in text and text.count('.loc "sum"') == 1
    assert "shape=[1, 1, 1, 4], pitch=[4, 4, 4, 1]" in text
    assert payload == np.array([1, -2, 3, 4], "<i2").tobytes()
    assert program.block_columns == {3: 2}
    assert program.instructions[-1] == instruction("halt") and len(program.locations) == len(program.instructions)


def test_a_program_may_be_asked_for_twice_and_go_on_between() -> None:
    author = doubled()
    first = author.program()
    assert author.program() == first
    longer = author.put("nop").program()
    assert [one.name for one in longer.instructions[-3:]] == ["add", "nop", "halt"]


def test_an_author_goes_on_from_a_program_and_leaves_it_as_it_is() -> None:
    program = doubled().program()
    author = Author.of(program)
    assert author.program() == program
    assert author.table([-5, 1 << 40], "i64") == 0
    author.amend(3, ma=2, high=100)
    changed = author.program().instructions[3]
    assert (changed["ma"], changed["mb"], changed["high"]) == (2, 1, 100)
    assert program.instructions[3]["ma"] == 1 and program.constants == b""
    assert author.matrix([[7]]) == 8


def test_changed_replaces_only_what_it_is_told() -> None:
    one = instruction("move", in_=1, out=2)
    assert one.changed(in_=5) == instruction("move", in_=5, out=2)
    assert one.changed(in_=5).changed(in_=1) == one


@pytest.mark.parametrize(
    ("name", "operands", "said"),
    [
        ("mov", {}, "error[CIM0402]: unknown instruction 'mov'\n  hint: did you mean move?"),
        ("move", {"in_": 0}, "error[CIM0403]: move: operand 'out' is missing\n  hint: its operands are in_, out"),
        ("move", {"in_": 0, "out": 1, "to": 2}, "error[CIM0403]: move: there is no operand 'to'"),
        ("gain", {"tile": 0, "scope": "some", "multiplier": 1, "divide": 1}, "gain: scope=some, wanted one of"),
    ],
)
def test_what_does_not_exist_is_refused(name: str, operands: dict[str, int], said: str) -> None:
    with pytest.raises(IsaError) as refused:
        Author({}).put(name, **operands)
    assert said in str(refused.value)


def test_an_operand_that_an_instruction_lacks_is_named() -> None:
    with pytest.raises(KeyError, match="halt has no operand count"):
        instruction("halt")["count"]


def test_equal_tables_share_an_address() -> None:
    memory = ConstantMemory(b"abc")
    first = memory.add([1, 2, 3], "i8", "a")
    second = memory.add(np.array([4, 5]), "i32", "b")
    assert memory.add([1, 2, 3], "i8", "c") == first
    assert memory.add([1, 2, 3], "i32", "d") not in (first, second)
    assert (first, second) == (8, 16)
    assert [name for *_, name in memory.names] == ["a", "b", "c", "d"]
    assert memory.content()[:11] == b"abc" + bytes(5) + bytes([1, 2, 3])
    assert memory.read(second, "i32", 2).tolist() == [4, 5]


@pytest.mark.parametrize(("value", "kind"), [(128, "i8"), (-129, "i8"), (1 << 31, "i32"), (-1, "u16"), (0.5, "i8")])
def test_what_does_not_fit_its_type_is_refused(value: float, kind: str) -> None:
    with pytest.raises(IsaError, match=f"CIM0445.*t holds a value that does not fit {kind}"):
        ConstantMemory().add(np.array([value]), kind, "t")


def test_a_written_program_survives_its_text() -> None:
    program: Program = doubled().program()
    payload = program.constants + program.conductances
    assert parse(render(program, "p"), lambda _: __import__("io").BytesIO(payload), "p.asm") == program
