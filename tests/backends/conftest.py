"""Small programs written by hand, and the one question put to both interpreters: do they do the same?"""

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from functools import cache, partial
from typing import Any

import numpy as np
import pytest

from cimc.backends.interpreter import Array, Interpreter, executors
from cimc.backends.machine.observer import Conversions, Observer, Products, Writes
from cimc.backends.machine.traps import Refusal, Trap
from cimc.backends.noise.sources import Noise
from cimc.backends.reference import instructions as reference
from cimc.isa.author import Author
from cimc.isa.faults import ALWAYS, traps_of
from cimc.isa.program import Program

Written = list[tuple[int, list[int]]]
End = dict[str, list[int]] | tuple[str, int | None, tuple[str, ...]]
Outcome = tuple[Written, End]

TARGET = {
    "array": {"tiles": 2, "rows": 16, "columns": 8, "levels": 127, "fraction_bits": 2, "unprogrammed": 0},
    "dac": {"bits": 8},
    "adc": {"bits": 8, "codes": "symmetric", "rounding": "nearest-even", "multiplexing": 4},
    "memory": {"activation_bytes": 65536, "constant_bytes": 65536},
    "read_phases": 1,
}


def author(memory: int = 512, **sections: Any) -> Author:
    """Return the author of a program for a small chip. Keywords override target sections, and facts of no section."""
    target = deepcopy(TARGET)
    for name, facts in sections.items():
        target[name] = {**target[name], **facts} if isinstance(facts, Mapping) else facts
    return Author(target, memory)


def placed(program: Program) -> Program:
    """Return the program with a made-up node behind every instruction."""
    return replace(program, locations=tuple((f"node{i}",) for i in range(len(program.instructions))))


class Everything(Observer):
    """Keeps what is written and every product, as lists: what two interpreters must agree on."""

    def __init__(self) -> None:
        self.events: list[tuple[str, Any]] = []

    def begin(self, samples: range) -> None:
        self.events.append(("began", list(samples)))

    def wrote(self, index: int, values: Array) -> None:
        self.events.append(("wrote", (index, values.ravel().tolist())))

    def vectors(self, index: int, count: int) -> Sequence[int]:
        return range(count) if index % 2 else range(count - 1, -1, -2)

    def multiplied(self, index: int, products: Products) -> None:
        parts = [(b.block, *_lists(b.inputs, b.codes, *_arrays(b.conversions))) for b in products.blocks]
        known = (products.accumulators, products.factors)
        totals = [_lists(array) for array in known if array is not None]
        self.events.append(("multiplied", (index, list(products.vectors), parts, totals)))

    @property
    def writes(self) -> Written:
        return [event for kind, event in self.events if kind == "wrote"]


def _arrays(conversions: Sequence[Conversions]) -> list[Array]:
    return [array for each in conversions for array in (each.sums, each.codes, each.clipped)]


def _lists(*arrays: Array) -> list[Any]:
    """Return arrays of whole numbers as shapes and plain integers."""
    return [(array.shape, [int(value) for value in array.ravel().tolist()]) for array in arrays]


def ended(run: Callable[[], Mapping[str, Any]]) -> End:
    """Return what a run ends with: its outputs, flat, or its trap; a refusal has no place in the program."""
    try:
        return {name: np.asarray(codes).ravel().tolist() for name, codes in run().items()}
    except Trap as trap:
        return trap.code, trap.index, trap.locations
    except Refusal as refusal:
        return refusal.code, None, ()


def require_known(program: Program, end: End) -> None:
    """Fail where a trap is none that the manual names for its instruction."""
    if isinstance(end, tuple) and end[1] is not None and end[1] < len(program.instructions):
        spec = program.instructions[end[1]].spec
        assert end[0] in (*traps_of(spec), *ALWAYS), spec.name


def ask_both(sketch: Author, noise: Noise | None = None, **inputs: Any) -> Outcome:
    """Return what both interpreters do with one sample; fail where they, or executors, differ in what they show."""
    program, seen = placed(sketch.program()), Everything()
    codes = {name: values.tolist() for name, values in inputs.items()}
    end = ended(lambda: reference.run(program, codes, seen, noise))
    require_known(program, end)
    batch = {name: values[None] for name, values in inputs.items()}
    for executor in executors():
        probing, written = Everything(), Everything()
        made = cache(partial(Interpreter, program, executor=executor, noise=noise))
        for observer in (probing, Writes(written.wrote)):
            assert ended(lambda made=made, observer=observer: made().run(batch, observer)) == end, executor
        if isinstance(end, dict) or end[1] is not None:  # the fast interpreter refuses before it begins
            assert probing.events == seen.events, executor
            assert written.writes == seen.writes, executor
    return seen.writes, end


@pytest.fixture(scope="session")
def new() -> Callable[..., Author]:
    """What begins a program."""
    return author


@pytest.fixture(scope="session")
def ask() -> Callable[..., Outcome]:
    """The question to both interpreters."""
    return ask_both


@pytest.fixture(scope="session")
def written(ask: Callable[..., Outcome]) -> Callable[..., list[int]]:
    """What the last writing instruction of a program writes, in both interpreters."""

    def last_write(sketch: Author, **inputs: Any) -> list[int]:
        writes, end = ask(sketch, **inputs)
        assert isinstance(end, dict), end
        return writes[-1][1]

    return last_write


@pytest.fixture(scope="session")
def trapped(ask: Callable[..., Outcome]) -> Callable[..., str]:
    """The code of the trap that a program's last instruction but `halt` ends in, in both interpreters."""

    def code(sketch: Author, **inputs: Any) -> str:
        _, end = ask(sketch, **inputs)
        assert isinstance(end, tuple), end
        assert end[1:] == (len(sketch.instructions) - 1, (f"node{len(sketch.instructions) - 1}",))
        return end[0]

    return code
