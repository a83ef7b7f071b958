"""Random small programs do the same on every executor, noise off and on: every write, every output, every trap.

Some programs hold an operand that no machine can obey.
"""

import os

import numpy as np
import pytest
from backends.random_programs import Case, for_each, nest_of, noise_of, numbers_of, sketch_of, spoil  # noqa: TID251

from cimc.backends.machine.observer import Writes
from cimc.backends.machine.traps import Trap
from cimc.backends.reference import instructions as reference
from cimc.backends.reference import sampled as reference_sample

PROGRAMS = int(os.environ.get("PROGRAMS", "2000"))
"""How many programs are drawn: `make nightly` and `make deep` ask for more."""
PART = 100
"""Programs of one test: tests share the processors."""


def any_case(draw, new):
    """Draw a program, its noise, and in one of four a wrong operand."""
    sketch, noise = sketch_of(draw, new), noise_of(draw)
    if draw.randrange(4) == 0:
        spoil(draw, sketch)
    return Case.of(sketch, 3, noise)


@pytest.mark.parametrize("first", range(0, PROGRAMS, PART))
def test_all_executors_agree(new, ask_samples, first):
    numbers = numbers_of("executors", min(first + PART, PROGRAMS), first)
    for_each(numbers, lambda draw: any_case(draw, new), lambda case: ask_samples(case.sketch, case.noise, x=case.x))


@pytest.mark.parametrize("first", range(0, PROGRAMS // 20, PART))
def test_random_loops_do_the_same_on_every_executor(new, ask_samples, first):
    def loops(draw):
        return Case.of(nest_of(draw, new), 2, noise_of(draw))

    numbers = numbers_of("loops", min(first + PART, PROGRAMS // 20), first)
    for_each(numbers, loops, lambda case: ask_samples(case.sketch, case.noise, x=case.x))


def test_a_sample_of_the_reference_has_its_values(new):
    for_each(numbers_of("samples", 200), lambda draw: Case.of(sketch_of(draw, new)), require_true_samples)


def require_true_samples(case):
    program, x = case.sketch.program(), case.x[0].tolist()
    whole = []
    try:
        keep = Writes(lambda index, values: whole.append((index, values.ravel().astype(np.int64))))
        reference.run(program, {"x": x}, keep)
    except Trap:
        return
    known, seen = iter(whole), []

    def truth(index):
        seen.append(next(known))
        assert seen[-1][0] == index
        return seen[-1][1]

    def watch(index, numbers, values):
        assert seen[-1][0] == index and len(numbers) > 0
        assert seen[-1][1][numbers].tolist() == values.tolist()

    with pytest.MonkeyPatch.context() as patch:
        for name, count in (("RANDOM_VECTORS", 1), ("RANDOM_ELEMENTS", 1), ("COLUMNS", 1000)):
            patch.setattr(reference_sample, name, count)
        reference_sample.run(program, {"x": x}, truth, watch)
    assert len(seen) == len(whole)
