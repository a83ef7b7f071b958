"""Which elements of a tensor instructions write, and which they write last, against a plain simulation."""

from collections.abc import Iterator, Mapping
from itertools import product

import numpy as np
from evaluate.graphs import GraphBuilder, codes
from hypothesis import given
from hypothesis import strategies as st

from cimc.ir import xbar
from cimc.ir.nn import Computed
from cimc.isa.writes import TensorWrite
from cimc.proof.tensors import Places, Tensors

SHAPE = (4, 12)
SIZE = 48


def operations() -> list[Computed]:
    """Return a graph's operations: an input, and a tensor `y` of the shape, both of 8-bit codes."""
    b, code = GraphBuilder(), codes(-100, 100)
    x = b.input(SHAPE, code)
    b.output(b.op(xbar.AddOp, [x, x], SHAPE, code, ma=1, mb=1, bias=0, shift=0, low=-100, high=100))
    return [op for op in b.graph().operations if isinstance(op, Computed)]


@st.composite
def writes(draw: st.DrawFn) -> TensorWrite:
    """A strided rectangle of `y`, written in up to three runs."""
    shape, pitch = draw(st.tuples(st.integers(1, 3), st.integers(1, 3))), draw(st.permutations([1, 5]))
    return TensorWrite(
        "y", draw(st.integers(0, 12)), shape, tuple(pitch), draw(st.integers(0, 10)), draw(st.integers(1, 3))
    )


def elements(write: TensorWrite, run: int) -> list[int]:
    """Return the flat elements of one run, one at a time in stream order."""
    start = write.start + run * write.step
    axes = product(*(range(size) for size in write.shape))
    return [start + sum(i * pitch for i, pitch in zip(at, write.pitch, strict=True)) for at in axes]


def runs(program: Mapping[int, TensorWrite]) -> Iterator[tuple[int, int]]:
    """Yield each run of each instruction in the order of a program without nested loops."""
    for index, write in sorted(program.items()):
        for run in range(write.runs):
            yield index, run


PROGRAMS = st.lists(writes(), min_size=1, max_size=4).map(lambda found: dict(zip((3, 4, 9, 11), found, strict=False)))


@given(PROGRAMS)
def test_tensors_hold_what_was_written_last(program: Mapping[int, TensorWrite]) -> None:
    """Whatever it is: most of these values are no codes of 8 bits."""
    tensors, wanted = Tensors(operations(), 2), np.zeros((2, SIZE), np.int64)
    for number, (index, run) in enumerate(runs(program)):
        places = elements(program[index], run)
        values = np.arange(2 * len(places)).reshape(2, 1, -1) + 100 * number + 1
        tensors.take(index, program[index], values)
        for place, pair in zip(places, values.reshape(2, -1).T, strict=True):
            wanted[:, place] = pair
    assert tensors.get("y").tolist() == wanted.reshape(2, *SHAPE).tolist()


@given(PROGRAMS)
def test_places_know_the_last_writer(program: Mapping[int, TensorWrite]) -> None:
    places, owner = Places(program, operations()), dict[int, int]()
    for index, run in runs(program):
        owner.update(dict.fromkeys(elements(program[index], run), index))
    for index, run in runs(program):
        flat = places.next_run(index)
        assert flat is not None
        assert flat.tolist() == places.written(index).tolist() == elements(program[index], run)
        kept = places.last_written(index, flat).tolist()
        assert all(yes or owner[at] != index for at, yes in zip(flat.tolist(), kept, strict=True))
        if sum(write.runs * len(elements(write, 0)) for write in program.values()) > SIZE:
            assert kept == [owner[at] == index for at in flat.tolist()]


def test_a_tensor_written_over_keeps_the_later_half() -> None:
    whole, half = TensorWrite("y", 0, SHAPE, (12, 1)), TensorWrite("y", 24, (2, 12), (12, 1))
    places = Places({0: whole, 5: half}, operations())
    flat = places.next_run(0)
    assert flat is not None and places.next_run(2) is None
    assert places.last_written(0, flat).tolist() == [True] * 24 + [False] * 24
    assert places.last_written(5, flat[24:]).tolist() == [True] * 24
