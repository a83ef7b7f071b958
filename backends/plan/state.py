"""What a program has made of the machine up to one instruction, and the step that an instruction becomes."""

from collections.abc import Callable
from copy import copy
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cimc.backends.machine import checks
from cimc.backends.machine.facts import Machine
from cimc.backends.machine.ports import DTYPES
from cimc.backends.machine.traps import Refusal, Trap
from cimc.backends.noise.sources import Noise
from cimc.backends.plan.crossbar import Crossbar, Reads
from cimc.backends.plan.exact import Rounding
from cimc.backends.plan.memory import Chunk
from cimc.isa.constants import from_halves
from cimc.isa.program import Instruction, Program
from cimc.isa.region import Region
from cimc.isa.streams import StreamState
from cimc.isa.table import FACTOR_ONE, TAP_BITS, bytes_of

Array = NDArray[Any]


@dataclass(frozen=True)
class Write:
    """What an instruction writes: `compute` gives elements in stream order, all within low..high."""

    out: StreamState
    compute: Callable[[Chunk], Array]
    low: int
    high: int

    @property
    def always_fits(self) -> bool:
        """Whether the bounds alone show that every result fits the element type."""
        return self.out.lowest <= self.low and self.high <= self.out.highest


@dataclass(frozen=True)
class Effect:
    """What an instruction does that writes no memory but depends on the images, or that only an observer misses."""

    apply: Callable[[Chunk], None]
    is_planned: bool = False
    """Whether planning has done it once for all images, and `apply` only tells the observer of it."""


@dataclass(frozen=True)
class Mark:
    """A point of the walk: how many steps there were, the streams by number, and the counts of reads."""

    steps: int
    streams: dict[int, StreamState]
    reads: Reads


class PlanState:
    """Streams, arrays and operands at one point of the program; operands are checked as they are resolved.

    `largest` is the number of elements of the longest stream read so far; `calibrated` holds the drift factors of
    blocks, None where they depend on the images.
    """

    def __init__(self, program: Program, machine: Machine, noise: Noise | None = None) -> None:
        self.program = program
        self.machine = machine
        self.crossbar = Crossbar(machine, noise)
        self.streams: dict[int, StreamState] = {}
        self.calibrated: dict[int, Array | None] = {}
        self.largest = 1
        self.sizes = {"act": program.activation_bytes, "const": len(program.constants)}

    def branch(self, program: Program) -> "PlanState":
        """Return a state that goes on from here with another program; the arrays' devices are shared."""
        other = copy(self)
        other.program = program
        other.crossbar, other.streams, other.calibrated = self.crossbar.branch(), {**self.streams}, {**self.calibrated}
        other.sizes = {"act": program.activation_bytes, "const": len(program.constants)}
        return other

    def mark(self, steps: int) -> Mark:
        """Return a mark of this point, before which the plan has so many steps."""
        return Mark(steps, {**self.streams}, self.crossbar.counts())

    def skip(self, turns: int, last: Mark) -> None:
        """Go on by so many turns like the last, which began at a mark."""
        for number, stream in self.streams.items():
            by = turns * (stream.base - last.streams[number].base)
            self.streams[number] = replace(stream, base=stream.base + by)
        self.crossbar.skip(turns, last.reads)

    def source(self, number: int) -> StreamState:
        """Return a stream that is read."""
        state = checks.defined(self.streams, number)
        checks.readable(state, self.sizes)
        self.largest = max(self.largest, state.elements)
        return state

    def window(self, number: int) -> StreamState:
        """Return a window that is read."""
        state = self.source(number)
        checks.windowed(state)
        return state

    def out(self, number: int) -> StreamState:
        """Return a stream that is written."""
        state = checks.defined(self.streams, number)
        checks.writable(state, self.sizes)
        return state

    def single(self, number: int) -> StreamState:
        """Return a stream of one element that is written."""
        state = self.out(number)
        checks.count("the output", state.elements, 1)
        return state

    def blocks(self, first: int, count: int) -> list[Region]:
        """Return the regions of consecutive blocks that share their columns' outputs."""
        blocks = [self.crossbar.block(number) for number in range(first, first + count)]
        for block in blocks:
            self.crossbar.gain(block.tile)
            checks.count("a block's row of columns", block.cols, blocks[0].cols)
        return blocks

    def factors(self, number: int, cols: int) -> Array | None:
        """Return a block's drift factors [1, cols], None where they depend on the images."""
        return self.calibrated.get(number, np.full((1, cols), FACTOR_ONE))

    def constant(self, address: int, type_name: str, count: int) -> Array:
        """Return a table of constants."""
        dtype = DTYPES[type_name]
        checks.inside(address, address + dtype.itemsize * count, self.sizes["const"], "constant memory")
        return np.frombuffer(self.program.constants, dtype, count, address) if count else np.empty(0, dtype)

    def taps(self, i: Instruction, count: int) -> Array:
        """Return so many weights of a `depthwise`."""
        if i.choice("taps") == "i8":
            return self.constant(i["weights"], "i8", count)
        return from_halves(self.constant(i["weights"], "u8", bytes_of(TAP_BITS["i4"] * count)), count)

    def targets(self, address: int, cells: Region) -> Array:
        """Return device targets [2, rows, cols], plus then minus, none above the highest level."""
        count = cells.rows * cells.cols
        checks.inside(address, address + 2 * count, len(self.program.conductances), "the conductance section")
        values = np.frombuffer(self.program.conductances[address : address + 2 * count], "<i2").astype(np.int32)
        checks.targets(_extremes(values), self.machine.full_conductance)
        difference = values.reshape(cells.rows, cells.cols)
        return np.stack([np.maximum(difference, 0), np.maximum(-difference, 0)])

    def multipliers(self, address: int, count: int) -> Array:
        """Return a table of multipliers M as int64."""
        values = self.constant(address, "i32", count).astype(np.int64)
        checks.multipliers(_extremes(values))
        return values

    def biases(self, address: int, count: int) -> Array:
        """Return a table of offsets B."""
        return self.constant(address, "i64", count)


Action = Write | Effect | Trap | Refusal
"""What an executed instruction does to the images, or what ends the run there."""

Builder = Callable[[PlanState, Instruction, int], Write | Effect | None]
"""What an instruction, at an index of the program, does to the plan's state, and the step it becomes."""


def rounding(i: Instruction) -> Rounding:
    """Return the rounding that an instruction ends with."""
    return Rounding(i["shift"], i["low"], i["high"])


def magnitude(state: StreamState) -> int:
    """Return the largest magnitude of an element read from a stream."""
    outside = abs(state.window.fill) if state.window else 0
    return max(-state.lowest, state.highest, outside)


def _extremes(values: Array) -> tuple[int, ...]:
    return (int(values.min()), int(values.max())) if values.size else ()
