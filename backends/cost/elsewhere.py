"""What another chip would make of the same layers: their matrices cut for its tiles, all else at its prices.

That is a forecast from the shapes of a program, without compiling it: products, sums of pieces and requantisations
follow, codes of a copy's edges and how the pieces are placed do not matter to energy.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from math import ceil

from cimc.backends.cost.counters import Counters
from cimc.backends.cost.estimate import Estimate, Pricing, charge
from cimc.backends.cost.overlap import blocks_read
from cimc.backends.cost.waterfall import OPERATIONS, efficiency
from cimc.isa.program import ArrayBlock, Program
from cimc.isa.table import ELEMENT_TYPES
from cimc.targets.prices import PUBLISHED, phase_energy, summed
from cimc.targets.target import Target, built_in_names, load_target

ALIKE = (
    "dac.bits",
    "dac.codes",
    "adc.bits",
    "read_phases",
    "array.pairs_per_weight",
    "array.significance",
    "array.second_pair",
)
"""Constants in which a chip must not differ to be compared: codes would be others, or weights have other devices."""


@dataclass(frozen=True)
class Forecast:
    """Operations per pJ (TOPS/W) of a program's layers on another target."""

    target: Target
    tops_per_w: Fraction


def better(estimate: Estimate, program: Program) -> Forecast | None:
    """Return the best forecast of the targets that come with cimc, None where none is above the program itself."""
    if estimate.pricing.basis != PUBLISHED or not estimate.counters.macs:
        return None
    found = [Forecast(target, forecast(estimate, program, target)) for target in _comparable(estimate.target, program)]
    best = max(found, key=lambda one: one.tops_per_w, default=None)
    return best if best and best.tops_per_w > efficiency(estimate).value else None


def _comparable(target: Target, program: Program) -> Iterator[Target]:
    """Yield the built-in targets of the same codes whose arrays have a price and hold the program's cells."""
    cells = sum(block.rows * block.cols for block in program.blocks)
    for one in map(load_target, built_in_names()):
        alike = all(one.constants[key] == target.constants[key] for key in ALIKE)
        holds = one.tiles is None or cells <= one.tiles * one.rows * one.columns
        if one.name != target.name and alike and holds and phase_energy(one).value:
            yield one


def forecast(estimate: Estimate, program: Program, target: Target) -> Fraction:
    """Return the operations per pJ (TOPS/W) of a program's layers on a target."""
    pricing = Pricing(target, PUBLISHED, estimate.pricing.counted)
    placed = {block.number: block for block in program.blocks}
    energy = []
    for index, work in enumerate(estimate.works):
        blocks = [placed[number] for number in blocks_read(program.instructions[index])]
        done = _cut(work.counters, blocks, estimate.target, target) if work.counters.products else work.counters
        energy.append(charge(pricing, done, estimate.bits[index]).energy_pj)
    return Fraction(OPERATIONS * estimate.counters.macs) / summed(energy).value


def _cut(done: Counters, blocks: list[ArrayBlock], before: Target, target: Target) -> Counters:
    """Return the work of an instruction whose blocks, one on top of the other, are cut for the tiles of a target."""
    height, width = sum(block.rows for block in blocks), blocks[0].cols
    vectors, pieces = done.products // len(blocks), ceil(height / target.rows)
    reads = done.conversions // (width * done.products)
    columns = ceil(width / target.converters)
    driven = Fraction(columns, ceil(width / before.converters))
    more = pieces - len(blocks)
    return replace(
        done,
        products=vectors * pieces,
        phases=vectors * pieces * columns * reads,
        serial_phases=vectors * pieces * columns * reads,
        conversions=vectors * pieces * width * reads,
        row_slots=vectors * height * columns * reads,
        row_on=done.row_on * driven,
        pulse=done.pulse * driven,
        dig_mul=done.dig_mul + vectors * width * more,
        dig_add=done.dig_add + vectors * width * more,
        const_read=done.const_read + done.issued * width * more * ELEMENT_TYPES["i32"][0],
    )
