"""Refit: gain and offset of every column, from unlabelled inputs run on the noisy chip.

Layer by layer, the digital sums that the chip gives are held against those of the exact machine on the same inputs, and
the column's multipliers and offset are set by least squares: the chip-in-the-loop form of adapting batch normalisation.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cimc.backends.interpreter import Interpreter
from cimc.backends.machine.facts import machine
from cimc.backends.noise.sources import Noise
from cimc.backends.plan.walk import Plan, Walk
from cimc.isa.author import Author
from cimc.isa.constants import ConstantMemory
from cimc.isa.limits import MULTIPLIER_LIMIT
from cimc.isa.phases import READ_PHASES, reach
from cimc.isa.program import Port, Program, instruction
from cimc.isa.streams import StreamState, follow

Codes = Mapping[str, NDArray[Any]]
Sums = Mapping[int, NDArray[np.int32]]
Reals = NDArray[np.float64]

LOWEST_GAIN, HIGHEST_GAIN = 0.25, 4.0
"""Gains that a fit may give a column. Drift with exponent 0.06 takes a factor 2.7 in ten years; a column that lost more
hardly conducts, and a larger gain would raise its noise and not its signal."""
LARGEST_FACTOR = 4
"""Drift factors, which multiply M on the machine, stay below this."""
PROBE_STREAM = 15
"""The last stream: loops leave it free (compiler/ir/loop.py)."""
PROBE_LIMIT = (1 << 31) - 1
"""The largest value of the 32-bit port that a probe writes."""


@dataclass(frozen=True)
class Refitted:
    """A refitted program, and its plan on the chip that it was refitted on."""

    program: Program
    plan: Plan


def refitted(program: Program, inputs: Codes, noise: Noise, exact: Sums | None = None) -> Refitted:
    """Return the program with the epilogue of every `mvm` refitted on `inputs`, port name -> codes [N, *shape].

    `exact` are the `exact_sums` of these inputs, where they are known from another chip. The devices are programmed
    once: each layer is probed on a branch of one walk through the program.
    """
    author, exact = Author.of(program), exact or exact_sums(program, inputs)
    walk = Walk(program, machine(program.meta), noise)
    for index, cols in _layers(program):
        walk.to(_enclosing(program, index).first)
        noisy = _sums(walk, author.program(), index, cols, inputs)
        _refit(author, index, exact[index].astype(np.float64), noisy.astype(np.float64), program)
        walk = walk.branch(author.program())
    return Refitted(author.program(), walk.plan())


def exact_sums(program: Program, inputs: Codes) -> Sums:
    """Return the digital sums i32 [vectors of all samples, cols] of every `mvm` on the exact machine, by index."""
    walk, found = Walk(program, machine(program.meta)), {}
    for index, cols in _layers(program):
        walk.to(_enclosing(program, index).first)
        found[index] = _sums(walk, program, index, cols, inputs)
    return found


def _layers(program: Program) -> Iterator[tuple[int, int]]:
    """Yield index and columns of every `mvm`."""
    columns = program.block_columns
    return ((i, columns[one["block"]]) for i, one in enumerate(program.instructions) if one.name == "mvm")


def _refit(author: Author, index: int, exact: Reals, noisy: Reals, program: Program) -> None:
    one, cols = author.instructions[index], exact.shape[1]
    probe_shift = _probe_shift(program, index, cols)
    gain = np.clip(_slopes(exact, noisy), LOWEST_GAIN, HIGHEST_GAIN)
    bias = (exact.mean(axis=0) - gain * noisy.mean(axis=0)) * 2.0**probe_shift
    scale = author.constants.read(one["scale"], "i32", one["blocks"] * cols).reshape(-1, cols) * gain
    offset, shift = author.constants.read(one["bias"], "i64", cols) + bias, int(one["shift"])
    while np.abs(np.rint(scale)).max(initial=0) >= MULTIPLIER_LIMIT and shift > 0:
        scale, offset, shift = scale / 2, offset / 2, shift - 1
    limit = MULTIPLIER_LIMIT - 1
    scales = author.table(np.clip(np.rint(scale), -limit, limit).astype(np.int64), "i32")
    biases = author.table(np.rint(offset).astype(np.int64), "i64")
    author.amend(index, scale=scales, bias=biases, shift=shift)


def _slopes(exact: Reals, noisy: Reals) -> Reals:
    """Return the least-squares slope of each column of `exact` over `noisy`; 1 where the column never changes."""
    a, b = exact - exact.mean(axis=0), noisy - noisy.mean(axis=0)
    variance, covariance = np.square(b).mean(axis=0), (a * b).mean(axis=0)
    slopes: Reals = np.divide(covariance, variance, out=np.ones_like(variance), where=variance > 0.0)
    return slopes


def _sums(walk: Walk, program: Program, index: int, cols: int, inputs: Codes) -> NDArray[np.int32]:
    """Return sum_t code_t * M_t [vectors of all turns and samples, cols] of the `mvm` ahead, by 2^probe_shift."""
    probe = _probe(program, index, cols)
    planned = walk.branch(probe).plan()
    found = Interpreter(probe, noise=walk.state.crossbar.noise, planned=planned).run(inputs)["probe"]
    return np.asarray(found.reshape(-1, cols), np.int32)


def _probe(program: Program, index: int, cols: int) -> Program:
    """Return the program up to one `mvm`, which writes its sums, without offset and clamp, as its only output.

    In a loop the probe comes before the `mvm`, and its results of all turns lie one behind the other.
    """
    author, around = Author.of(program), _enclosing(program, index)
    one, vectors = program.instructions[index], _source(program, index).vectors
    base = -(-program.activation_bytes // 8) * 8
    out = instruction(
        "tensor",
        stream=PROBE_STREAM,
        space="act",
        type="i32",
        base=base,
        shape=(1, 1, vectors, cols),
        pitch=(0, 0, cols, 1),
    )
    zeros = author.table(np.zeros(cols, np.int64), "i64")
    shift = _probe_shift(program, index, cols)
    probe = one.changed(out=PROBE_STREAM, bias=zeros, shift=shift, low=-PROBE_LIMIT, high=PROBE_LIMIT)
    onwards = instruction("advance", stream=PROBE_STREAM, by=vectors * cols)
    before, rest = program.instructions[around.first : index], program.instructions[index : around.last]
    code = (*program.instructions[: around.first], out, *before, probe, onwards, *rest, instruction("halt"))
    shape = (around.turns * vectors, cols)
    port = Port("probe", base, "i32", shape, shape, (0, 1), 1.0, 0, -PROBE_LIMIT, PROBE_LIMIT)
    return replace(
        author.program(),
        instructions=code,
        locations=(*program.locations[: around.first], *[program.locations[index]] * (len(code) - around.first)),
        outputs=(port,),
        activation_bytes=base + 4 * around.turns * vectors * cols,
    )


@dataclass(frozen=True)
class _Loop:
    """The loops around an instruction, from the outermost `loop` to behind its `endloop`; nothing without one."""

    first: int
    last: int
    turns: int


def _enclosing(program: Program, index: int) -> _Loop:
    opened: list[int] = []
    for place, one in enumerate(program.instructions):
        if place == index:
            around = list(opened)
        if one.name == "loop":
            opened.append(place)
        elif one.name == "endloop" and opened:
            first = opened.pop()
            if place > index and around and first == around[0]:
                return _Loop(first, place + 1, prod(program.instructions[start]["count"] for start in around))
    return _Loop(index, index, 1)


def _probe_shift(program: Program, index: int, cols: int) -> int:
    """Return the shift that keeps every possible sum of codes times multipliers within 32 bits."""
    one = program.instructions[index]
    scale = ConstantMemory(program.constants).read(one["scale"], "i32", one["blocks"] * cols).reshape(-1, cols)
    facts = machine(program.meta)
    code = reach(READ_PHASES[facts.read_phases], facts.adc_range.high)
    highest = code * int(np.abs(scale).sum(axis=0).max(initial=0)) * LARGEST_FACTOR
    return max(highest.bit_length() - 31, 0)


def _source(program: Program, index: int) -> StreamState:
    """Return the input stream of an `mvm`, as the instructions before it left it."""
    states: dict[int, StreamState] = {}
    for one in program.instructions[:index]:
        follow(states, one)
    return states[program.instructions[index]["in"]]
