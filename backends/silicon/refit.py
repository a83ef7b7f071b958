"""Refit: gain and offset of every column, from unlabelled inputs run on the noisy chip.

Layer by layer, the digital sums that the chip gives are held against those of the exact machine on the same inputs, and
the column's multipliers and offset are set by least squares: the chip-in-the-loop form of adapting batch normalisation.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cimc.backends.machine.facts import machine
from cimc.backends.noise.sources import Noise
from cimc.backends.plan.walk import Plan, Walk
from cimc.backends.silicon.column_fits import Aim, Found
from cimc.backends.silicon.flight import Flight
from cimc.isa.author import Author
from cimc.isa.constants import ConstantMemory
from cimc.isa.limits import MULTIPLIER_LIMIT
from cimc.isa.phases import READ_PHASES, reach
from cimc.isa.program import Port, Program, instruction
from cimc.isa.streams import StreamState, follow

Codes = Mapping[str, NDArray[Any]]
Aims = Mapping[int, Aim]

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


def refitted(
    program: Program, inputs: Codes, noise: Noise, aims: Aims | None = None, walk: Walk | None = None
) -> Refitted:
    """Return the program with the epilogue of every `mvm` refitted on `inputs`, port name -> codes [N, *shape].

    `aims` are the `exact_sums` of these inputs, where they are known from another chip; `walk` is a walk of the program
    on this chip that has met no input yet, where there is one. The devices are programmed once: each layer is probed on
    a branch of one walk through the program.
    """
    author, aims = Author.of(program), aims or exact_sums(program, inputs)
    walk = walk or Walk(program, machine(program.meta), noise)
    layers = _layers(program)
    flight = _flight(program, inputs, noise.sample_offset, layers)
    for layer in layers:
        noisy = _sums(flight, walk, author.program(), layer)
        _refit(author, layer, aims[layer.index], noisy)
        walk = walk.branch(author.program())
    return Refitted(author.program(), walk.plan())


def exact_sums(program: Program, inputs: Codes) -> Aims:
    """Return the digital sums of every `mvm` on the exact machine, by index."""
    walk, layers = Walk(program, machine(program.meta)), _layers(program)
    flight = _flight(program, inputs, 0, layers)
    return {layer.index: Aim.of(_sums(flight, walk, program, layer)) for layer in layers}


@dataclass(frozen=True)
class _Loop:
    """The loops around an instruction, from the outermost `loop` to behind its `endloop`; nothing without one."""

    first: int
    last: int
    turns: int


@dataclass(frozen=True)
class _Layer:
    """An `mvm`: its index, its input, its columns, the loops around it, and the shift of what its probe writes."""

    index: int
    source: StreamState
    cols: int
    around: _Loop
    shift: int

    @property
    def shape(self) -> tuple[int, int]:
        """The shape of its sums for one sample: vectors of all turns, and columns."""
        return (self.around.turns * self.source.vectors, self.cols)


def _layers(program: Program) -> list[_Layer]:
    """Return every `mvm`, in the order of the program."""
    columns, states, found = program.block_columns, dict[int, StreamState](), list[_Layer]()
    for index, one in enumerate(program.instructions):
        if one.name == "mvm":
            cols = columns[one["block"]]
            shift = _probe_shift(program, index, cols)
            found.append(_Layer(index, states[one["in"]], cols, _enclosing(program, index), shift))
        follow(states, one)
    return found


def _flight(program: Program, inputs: Codes, first: int, layers: Sequence[_Layer]) -> Flight:
    """Return the inputs in flight, with room for the probe of each layer."""
    largest = max((layer.source.elements for layer in layers), default=1)
    room = max((4 * prod(layer.shape) for layer in layers), default=0)
    return Flight(program, inputs, first, largest, _base(program) + room)


def _refit(author: Author, layer: _Layer, aim: Aim, noisy: Found) -> None:
    one, cols, found = author.instructions[layer.index], layer.cols, noisy.means
    gain = np.clip(aim.slopes(noisy, found), LOWEST_GAIN, HIGHEST_GAIN)
    bias = (aim.means - gain * found) * 2.0**layer.shift
    scale = author.constants.read(one["scale"], "i32", one["blocks"] * cols).reshape(-1, cols) * gain
    offset, shift = author.constants.read(one["bias"], "i64", cols) + bias, int(one["shift"])
    while np.abs(np.rint(scale)).max(initial=0) >= MULTIPLIER_LIMIT and shift > 0:
        scale, offset, shift = scale / 2, offset / 2, shift - 1
    limit = MULTIPLIER_LIMIT - 1
    scales = author.table(np.clip(np.rint(scale), -limit, limit).astype(np.int64), "i32")
    biases = author.table(np.rint(offset).astype(np.int64), "i64")
    author.amend(layer.index, scale=scales, bias=biases, shift=shift)


def _sums(flight: Flight, walk: Walk, program: Program, layer: _Layer) -> Found:
    """Return sum_t code_t * M_t of a layer ahead, [vectors of all turns, cols] a sample, by 2^shift of its probe.

    Walk and flight go on to the layer, or to the loops around it, which a probe within runs apart.
    """
    walk.to(layer.around.first)
    flight.to(program, walk.steps)
    probe = _probe(program, layer)
    steps = walk.branch(probe).plan().observed
    return flight.ahead(probe, steps, probe.outputs[0], apart=layer.around.last > layer.index)


def _probe(program: Program, layer: _Layer) -> Program:
    """Return the program up to one `mvm`, which writes its sums, without offset and clamp, as its only output.

    In a loop the probe comes before the `mvm`, and its results of all turns lie one behind the other.
    """
    author, around, cols = Author.of(program), layer.around, layer.cols
    one, vectors, base = program.instructions[layer.index], layer.source.vectors, _base(program)
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
    probe = one.changed(out=PROBE_STREAM, bias=zeros, shift=layer.shift, low=-PROBE_LIMIT, high=PROBE_LIMIT)
    onwards = instruction("advance", stream=PROBE_STREAM, by=vectors * cols)
    before = program.instructions[around.first : layer.index]
    rest = program.instructions[layer.index : around.last]
    code = (*program.instructions[: around.first], out, *before, probe, onwards, *rest, instruction("halt"))
    port = Port("probe", base, "i32", layer.shape, layer.shape, (0, 1), 1.0, 0, -PROBE_LIMIT, PROBE_LIMIT)
    place = program.locations[layer.index]
    return replace(
        author.program(),
        instructions=code,
        locations=(*program.locations[: around.first], *[place] * (len(code) - around.first)),
        outputs=(port,),
        activation_bytes=base + 4 * prod(layer.shape),
    )


def _base(program: Program) -> int:
    """Return where probes write: behind the program's memory."""
    return -(-program.activation_bytes // 8) * 8


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
