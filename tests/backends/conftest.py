"""Small programs written by hand, and the one question put to both interpreters: do they do the same?"""

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from typing import Any

import numpy as np
import pytest

from cimc.backends.interpreter import Interpreter, levels
from cimc.backends.machine.ports import DTYPES
from cimc.backends.machine.traps import Trap
from cimc.backends.reference import instructions as reference
from cimc.backends.torch_device.opening import devices
from cimc.isa.program import Instruction, Port, Program, instruction

Writes = list[tuple[int, list[int]]]
Outcome = tuple[Writes, dict[str, list[int]] | tuple[str, int | None, tuple[str, ...]]]

TARGET = {
    "array": {"tiles": 2, "rows": 16, "columns": 8, "levels": 127, "fraction_bits": 2, "unprogrammed": 0},
    "dac": {"bits": 8},
    "adc": {"bits": 8, "codes": "symmetric", "rounding": "nearest-even", "multiplexing": 4},
    "memory": {"activation_bytes": 65536, "constant_bytes": 65536},
    "read_phases": 1,
}


class Sketch:
    """A program under construction; `halt` and locations are added at the end. Keywords override target sections."""

    def __init__(self, memory: int = 512, **sections: Mapping[str, Any]) -> None:
        self.memory = memory
        self.target = deepcopy(TARGET)
        for name, facts in sections.items():
            self.target[name].update(facts)
        self.instructions: list[Instruction] = []
        self.constants = bytearray()
        self.conductances = bytearray()
        self.inputs: list[Port] = []
        self.outputs: list[Port] = []

    def put(self, name: str, **operands: Any) -> "Sketch":
        """Append an instruction."""
        self.instructions.append(instruction(name, **operands))
        return self

    def table(self, values: Sequence[int], type_name: str) -> int:
        """Append constants and return their address."""
        self.constants.extend(bytes(-len(self.constants) % 8))
        address = len(self.constants)
        self.constants.extend(np.array(values, DTYPES[type_name]).tobytes())
        return address

    def matrix(self, rows: Sequence[Sequence[int]]) -> int:
        """Append conductance differences and return their address."""
        address = len(self.conductances)
        self.conductances.extend(np.array(rows, "<i2").tobytes())
        return address

    def tensor(self, stream: int, shape: Sequence[int], base: int = 0, **facts: Any) -> "Sketch":
        """Define a stream, densely packed i8 in activation memory where nothing else is said."""
        full = (1,) * (4 - len(shape)) + tuple(shape)
        dense = (full[1] * full[2] * full[3], full[2] * full[3], full[3], 1)
        operands = {"space": "act", "type": "i8", "pitch": dense} | facts
        return self.put("tensor", stream=stream, base=base, shape=full, **operands)

    def data(self, stream: int, values: Sequence[int], shape: Sequence[int], type_name: str = "i8") -> "Sketch":
        """Define a stream over new constants."""
        return self.tensor(stream, shape, self.table(values, type_name), space="const", type=type_name)

    def window(self, stream: int, kernel: tuple[int, int], out: tuple[int, int], **facts: Any) -> "Sketch":
        """Turn a stream into a window; stride and dilation 1, no padding where nothing else is said."""
        operands = {"stride": (1, 1), "dilation": (1, 1), "pad": (0, 0), "fill": 0} | facts
        return self.put("window", stream=stream, kernel=kernel, out=out, **operands)

    def block(
        self, number: int, rows: Sequence[Sequence[int]], at: tuple[int, int, int] = (0, 0, 0), **facts: Any
    ) -> "Sketch":
        """Programme a block at (tile, row, column)."""
        tile, row, col = at
        operands = {"zeros": "program", "data": self.matrix(rows)} | facts
        size = {"rows": len(rows), "cols": len(rows[0])}
        return self.put("program", block=number, tile=tile, row=row, col=col, **size, **operands)

    def gain(self, multiplier: int = 1 << 15, divide: int = 15) -> "Sketch":
        """Load one gain for all tiles: 1 where nothing else is said."""
        return self.put("gain", tile=0, scope="all", multiplier=multiplier, divide=divide)

    def port(
        self, name: str, shape: tuple[int, ...], base: int, type_name: str = "i8", output: bool = False
    ) -> "Sketch":
        """Append an input or output port that takes every code of its type."""
        limits = np.iinfo(DTYPES[type_name])
        facts = {"model_shape": shape, "order": tuple(range(len(shape))), "scale": 1.0, "zero": 0}
        port = Port(name, base, type_name, shape, low=int(limits.min), high=int(limits.max), **facts)
        (self.outputs if output else self.inputs).append(port)
        return self

    def program(self, halt: bool = True) -> Program:
        """Return the program."""
        instructions = (*self.instructions, *([instruction("halt")] if halt else []))
        return Program(
            instructions,
            tuple((f"node{i}",) for i in range(len(instructions))),
            tuple(self.inputs),
            tuple(self.outputs),
            bytes(self.constants),
            bytes(self.conductances),
            self.memory,
            {"target": self.target},
        )


def reference_outcome(program: Program, inputs: Mapping[str, Any]) -> Outcome:
    """Return what the reference interpreter writes for one sample, and its outputs or its trap."""
    writes: Writes = []
    codes = {name: values.tolist() for name, values in inputs.items()}
    try:
        return writes, reference.run(program, codes, lambda index, values: writes.append((index, list(values))))
    except Trap as trap:
        return writes, (trap.code, trap.index, trap.locations)


def fast_outcome(
    program: Program, inputs: Mapping[str, Any], kernels: str | None = None, device: str = "cpu"
) -> Outcome:
    """Return the same of the fast interpreter, by default on its best kernels."""
    writes: Writes = []
    batch = {name: values[None] for name, values in inputs.items()}
    try:
        outputs = Interpreter(program, kernels=kernels, device=device).run(
            batch, lambda index, values: writes.append((index, values.ravel().tolist()))
        )
    except Trap as trap:
        return writes, (trap.code, trap.index, trap.locations)
    return writes, {name: codes.ravel().tolist() for name, codes in outputs.items()}


def ask_both(sketch: Sketch, **inputs: Any) -> Outcome:
    """Return what both interpreters do with one sample; fail where they, or kernels or devices, differ."""
    program = sketch.program()
    literal = reference_outcome(program, inputs)
    for kernels in levels():
        assert fast_outcome(program, inputs, kernels) == literal, kernels
    for device in devices()[1:]:
        assert fast_outcome(program, inputs, device=device) == literal, device
    return literal


@pytest.fixture(scope="session")
def new() -> type[Sketch]:
    """The class of programs under construction."""
    return Sketch


@pytest.fixture(scope="session")
def ask() -> Callable[..., Outcome]:
    """The question to both interpreters."""
    return ask_both


@pytest.fixture(scope="session")
def written(ask: Callable[..., Outcome]) -> Callable[..., list[int]]:
    """What the last writing instruction of a program writes, in both interpreters."""

    def last_write(sketch: Sketch, **inputs: Any) -> list[int]:
        writes, end = ask(sketch, **inputs)
        assert isinstance(end, dict), end
        return writes[-1][1]

    return last_write


@pytest.fixture(scope="session")
def trapped(ask: Callable[..., Outcome]) -> Callable[..., str]:
    """The code of the trap that a program's last instruction but `halt` ends in, in both interpreters."""

    def code(sketch: Sketch, **inputs: Any) -> str:
        _, end = ask(sketch, **inputs)
        assert isinstance(end, tuple), end
        assert end[1:] == (len(sketch.instructions) - 1, (f"node{len(sketch.instructions) - 1}",))
        return end[0]

    return code
