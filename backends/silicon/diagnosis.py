"""What is wrong with a chip, column by column: which fault explains a deviation, how surely, what a refit wins."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from cimc.backends.machine.facts import Machine, machine
from cimc.backends.noise.chip import Chip
from cimc.backends.noise.fixed_point import FINE_BITS
from cimc.backends.noise.sources import Noise
from cimc.backends.plan.crossbar import NoisyTile
from cimc.backends.plan.walk import Walk
from cimc.backends.silicon.converter_faults import (
    Adc,
    Converter,
    converter_faults,
    measured_converters,
    stated_converters,
)
from cimc.backends.silicon.device_faults import HEALTHY, Fault, device_faults
from cimc.backends.silicon.expected_devices import at_other_ages, expected
from cimc.backends.silicon.layer_equations import Equations
from cimc.backends.silicon.tile_evidence import TileEvidence
from cimc.isa.program import Program
from cimc.isa.region import Region, region

Reals = NDArray[np.float64]


@dataclass(frozen=True)
class Verdict:
    """One column of a tile.

    `deviation` is the root mean square, in codes, of what its cells conduct less their targets, and `expected` what it
    is on a healthy chip. `refit_wins` is the share of the deviation's square that one gain and offset make up for.
    `margin` is by how many nats the cause is likelier than the second.
    """

    tile: int
    column: int
    cause: str
    place: str
    confidence: float
    second: str
    margin: float
    deviation: float
    expected: float
    refit_wins: float


@dataclass(frozen=True)
class Deviations:
    """What cells of a tile are off by, in standard deviations of healthy devices [rows, columns].

    Only rows and columns of these numbers are in use; NaN where a cell is not.
    """

    rows: NDArray[np.int64]
    columns: NDArray[np.int64]
    scores: Reals


@dataclass(frozen=True)
class Diagnosis:
    """Faults by tile, a verdict for every column in use, and what each tile's cells are off by."""

    faults: Mapping[int, tuple[Fault, ...]]
    verdicts: tuple[Verdict, ...]
    deviations: Mapping[int, Deviations]


def judge_of(chip: Chip) -> Noise | None:
    """Return the noise that healthy devices of a chip's own profile have, None where it names none."""
    return None if chip.profile is None else Noise(chip.profile, 0, chip.read_s, chip.sources)


def diagnosis(program: Program, chip: Chip, judge: Noise, equations: Iterable[Equations] | None = None) -> Diagnosis:
    """Return what is wrong with a chip, its devices judged by the profile and sources of `judge`.

    `equations` are those of measured codes; without them ADCs are as the chip's file states. Raises Refusal CIM0534,
    and Trap where the program does, which would leave tiles unlooked at.
    """
    facts = machine(program.meta)
    walk = Walk(program, facts, Noise.of_chip(chip))
    walk.finish()
    found, converters = walk.state.crossbar.noisy_tiles, stated_converters(facts, chip)
    if equations is not None:
        seconds = walk.state.crossbar.seconds
        blocks = {region(one) for one in program.instructions if one.name == "program"}
        converters |= measured_converters(facts, equations, {b: _conducted(found[b.tile], b, seconds) for b in blocks})
    faults, verdicts, deviations = dict[int, tuple[Fault, ...]](), list[Verdict](), dict[int, Deviations]()
    for number, tile in found.items():
        at = replace(judge, time_s=chip.tiles[number].read_s, chip=None)
        evidence = _evidence(tile, chip, number, facts, at)
        used = set(evidence.columns.tolist())
        of_devices = device_faults(evidence, at_other_ages(facts, at))
        faults[number] = (*of_devices, *converter_faults(facts, judge, converters, number, used))
        verdicts += _verdicts(evidence, faults[number], number, facts, converters)
        deviations[number] = _deviations(evidence)
    return Diagnosis(faults, tuple(verdicts), deviations)


def _conducted(tile: NoisyTile, block: Region, seconds: int) -> Reals:
    plus, minus = tile.conductances(block, seconds).astype(np.float64)
    return np.asarray(plus - minus)


def _evidence(tile: NoisyTile, chip: Chip, number: int, facts: Machine, judge: Noise) -> TileEvidence:
    written = np.stack([pair.writes > 0 for pair in tile.pairs])
    rows, columns = (np.flatnonzero(written.any(axis=axes)) for axes in ((0, 1, 3), (0, 1, 2)))
    held = np.ix_(np.arange(len(written)), np.arange(2), rows, columns)
    return TileEvidence(
        rows,
        columns,
        chip.tiles[number].carried[held] / (1 << FINE_BITS),
        np.stack([pair.target for pair in tile.pairs]).astype(np.int64)[held],
        written[held],
        expected(facts, judge),
        facts.full_conductance,
    )


def _deviations(evidence: TileEvidence) -> Deviations:
    """Return the root mean square score of each cell's devices."""
    counted = evidence.written.sum(axis=(0, 1))
    squares = np.square(evidence.scores).sum(axis=(0, 1))
    scores = np.where(counted > 0, np.sqrt(squares / np.maximum(counted, 1)), np.nan)
    return Deviations(evidence.rows, evidence.columns, scores)


def _verdicts(
    evidence: TileEvidence, faults: Iterable[Fault], tile: int, facts: Machine, converters: Mapping[Adc, Converter]
) -> Iterator[Verdict]:
    """Yield the verdict on each column in use: of several faults that concern it, the weightiest."""
    causes = dict[int, Fault]()
    for fault in faults:
        for column in fault.columns:
            if column not in causes or fault.weight > causes[column].weight:
                causes[column] = fault
    for j, column in enumerate(evidence.columns.tolist()):
        adc = converters.get((tile, facts.adc_of(column)))
        deviation, usual, wins = _lost(evidence, facts, j, adc.gain if adc else 1.0)
        cause = causes.get(column, Fault(HEALTHY, "", (), 0.0))
        name, weight = cause.second if cause.kind != HEALTHY else ("", 0.0)
        told = (cause.kind, cause.place, cause.confidence if cause.kind != HEALTHY else 1.0, name)
        yield Verdict(tile, column, *told, cause.weight - weight, deviation, usual, wins)


def _lost(evidence: TileEvidence, facts: Machine, column: int, gain: float) -> tuple[float, float, float]:
    """Return deviation and usual deviation of a column's cells in codes, and the share that one gain makes up for."""
    shares = np.array(facts.shares)[:, None] / sum(facts.shares)
    written = evidence.written[..., column].any(axis=(0, 1))
    each = evidence.read, evidence.targets, evidence.law.mean[evidence.targets]
    cells = (values[:, 0, written, column] - values[:, 1, written, column] for values in each)
    read, asked, mean = ((values * shares).sum(axis=0) for values in cells)
    spread = np.square(evidence.law.deviation[evidence.targets][..., column])[..., written].sum(axis=1)
    usual = np.square(mean - asked) + (spread * np.square(shares)).sum(axis=0)
    off = gain * read - asked
    square, power = float(off @ off), float(read @ read)
    left = float(asked @ asked) - float(read @ asked) ** 2 / power if power else float(asked @ asked)
    wins = max(1 - left / square, 0.0) if square else 0.0
    return float(np.sqrt(np.square(off).mean())), float(np.sqrt(usual.mean())), wins
