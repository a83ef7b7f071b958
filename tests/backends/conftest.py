"""Small programs written by hand, and the one question put to both interpreters: do they do the same?"""

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest

from cimc.backends.interpreter import Interpreter, levels
from cimc.backends.machine.traps import Trap
from cimc.backends.noise.sources import Noise
from cimc.backends.reference import instructions as reference
from cimc.backends.torch_device.opening import devices
from cimc.isa.author import Author
from cimc.isa.program import Program

Writes = list[tuple[int, list[int]]]
Outcome = tuple[Writes, dict[str, list[int]] | tuple[str, int | None, tuple[str, ...]]]

TARGET = {
    "array": {"tiles": 2, "rows": 16, "columns": 8, "levels": 127, "fraction_bits": 2, "unprogrammed": 0},
    "dac": {"bits": 8},
    "adc": {"bits": 8, "codes": "symmetric", "rounding": "nearest-even", "multiplexing": 4},
    "memory": {"activation_bytes": 65536, "constant_bytes": 65536},
    "read_phases": 1,
}


def author(memory: int = 512, **sections: Mapping[str, Any]) -> Author:
    """Return the author of a program for a small chip. Keywords override target sections."""
    target = deepcopy(TARGET)
    for name, facts in sections.items():
        target[name].update(facts)
    return Author(target, memory)


def placed(program: Program) -> Program:
    """Return the program with a made-up node behind every instruction."""
    return replace(program, locations=tuple((f"node{i}",) for i in range(len(program.instructions))))


def reference_outcome(program: Program, inputs: Mapping[str, Any], noise: Noise | None = None) -> Outcome:
    """Return what the reference interpreter writes for one sample, and its outputs or its trap."""
    writes: Writes = []
    codes = {name: values.tolist() for name, values in inputs.items()}
    try:
        return writes, reference.run(program, codes, lambda index, values: writes.append((index, list(values))), noise)
    except Trap as trap:
        return writes, (trap.code, trap.index, trap.locations)


def fast_outcome(
    program: Program,
    inputs: Mapping[str, Any],
    kernels: str | None = None,
    device: str = "cpu",
    noise: Noise | None = None,
) -> Outcome:
    """Return the same of the fast interpreter, by default on its best kernels."""
    writes: Writes = []
    batch = {name: values[None] for name, values in inputs.items()}
    try:
        outputs = Interpreter(program, kernels=kernels, device=device, noise=noise).run(
            batch, lambda index, values: writes.append((index, values.ravel().tolist()))
        )
    except Trap as trap:
        return writes, (trap.code, trap.index, trap.locations)
    return writes, {name: codes.ravel().tolist() for name, codes in outputs.items()}


def ask_both(sketch: Author, noise: Noise | None = None, **inputs: Any) -> Outcome:
    """Return what both interpreters do with one sample; fail where they, or kernels or devices, differ."""
    program = placed(sketch.program())
    literal = reference_outcome(program, inputs, noise)
    for kernels in levels():
        assert fast_outcome(program, inputs, kernels, noise=noise) == literal, kernels
    for device in devices()[1:]:
        assert fast_outcome(program, inputs, device=device, noise=noise) == literal, device
    return literal


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
