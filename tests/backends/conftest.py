"""Small programs written by hand, and the one question put to both interpreters: do they do the same?"""

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from functools import cache, partial
from typing import Any

import numpy as np
import pytest

from cimc.backends.interpreter import Array, Interpreter, executors
from cimc.backends.machine.facts import machine
from cimc.backends.machine.observer import Conversions, Observer, Products, Writes
from cimc.backends.machine.traps import Refusal, Trap
from cimc.backends.noise.sources import Noise
from cimc.backends.plan.steps import Step
from cimc.backends.plan.walk import Plan, plan
from cimc.backends.reference import instructions as reference
from cimc.isa.author import Author
from cimc.isa.faults import ALWAYS, traps_of
from cimc.isa.program import Program

Written = list[tuple[int, list[int]]]
End = dict[str, list[int]] | tuple[str, int | None, tuple[str, ...]]
Outcome = tuple[Written, End]
Batch = Mapping[str, Array]

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
        self.first = 0

    def begin(self, samples: range) -> None:
        self.events.append(("began", [self.first + number for number in samples]))

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
    return told(run)[0]


def told(run: Callable[[], Mapping[str, Any]]) -> tuple[End, str]:
    """Return what a run ends with, and what a trap or refusal says."""
    try:
        return {name: np.asarray(codes).ravel().tolist() for name, codes in run().items()}, ""
    except Trap as trap:
        return (trap.code, trap.index, trap.locations), str(trap)
    except Refusal as refusal:
        return (refusal.code, None, ()), str(refusal)


def require_known(program: Program, end: End) -> None:
    """Fail where a trap is none that the manual names for its instruction."""
    if isinstance(end, tuple) and end[1] is not None and end[1] < len(program.instructions):
        spec = program.instructions[end[1]].spec
        assert end[0] in (*traps_of(spec), *ALWAYS), spec.name


def ask_all(sketch: Author, noise: Noise | None = None, **batch: Array) -> Outcome:
    """Return what both interpreters do with samples, one after another; fail where they, or executors, differ.

    They differ where they show something else. A plan is the same for all executors, and made once.
    """
    program, seen = placed(sketch.program()), Everything()
    ends = by_reference(program, noise, batch, seen)
    end = joined(ends)
    require_known(program, end)
    planned = cache(partial(plan, program, machine(program.meta), noise))
    is_begun, is_known = beginning(planned)
    for executor in executors():
        probing, written = Everything(), Everything()
        made = cache(lambda name=executor: Interpreter(program, noise=noise, executor=name, chunk=1, planned=planned()))
        for observer in (probing, Writes(written.wrote)):
            assert ended(lambda made=made, observer=observer: made().run(batch, observer)) == end, executor
        if is_begun:
            assert probing.events == seen.events, executor
        assert written.writes == seen.writes, executor
    require_together(program, noise, batch, planned, end)
    if len(ends) < samples_of(batch) and not is_known:  # samples behind the one whose data trap
        ask_all(sketch, moved(noise, len(ends)), **{name: values[len(ends) :] for name, values in batch.items()})
    return seen.writes, end


def beginning(planned: Callable[[], Plan]) -> tuple[bool, bool]:
    """Return whether a run begins, not refused before, and whether it is known without data to end in a fault."""
    try:
        steps = planned().steps
    except (Trap, Refusal):
        return False, True
    last = steps[-1] if steps else None
    return True, isinstance(last, Step) and isinstance(last.action, Trap | Refusal)


def require_together(
    program: Program, noise: Noise | None, batch: Batch, planned: Callable[[], Plan], end: End
) -> None:
    """Fail where samples end otherwise two at a time and with nobody watching, or executors say something else of it.

    Of several, another one may be the first to trap: in all executors alike.
    """
    made = partial(Interpreter, program, noise=noise, chunk=2)
    ends = [told(lambda name=name: made(executor=name, planned=planned()).run(batch)) for name in executors()]
    found = ends[0][0]
    assert isinstance(found, dict) == isinstance(end, dict)
    assert found == end or (isinstance(end, tuple) and samples_of(batch) > 1)
    assert ends == [ends[0]] * len(ends)


def samples_of(batch: Batch) -> int:
    return min(map(len, batch.values()), default=1)


def by_reference(program: Program, noise: Noise | None, batch: Batch, seen: Everything) -> list[End]:
    """Return what samples end with, up to the first that traps; `seen` is told of everything."""
    ends: list[End] = []
    for number in range(samples_of(batch)):
        seen.first = 0 if noise else number  # without noise the reference has no number of a sample
        codes = {name: values[number].tolist() for name, values in batch.items()}
        ends.append(ended(lambda codes=codes, number=number: reference.run(program, codes, seen, moved(noise, number))))
        if isinstance(ends[-1], tuple):
            break
    return ends


def joined(ends: Sequence[End]) -> End:
    """Return the outputs of all samples, or the trap of the last."""
    if isinstance(ends[-1], tuple):
        return ends[-1]
    return {name: [code for end in ends for code in end[name]] for name in ends[-1]}  # type: ignore[call-overload]


def moved(noise: Noise | None, samples: int) -> Noise | None:
    """Return the noise that a sample so many places further on in its file meets."""
    return noise and replace(noise, sample_offset=noise.sample_offset + samples)


def ask_both(sketch: Author, noise: Noise | None = None, **inputs: Array) -> Outcome:
    """Return what both interpreters do with one sample; fail where they, or executors, differ in what they show."""
    return ask_all(sketch, noise, **{name: values[None] for name, values in inputs.items()})


@pytest.fixture(scope="session")
def new() -> Callable[..., Author]:
    """What begins a program."""
    return author


@pytest.fixture(scope="session")
def ask() -> Callable[..., Outcome]:
    """The question to both interpreters."""
    return ask_both


@pytest.fixture(scope="session")
def ask_samples() -> Callable[..., Outcome]:
    """The question to both interpreters, about several samples."""
    return ask_all


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
