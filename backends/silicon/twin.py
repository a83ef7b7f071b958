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
from cimc.backends.silicon.layer_equations import Equations
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
        for column in range(one.codes.shape[1]):
            values, estimate = _column(one, column, asked[:, column], facts.full_conductance * DEVICE_SHARE)
            found.append(estimate)
            start = 0
            for block in one.blocks:
                _part(differences, block)[:, column] = values[start : start + block.rows]
                start += block.rows
                offsets[block.tile][block.col + column] = estimate.offset / len(one.blocks)
    tiles = {number: _tile(facts, each, offsets[number], read_s) for number, each in differences.items()}
    return Twin(Chip(tiles, program_digest(program), target_hash(program.meta)), tuple(found))


def _column(one: Equations, column: int, asked: Reals, spread: float) -> tuple[Reals, ColumnEstimate]:
    """Return what the cells of a column conduct [rows], in codes, and how well that is known."""
    usable = one.usable[:, column]
    inputs = one.inputs[usable] * one.slopes[:, column]
    prior = np.diag(np.append(np.full(len(asked), spread**2), OFFSET_SPREAD**2))
    prior[:-1, :-1] += np.outer(asked, asked) * GAIN_SPREAD**2
    mean, covariance = _posterior(inputs, one.codes[usable, column], np.append(asked, 0), prior, one.variance[column])
    square = float(asked @ asked)
    gain = float(mean[:-1] @ asked) / square if square else 1.0
    deviation = math.sqrt(max(float(asked @ covariance[:-1, :-1] @ asked), 0)) / square if square else math.inf
    offset = math.sqrt(max(float(covariance[-1, -1]), 0))
    reason = _reason(int(usable.sum()), one.hides_gain, deviation, offset)
    place = one.blocks[0]
    numbers = (int(usable.sum()), gain, deviation, float(mean[-1]), offset)
    return mean[:-1], ColumnEstimate(one.layer, place.tile, place.col + column, *numbers, reason)


def _posterior(inputs: Reals, codes: Reals, mean: Reals, prior: Reals, variance: float) -> tuple[Reals, Reals]:
    """Return mean and covariance of weights and offset behind codes [n] of inputs [n, rows]."""
    design = np.column_stack([inputs, np.ones(len(inputs))])
    precision = np.linalg.inv(prior) + design.T @ design / variance
    covariance = np.asarray(np.linalg.inv(precision), np.float64)
    return mean + covariance @ (design.T @ (codes - design @ mean)) / variance, covariance


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
