"""Digital work beside the arrays, where the target does both at once (`timing.overlap`): only the rest takes time.

The digital unit takes up a layer's results as they come, and whatever follows up to the next layer on the arrays does
so too. It begins once the first vector has passed the arrays, which is the one fill that a layer waits for.
"""

from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import pairwise
from math import ceil

from cimc.backends.cost.counters import Work
from cimc.backends.cost.overlap import blocks_read, together
from cimc.isa.program import Program
from cimc.targets.prices import Interval, summed

TURNS = ("loop", "endloop")
"""Ends of a turn, which waits for the one before: nothing overlaps across them."""


def stages(program: Program) -> Iterator[range]:
    """Yield the instructions from the products of one layer to those of the next, and those before the first."""
    layers = {group[0] for group in together(program)}
    turns = {index for index, one in enumerate(program.instructions) if one.name in TURNS}
    cuts = sorted({0, *layers, *turns, len(program.instructions)})
    return (range(start, end) for start, end in pairwise(cuts))


def added(
    program: Program, works: Sequence[Work], array: Sequence[Interval], digital: Sequence[Interval]
) -> list[Interval]:
    """Return what each instruction's digital work adds to the time of the arrays.

    `array` and `digital` are how long either unit works for each instruction; all in ns.
    """
    found = list(digital)
    for stage in stages(program):
        conducts, works_on = (summed(times[index] for index in stage) for times in (array, digital))
        if conducts.high and works_on.value:
            fill = conducts.times(Fraction(1, _vectors(program, works, stage)))
            longer = _sticks_out(conducts, works_on, fill)
            for index in stage:
                found[index] = longer.times(digital[index].value / works_on.value)
    return found


def _vectors(program: Program, works: Sequence[Work], stage: range) -> int:
    """Return how many vectors pass the arrays in one turn of a layer."""
    counted = ((works[index].counters, len(blocks_read(program.instructions[index]))) for index in stage)
    return max(
        ceil(Fraction(done.products, blocks * done.issued)) for done, blocks in counted if blocks and done.issued
    )


def _sticks_out(conducts: Interval, works_on: Interval, fill: Interval) -> Interval:
    """Return by how much max(array, digital) + fill is longer than the array: by all that is digital at most."""
    ends = zip(conducts.ends, works_on.ends, fill.ends, strict=True)
    value, *bounds = (min(unit, max(unit - array, Fraction(0)) + wait) for array, unit, wait in ends)
    return Interval(value, min(value, *bounds), max(value, *bounds))
