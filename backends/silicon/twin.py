"""The twin of a chip from its codes alone: what every column conducts, and where its ADC begins.

Of each column the conductances and an offset are those that codes and what is known beforehand make likeliest: targets
that a common factor and errors of single devices have changed, both normal. Where inputs say nothing, the targets stay.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from cimc.backends.machine.facts import Machine, machine
from cimc.backends.noise.chip import Array, Chip, ChipTile
from cimc.backends.noise.converters import ERROR_BITS
from cimc.backends.noise.device_tables import SATURATION
from cimc.backends.noise.fixed_point import FINE_BITS
from cimc.backends.silicon.layer_equations import Calibration, Equations
from cimc.backends.silicon.normal_equations import ColumnEquations, NormalEquations
from cimc.isa.binary import program_digest
from cimc.isa.conductances import targets
from cimc.isa.manifest import target_hash
from cimc.isa.program import Program
from cimc.isa.region import Region, region

Reals = NDArray[np.float64]

DEVICE_SHARE = 0.05
"""Standard deviation of a cell's own error, as a share of full conductance, before any code is seen."""
GAIN_SPREAD, OFFSET_SPREAD = 0.3, 4.0
"""The same of a column's common factor, and of its offset in LSB."""
CALIBRATED = 1e-3
"""Standard deviation of what drift factors say, as a share, beside the rounding of the codes that they sum."""
TURNS = 3
"""How often the signs of calibration codes are taken from the estimate before: small ones may change theirs."""
SURE_GAIN, SURE_OFFSET = 0.05, 1.0
"""A column is identified where its factor and its offset (LSB) are known this well."""


@dataclass(frozen=True)
class ColumnEstimate:
    """One column of a block, or of blocks that codes tell of together: factor and offset, each with its deviation.

    `reason` says why the column is not identified, empty where it is.
    """

    layer: str
    tile: int
    column: int
    equations: int
    gain: float
    gain_deviation: float
    offset: float
    offset_deviation: float
    reason: str


@dataclass(frozen=True)
class Twin:
    """A chip, and how well each of its columns is known."""

    chip: Chip
    columns: tuple[ColumnEstimate, ...]


def twin(program: Program, equations: Iterable[Equations], read_s: int = 0) -> Twin:
    """Return the chip that measured codes tell of; columns of layers that were not measured hold their targets."""
    facts = machine(program.meta)
    asked_of = _targets(program, facts)
    differences = {number: each.copy() for number, each in asked_of.items()}
    offsets = defaultdict[int, Reals](lambda: np.zeros(facts.columns))
    found = list[ColumnEstimate]()
    for one in equations:
        asked = np.concatenate([_part(asked_of, block) for block in one.blocks])
        said = ColumnEquations(one)
        for column in range(one.codes.shape[1]):
            before = _before(asked[:, column], facts.full_conductance * DEVICE_SHARE)
            values, estimate = _column(one, column, asked[:, column], before + said.of(column))
            found.append(estimate)
            start = 0
            for block in one.blocks:
                _part(differences, block)[:, column] = values[start : start + block.rows]
                start += block.rows
                offsets[block.tile][block.col + column] = estimate.offset / len(one.blocks)
    tiles = {number: _tile(facts, each, offsets[number], read_s) for number, each in differences.items()}
    return Twin(Chip(tiles, program_digest(program), target_hash(program.meta)), tuple(found))


def _before(asked: Reals, spread: float) -> NormalEquations:
    """Return what is known of a column's weights and offset before any code is seen."""
    covariance = np.diag(np.append(np.full(len(asked), spread**2), OFFSET_SPREAD**2))
    covariance[:-1, :-1] += np.outer(asked, asked) * GAIN_SPREAD**2
    return NormalEquations.of(np.append(asked, 0.0), covariance)


def _column(one: Equations, column: int, asked: Reals, said: NormalEquations) -> tuple[Reals, ColumnEstimate]:
    """Return what the cells of a column conduct [rows], in whole codes, and how well that is known."""
    known = said
    if one.calibration is not None and np.isfinite(one.calibration.sums[column]):
        for _ in range(TURNS):
            known = _calibrated(said, one.calibration, one.slopes[:, column], column, known.mean)
    mean, covariance = known.solved
    whole = known.rounded()
    square = float(asked @ asked)
    gain = float(mean[:-1] @ asked) / square if square else 1.0
    deviation = math.sqrt(max(float(asked @ covariance[:-1, :-1] @ asked), 0)) / square if square else math.inf
    offset = math.sqrt(max(float(covariance[-1, -1]), 0))
    count, place = int(one.usable[:, column].sum()), one.blocks[0]
    reason = _reason(count, one.hides_gain, deviation, offset)
    numbers = (count, gain, deviation, float(whole[-1]), offset)
    return whole[:-1], ColumnEstimate(one.layer, place.tile, place.col + column, *numbers, reason)


def _calibrated(
    known: NormalEquations, calibration: Calibration, slopes: Reals, column: int, mean: Reals
) -> NormalEquations:
    """Return what is known, and the sum of |code| of a calibration, with the signs that an estimate gives."""
    vectors = np.column_stack([calibration.inputs * slopes, np.ones(len(calibration.inputs))])
    total = calibration.sums[column]
    variance = len(vectors) / 12 + (CALIBRATED * total) ** 2
    return known.with_equation(np.sign(vectors @ mean) @ vectors, total, variance)


def _reason(count: int, hides_gain: bool, gain_deviation: float, offset_deviation: float) -> str:
    """Return why a column is not identified, empty where it is."""
    if count == 0:
        return "no code that was not clipped"
    if not math.isfinite(gain_deviation):
        return "no cell was asked to conduct"
    if gain_deviation > SURE_GAIN:
        return f"inputs leave its factor open by {gain_deviation:.2f}"
    if offset_deviation > SURE_OFFSET:
        return f"inputs leave its offset open by {offset_deviation:.2f} LSB"
    return "drift factors hide its factor: measure ADC codes" if hides_gain else ""


def _targets(program: Program, facts: Machine) -> dict[int, Reals]:
    """Return of each tile the differences [rows, columns] that its cells are asked for, in codes."""
    found = dict[int, Reals]()
    for one in program.instructions:
        if one.name == "program":
            cells = region(one)
            tile = found.setdefault(cells.tile, np.zeros((facts.rows, facts.columns)))
            _part({cells.tile: tile}, cells)[...] = targets(program.conductances, one)
    return found


def _part(tiles: Mapping[int, Reals], cells: Region) -> Reals:
    return tiles[cells.tile][cells.window]


def _tile(facts: Machine, differences: Reals, offsets: Reals, read_s: int) -> ChipTile:
    """Return a tile whose cells conduct differences [rows, columns] on one side, all pairs alike."""
    sides = np.stack([np.maximum(differences, 0), np.maximum(-differences, 0)])
    most = SATURATION * facts.full_conductance
    fine: Array = np.rint(np.minimum(sides, most) * (1 << FINE_BITS)).astype(np.int64)
    tile = ChipTile.of(facts, read_s, np.repeat(fine[None], facts.pairs, axis=0))
    adc = tile.adc.copy()
    adc[0] = np.rint(offsets * (1 << ERROR_BITS))
    return replace(tile, adc=adc)
