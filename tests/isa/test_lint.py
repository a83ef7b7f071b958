"""The linter as a whole: it judges any program, within its budgets. Its rules are tested by cases/lint_*.asm."""

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cimc.isa.author import Author
from cimc.isa.fuzz import boundary_instructions, random_instructions
from cimc.isa.lint import Finding, lint
from cimc.isa.lint_rules import RULES
from cimc.isa.program import Instruction, Port, Program, instruction
from cimc.isa.table import TABLE

HALT = instruction("halt")


def _program(*instructions: Instruction, **facts: Any) -> Program:
    return Program(instructions, ((),) * len(instructions), **{"inputs": (), "outputs": (), **facts})


def _codes(program: Program) -> list[str]:
    return [finding.code for finding in lint(program)]


def test_every_instruction_has_a_rule() -> None:
    assert list(RULES) == [spec.name for spec in TABLE]


@given(st.integers(0, 2**32), st.integers(0, 40))
def test_any_instructions_are_judged_without_an_exception(seed: int, count: int) -> None:
    program = _program(*random_instructions(seed, count), constants=bytes(999), activation_bytes=999)
    assert all(str(finding) for finding in lint(program, 500))


def test_boundaries_are_judged_without_an_exception() -> None:
    program = _program(*boundary_instructions(0), constants=bytes(999), conductances=bytes(99), activation_bytes=999)
    assert lint(program, 500)


def test_codes_written_hundreds_of_times_are_kept_once() -> None:
    """The linter tells 254 kinds of codes apart: one that comes again is no further kind."""
    sketch = Author({}, 64).tensor(0, (4,)).tensor(1, (4,), 8).tensor(2, (4,), 16)
    for _ in range(300):
        sketch.put("fill", out=0, value=1)
    sketch.put("fill", out=1, value=100)
    sketch.put("lut", in_=1, out=2, table=sketch.table([0] * 10, "i8"), type="i8", first=0, entries=10)
    (found,) = (one for one in lint(sketch.program()) if one.code == "CIM0446")
    assert "its input was written with 100..100" in str(found)


@given(st.integers(0, 2**32))
def test_findings_repeat_and_are_in_order(seed: int) -> None:
    program = _program(*random_instructions(seed, 20))
    findings = lint(program, 500)
    indices = [len(program.instructions) if found.index is None else found.index for found in findings]
    assert indices == sorted(indices)
    assert lint(program, 500) == findings


def test_operands_that_no_word_holds_are_found_first() -> None:
    bad = Instruction("loop", (-1,))
    assert lint(_program(bad, HALT)) == [
        Finding("CIM0404", 0, (), "operand count of loop is -1, wanted 0..16777215"),
    ]


@pytest.mark.parametrize("target", [None, 5, {}, {"array": None, "memory": []}, {"array": {"tiles": "unbounded"}}])
def test_targets_that_say_nothing_limit_nothing(target: Any) -> None:
    pattern = instruction("pattern", tile=9, row=9, col=9, rows=9, cols=9, plus=0, minus=0)
    assert _codes(_program(pattern, HALT, meta={"target": target})) == []


def test_every_output_never_written_is_reported() -> None:
    port = Port("y", 0, "i8", (1,), (1,), (0,), 1.0, 0, 0, 1)
    outputs = (port, dataclasses.replace(port, name="z", base=1))
    assert _codes(_program(HALT, outputs=outputs, activation_bytes=2)) == ["CIM0441", "CIM0441"]


def test_memory_beyond_the_budget_is_not_allocated() -> None:
    port = Port("y", 0, "i8", (1,), (1,), (0,), 1.0, 0, 0, 1)
    assert _codes(_program(HALT, outputs=(port,), activation_bytes=1 << 60)) == ["CIM0447"]


def test_a_stream_in_too_many_pieces_ends_the_search_for_unwritten_reads() -> None:
    shape, pitch = (1, 2048, 2048, 1), (1, 8192, 2, 1)
    tensor = instruction("tensor", stream=0, space="act", type="i8", base=0, shape=shape, pitch=pitch)
    move = instruction("move", in_=0, out=0)
    assert _codes(_program(tensor, move, HALT, activation_bytes=1 << 24)) == ["CIM0447"]


def test_a_stream_whose_overlaps_are_too_many_to_look_for_is_told() -> None:
    """Pitches that are no multiple of one another: only a list of all elements would say whether two share a byte."""
    shape, pitch = (1, 2048, 2048, 1), (1, 3, 2, 1)
    tensor = instruction("tensor", stream=0, space="act", type="i8", base=0, shape=shape, pitch=pitch)
    (found,) = lint(_program(tensor, instruction("fill", out=0, value=0), HALT, activation_bytes=1 << 14))
    assert (found.code, found.message) == ("CIM0447", "a stream writes more pieces of memory than the linter follows")


def test_beyond_the_memory_that_is_followed_only_bounds_are_judged() -> None:
    size = (1 << 28) + 1
    sketch = Author({}, size).tensor(0, (4,), size - 4).put("move", in_=0, out=0)
    assert _codes(sketch.program()) == ["CIM0447"]
    assert _codes(sketch.tensor(0, (4,), size - 3).put("fill", out=0, value=0).program()) == ["CIM0430", "CIM0447"]


def test_ports_outside_memory_are_told_once_each() -> None:
    port = Port("x", 8, "i8", (1,), (1,), (0,), 1.0, 0, 0, 1)
    program = _program(HALT, inputs=(port,), outputs=(dataclasses.replace(port, name="y"),), activation_bytes=8)
    assert [str(found).partition(": ")[2] for found in lint(program)] == [
        "error[CIM0430]: input 'x' touches bytes 8..8, the activation memory has 8",
        "error[CIM0430]: output 'y' touches bytes 8..8, the activation memory has 8",
    ]
