"""What a layer costs: time and energy estimated from the target's constants, before or after placement.

Array: one product reads a block in ceil(columns / ADCs) phases, each of the time and energy that the target's
prices give it (compiler/targets/prices.py). Tiles work at the same time, blocks of one tile one after another.
Digital unit: digital.lanes multiplications each digital.cycle, energy.multiply each, times digital.tech_scale where the
target states it. This is what passes choose by; `backends/cost` counts everything else as well, over the program.
"""

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from cimc.ir.attributes import int_values
from cimc.ir.loop import runs_of
from cimc.ir.types import code_of, shape_of
from cimc.ir.xbar import MvmOp
from cimc.passes.packing import Block, blocks_of
from cimc.targets import Target
from cimc.targets.prices import in_picojoules, phase_energy, phase_time

PICO = 1e-3
"""nJ in a pJ."""


@dataclass(frozen=True)
class Cost:
    """Time in ns and energy in nJ of one sample."""

    time_ns: float
    energy_nj: float

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(self.time_ns + other.time_ns, self.energy_nj + other.energy_nj)

    @property
    def product(self) -> float:
        """Energy times delay, what the cheaper way has less of."""
        return self.time_ns * self.energy_nj


def digital_cost(target: Target, multiplies: int) -> Cost:
    """Return the cost of multiplications in the digital unit."""
    constants = target.constants
    cycles = math.ceil(multiplies / constants["digital.lanes"])
    each = float(in_picojoules(target, "energy.multiply").value)
    return Cost(cycles * constants["digital.cycle"], multiplies * each * PICO)


def array_cost(
    target: Target,
    blocks: Iterable[tuple[int, Block]],
    vectors: int,
    longest: int | None = None,
    bits: int | None = None,
) -> Cost:
    """Return the cost of streaming vectors through blocks, (tile, block) each.

    Where several copies of the blocks share the vectors, `longest` is how many the busiest one takes. `bits` are those
    of the vectors' codes, where they have fewer than the DAC.
    """
    phases: Counter[int] = Counter()
    for tile, block in blocks:
        phases[tile] += _phases(target, block)
    phase = float(phase_time(target, bits).value) * target.constants["read_phases"]
    energy = float(phase_energy(target, bits).value) * PICO
    slowest = max(phases.values(), default=0)
    return Cost((longest or vectors) * slowest * phase, vectors * phases.total() * energy)


def layer_cost(target: Target, op: MvmOp, copies: int | None = None, bits: int | None = None) -> Cost:
    """Return the cost of a placed layer on the crossbar, with its copies and bits of codes or as many as said."""
    tiles, blocks = int_values(op.blocks)[::3], list(blocks_of(op))
    runs = runs_of(op)
    longest = longest_part(op, copies or op.copies) * runs
    width = bits or code_of(op.x).bits.data
    return array_cost(target, zip(tiles, blocks, strict=False), vectors_of(op) * runs, longest, width)


def lines_of(op: MvmOp) -> int:
    """Return into how many lines a layer's vectors can be cut: rows of a window's output, or single vectors."""
    window = int_values(op.window)
    return window[8] if window else vectors_of(op)


def longest_part(op: MvmOp, copies: int) -> int:
    """Return the most vectors that one of so many copies of a layer's blocks takes."""
    lines = max(lines_of(op), 1)
    return math.ceil(lines / copies) * (vectors_of(op) // lines)


def vectors_of(op: MvmOp) -> int:
    """Return how many vectors one run of a layer streams through each of its blocks."""
    return math.prod(shape_of(op.out)[:-1])


@dataclass(frozen=True)
class DepthwisePrice:
    """A depthwise layer's cost in the digital unit and in the array, and the cells that it would take and use there."""

    digital: Cost
    array: Cost
    cells: int
    used: int


def depthwise_price(target: Target, taps: int, channels: int, multiplier: int, positions: int) -> DepthwisePrice:
    """Return what a depthwise layer costs either way; in the array each block is taken to be in a tile of its own."""
    held = channels_together(target, taps, channels, multiplier)
    blocks = [Block(taps * held, held * multiplier)] * (channels // held)
    tiles = target.tiles or len(blocks)
    used = taps * channels * multiplier
    return DepthwisePrice(
        digital_cost(target, positions * used),
        array_cost(target, ((number % tiles, block) for number, block in enumerate(blocks)), positions),
        sum(block.rows * block.cols for block in blocks),
        used,
    )


def channels_together(target: Target, taps: int, channels: int, multiplier: int) -> int:
    """Return how many channels of a depthwise layer one block-diagonal block holds: the most that divide all."""
    most = max(min(target.rows // taps, target.columns // multiplier), 1)
    return next(held for held in range(min(most, channels), 0, -1) if channels % held == 0)


def _phases(target: Target, block: Block) -> int:
    """Return how often the ADCs convert for one product of a block."""
    return math.ceil(block.cols / target.converters)
