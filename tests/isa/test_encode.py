"""Instruction words: layout, round trips, and the rejection of everything that is not assigned."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cimc.isa.encode import decode, decode_all, encode, encode_all
from cimc.isa.errors import CODES, IsaError
from cimc.isa.fuzz import bins, bins_hit, boundary_instructions, boundary_values, random_instructions
from cimc.isa.layout import LAYOUT, USED_BITS
from cimc.isa.program import Instruction, instruction
from cimc.isa.table import BY_OPCODE, TABLE, WORD_BITS, WORD_BYTES, Field, Spec


def operands(field: Field) -> st.SearchStrategy[int] | st.SearchStrategy[tuple[int, ...]]:
    """Return the strategy of a field's operands."""
    one = st.integers(field.lowest, field.highest)
    return one if field.count == 1 else st.tuples(*[one] * field.count)


def instructions() -> st.SearchStrategy[Instruction]:
    """Return the strategy of well-formed instructions."""
    return st.sampled_from(TABLE).flatmap(
        lambda spec: st.tuples(*map(operands, spec.fields)).map(lambda values: Instruction(spec.name, values))
    )


def _code(action: object) -> str:
    with pytest.raises(IsaError) as caught:
        action()  # type: ignore[operator]
    return caught.value.code


@given(instructions())
def test_decode_inverts_encode(wanted: Instruction) -> None:
    assert decode(encode(wanted)) == wanted


@given(st.binary(min_size=WORD_BYTES, max_size=WORD_BYTES))
def test_encode_inverts_decode_where_it_accepts(word: bytes) -> None:
    try:
        found = decode(word)
    except IsaError:
        return
    assert encode(found) == word


@pytest.mark.parametrize("spec", TABLE, ids=lambda spec: spec.name)
def test_every_flipped_unused_bit_is_refused(spec: Spec) -> None:
    word = int.from_bytes(encode(next(i for i in boundary_instructions(1) if i.name == spec.name)), "little")
    for bit in range(USED_BITS[spec.name], WORD_BITS):
        flipped = (word ^ 1 << bit).to_bytes(WORD_BYTES, "little")
        assert _code(lambda flipped=flipped: decode(flipped)) == "CIM0412"


@given(instructions(), st.integers(0, WORD_BITS - 1))
def test_no_two_words_mean_the_same(wanted: Instruction, bit: int) -> None:
    flipped = int.from_bytes(encode(wanted), "little") ^ 1 << bit
    try:
        assert decode(flipped.to_bytes(WORD_BYTES, "little")) != wanted
    except IsaError as error:
        assert error.code in ("CIM0410", "CIM0411", "CIM0412")


@pytest.mark.parametrize(
    ("name", "place", "operand", "found"),
    [
        ("advance", 1, (1,), r"operand by of advance is \(1,\), wanted one integer"),
        ("tensor", 4, 1, "operand shape of tensor is 1, wanted a list of 4 integers"),
        ("tensor", 4, (1, 2, 3), r"is \(1, 2, 3\), wanted a list of 4 integers"),
        ("tensor", 4, (1, 2, 3, 4, 5), "wanted a list of 4 integers"),
        ("advance", 1, True, "is True of type bool, wanted an int"),
        ("advance", 1, 1.0, "is 1.0 of type float, wanted an int"),
        ("advance", 0, 16, r"operand stream of advance is s16, wanted s0\.\.s15"),
        ("advance", 0, -1, r"operand stream of advance is s-1, wanted s0\.\.s15"),
    ],
)
def test_operands_that_are_none_are_told(name: str, place: int, operand: object, found: str) -> None:
    whole = next(one for one in boundary_instructions(1) if one.name == name)
    values = (*whole.operands[:place], operand, *whole.operands[place + 1 :])
    with pytest.raises(IsaError, match=found) as caught:
        encode(Instruction(name, values))  # type: ignore[arg-type]
    assert caught.value.code == "CIM0404"


def test_unassigned_opcodes_are_refused() -> None:
    for opcode in set(range(256)) - set(BY_OPCODE):
        word = bytes((opcode,)).ljust(WORD_BYTES, b"\0")
        assert _code(lambda word=word: decode(word)) == "CIM0410"


def test_unassigned_enumeration_members_are_refused() -> None:
    slot = next(slot for slot in LAYOUT["tensor"] if slot.field.name == "type")
    word = (0x10 | 6 << slot.low).to_bytes(WORD_BYTES, "little")
    with pytest.raises(IsaError, match="operand type of tensor is 6") as caught:
        decode(word)
    assert caught.value.code == "CIM0411"


@pytest.mark.parametrize("spec", [spec for spec in TABLE if spec.fields], ids=lambda spec: spec.name)
def test_operands_out_of_range_are_refused(spec: Spec) -> None:
    good = next(i for i in random_instructions(7, 2000) if i.name == spec.name)
    for place, field in enumerate(spec.fields):
        for value in (field.lowest - 1, field.highest + 1, 1.0, None, True, "1"):
            bad = value if field.count == 1 else (value, *[0] * (field.count - 1))
            operands = (*good.operands[:place], bad, *good.operands[place + 1 :])
            assert _code(lambda operands=operands: encode(Instruction(spec.name, operands))) == "CIM0404"


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        (Instruction("hault"), "CIM0402"),
        (Instruction("halt", (1,)), "CIM0403"),
        (Instruction("loop", ((1, 2),)), "CIM0404"),
        (Instruction("window", (0, 3, (1, 1), (1, 1), (0, 0), (1, 1), 0)), "CIM0404"),
    ],
)
def test_malformed_instructions_are_refused(bad: Instruction, code: str) -> None:
    assert _code(lambda: encode(bad)) == code


def test_errors_of_programs_name_the_instruction() -> None:
    with pytest.raises(IsaError) as caught:
        encode_all([instruction("nop"), instruction("loop", count=-1)])
    assert caught.value.place == "instruction 1"
    with pytest.raises(IsaError) as caught:
        decode_all(encode(instruction("nop")) + bytes(WORD_BYTES))
    assert caught.value.place == "instruction 1"


def test_code_of_a_broken_size_is_refused() -> None:
    assert _code(lambda: decode_all(bytes(33))) == "CIM0413"
    assert _code(lambda: decode(bytes(31))) == "CIM0413"


def test_the_table_fits_the_word() -> None:
    assert max(USED_BITS.values()) <= WORD_BITS
    assert len(BY_OPCODE) == len(TABLE)
    assert all(len(field.names) <= 1 << field.bits for spec in TABLE for field in spec.fields)


def test_fuzz_repeats_by_seed() -> None:
    assert list(random_instructions(3, 50)) == list(random_instructions(3, 50))
    assert list(random_instructions(3, 50)) != list(random_instructions(4, 50))


def test_boundary_instructions_hit_every_bin() -> None:
    hit = frozenset().union(*map(bins_hit, boundary_instructions(0)))
    assert hit == bins()


def test_every_operand_has_its_ends_as_boundaries() -> None:
    for field in (field for spec in TABLE for field in spec.fields):
        assert {field.lowest, field.highest} <= set(boundary_values(field))
        assert random.Random(0).choice(boundary_values(field)) <= field.highest


def test_codes_lie_in_the_range_of_this_package() -> None:
    assert all("CIM0401" <= code <= "CIM0499" and entry.status in (3, 6) for code, entry in CODES.items())
