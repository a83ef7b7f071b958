"""A random program that fails is printed small: what the failure does not need is left out."""

import pytest
from backends.random_programs import (  # noqa: TID251 tests/backends, not the package
    PATIENCE,
    SUBJECTS,
    Case,
    for_each,
    nest_of,
    noise_of,
    numbers_of,
    sketch_of,
)

from cimc.backends.plan import digital, walk


def big_case(draw, new):
    """Draw a program of many instructions, with three samples and perhaps noise."""
    return Case.of(sketch_of(draw, new, ["fill", "mvm", "affine", "lut", "softmax", "loop"]), 3, noise_of(draw))


def note_of(raised):
    (note,) = raised.value.__notes__
    first, *instructions, x, noise = note.splitlines()
    return first, instructions, x, noise


def test_a_fault_that_is_planted_shrinks_to_its_instruction(new, ask_samples, monkeypatch):
    filled = digital.fill

    def broken(*given):
        write = filled(*given)
        compute = write.compute
        return type(write)(write.out, lambda chunk: compute(chunk) + 1, write.low, write.high)

    monkeypatch.setitem(walk.BUILDERS, "fill", broken)
    with pytest.raises(AssertionError) as raised:
        for_each(
            range(10), lambda draw: big_case(draw, new), lambda case: ask_samples(case.sketch, case.noise, x=case.x)
        )
    _, instructions, x, noise = note_of(raised)
    assert [line.split()[0] for line in instructions] == ["tensor", "fill"]
    assert x.count("], [") == 0
    assert noise == "no noise"


def test_loops_are_taken_from_around_what_fails(new):
    def fail(case):
        assert not any(one.name == "advance" for one in case.sketch.instructions)

    with pytest.raises(AssertionError) as raised:
        for_each(range(100), lambda draw: Case.of(nest_of(draw, new)), fail)
    first, instructions, _, _ = note_of(raised)
    assert first.startswith("of what is drawn by the number ")
    assert [line.split()[0] for line in instructions] == ["advance"]


def test_what_fails_in_another_way_is_not_taken(new):
    def fail(case):
        names = [one.name for one in case.sketch.instructions]
        assert "gain" in names, names  # what is left without it is another program
        if "fill" in names:
            raise ValueError("filled")

    with pytest.raises(ValueError, match="filled") as raised:
        for_each([0], lambda draw: big_case(draw, new), fail)
    assert [line.split()[0] for line in note_of(raised)[1]] == ["gain", "fill"]


def test_nothing_more_is_drawn_where_nothing_fails(new):
    drawn, asked = [], []
    for_each(range(5), lambda draw: drawn.append(draw) or big_case(draw, new), asked.append)
    assert (len(drawn), len(asked)) == (5, 5)


def test_patience_ends(new):
    """A failure that no smaller program has is the first one's, after as many tries at most."""
    asked = []

    def fail(case):
        asked.append(case)
        assert len(asked) > 1 and len(asked) % 2 == 0, "again"

    with pytest.raises(AssertionError, match="again"):
        for_each([0], lambda draw: big_case(draw, new), fail)
    assert len(asked) <= PATIENCE + 1


def test_no_two_subjects_see_the_same_programs():
    every = [number for subject in SUBJECTS for number in numbers_of(subject, 100_000)]
    assert len(set(every)) == len(every)
