"""asm -> binary -> asm and binary -> asm -> binary are identities; so is every single step."""

import io
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cimc.isa.assemble import parse
from cimc.isa.binary import to_parts
from cimc.isa.container import load_program, save_binary, save_text
from cimc.isa.disassemble import render
from cimc.isa.errors import IsaError
from cimc.isa.fuzz import random_instructions
from cimc.isa.preprocessing import Preprocessing
from cimc.isa.program import Layer, Port, Program
from cimc.isa.table import ELEMENT_TYPES

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
NAMES = st.text() | st.sampled_from(["conv1", 'say "hi"', "semi;colon", "back\\slash", "new\nline", "\u2028", "\ud800"])


@st.composite
def preprocessings(draw: st.DrawFn) -> Preprocessing | None:
    """Draw well-formed preprocessing of any input, or none."""
    numbers = st.floats(-1e9, 1e9)
    factors = numbers.filter(lambda value: value != 0.0)
    normalised = draw(st.booleans())
    mean, std = ((draw(numbers),), (draw(factors),)) if normalised else ((), ())
    return draw(st.none() | st.just(Preprocessing(draw(numbers), draw(factors), mean, std)))


@st.composite
def ports(draw: st.DrawFn) -> Port:
    """Draw a well-formed port."""
    model_shape = tuple(draw(st.lists(st.integers(1, 99), max_size=4)))
    order = tuple(draw(st.permutations(range(len(model_shape)))))
    low, high = sorted(draw(st.tuples(st.integers(-(2**31), 2**31), st.integers(-(2**31), 2**31))))
    return Port(
        name=draw(NAMES),
        base=draw(st.integers(0, 2**36)),
        type=draw(st.sampled_from(list(ELEMENT_TYPES))),
        shape=tuple(model_shape[axis] for axis in order),
        model_shape=model_shape,
        order=order,
        scale=draw(st.floats(min_value=0, exclude_min=True, allow_infinity=False)),
        zero=draw(st.integers(-(2**16), 2**16)),
        low=low,
        high=high,
        preprocessing=draw(preprocessings()),
    )


@st.composite
def tables(draw: st.DrawFn, instructions: int) -> list[Layer]:
    """Draw the layer of each instruction, all the same; or no table."""
    if not instructions or draw(st.booleans()):
        return []
    name = draw(NAMES.filter(bool))
    nodes = tuple(draw(st.lists(NAMES, min_size=1, max_size=3)))
    return [Layer(name, draw(NAMES), nodes)] * instructions


@st.composite
def programs(draw: st.DrawFn) -> Program:
    """Draw a well-formed program (one that would hardly run)."""
    instructions = tuple(random_instructions(draw(st.integers(0, 2**32)), draw(st.integers(0, 12))))
    layers = draw(tables(len(instructions)))
    locations = st.lists(NAMES, max_size=2).map(tuple)
    return Program(
        instructions,
        tuple((layer.name,) for layer in layers) if layers else tuple(draw(locations) for _ in instructions),
        tuple(draw(st.lists(ports(), max_size=2))),
        tuple(draw(st.lists(ports(), max_size=2))),
        draw(st.binary(max_size=99)),
        draw(st.binary(max_size=99)),
        draw(st.integers(0, 2**40)),
        draw(st.dictionaries(NAMES, JSON, max_size=3)),
        tuple(dict.fromkeys(layers)),
    )


def _parse(text: str, program: Program) -> Program:
    return parse(text, lambda name: io.BytesIO(program.constants + program.conductances))


@given(programs())
def test_text_binary_text(program: Program) -> None:
    with tempfile.TemporaryDirectory() as folder:
        first, binary, second = (Path(folder, name) for name in ("a.asm", "a.cimb", "b.asm"))
        save_text(program, first)
        save_binary(load_program(first), binary)
        save_text(load_program(binary), second)
        assert second.read_text() == first.read_text().replace("a.payload", "b.payload")
        assert load_program(first) == load_program(binary) == program


@given(programs())
def test_binary_text_binary(program: Program) -> None:
    first = b"".join(to_parts(program))
    text = render(program, "p")
    assert b"".join(to_parts(_parse(text, program))) == first


@given(programs())
def test_rendering_is_a_fixed_point(program: Program) -> None:
    text = render(program, "p")
    assert render(_parse(text, program), "p") == text


@given(programs())
def test_text_is_ascii_lines(program: Program) -> None:
    lines = render(program, "p").split("\n")
    assert all(line.isascii() and line.isprintable() for line in lines)


@given(programs(), st.data())
def test_text_without_hashes_means_the_same(program: Program, data: st.DataObject) -> None:
    lines = render(program, "p").split("\n")
    dropped = data.draw(st.sets(st.sampled_from([".isa", ".target", ".manifest", ".code"])))
    text = "\n".join(line for line in lines if line.partition(" ")[0] not in dropped)
    assert _parse(text, program) == program


@given(programs(), st.data())
def test_damaged_text_raises_nothing_but_coded_errors(program: Program, data: st.DataObject) -> None:
    text = render(program, "p")
    at = data.draw(st.integers(0, len(text) - 1))
    junk = data.draw(
        st.sampled_from(["", '"', ";", "\n", ",", "=", "[", "0x", "é", " ", "{", ".loc", "mvm", "\0", "\r", "\\"])
    )
    damaged = text[:at] + junk + text[at + data.draw(st.integers(0, 3)) :]
    try:
        _parse(damaged, program)
    except IsaError as error:
        assert error.code in str(error)


@given(st.text())
def test_any_text_raises_nothing_but_coded_errors(text: str) -> None:
    for start in ("", ".cimc 1\n"):
        try:
            parse(start + text, lambda name: io.BytesIO())
        except IsaError as error:
            assert error.place.startswith("program")


def test_a_program_of_5000_instructions_takes_no_more_text_than_lines() -> None:
    program = Program(tuple(random_instructions(5, 5000)), ((),) * 5000, (), ())
    text = render(program)
    assert text.count("\n    ") == 5000
    assert _parse(text, program) == program


def test_payload_needs_a_name() -> None:
    with pytest.raises(IsaError) as caught:
        render(Program((), (), (), (), b"1"))
    assert caught.value.code == "CIM0426"
