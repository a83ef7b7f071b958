"""Diagnosis: injected faults are named and located, the second-best explanation is clearly behind, health is health."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pytest

from cimc.backends.machine.facts import machine
from cimc.backends.machine.traps import Trap
from cimc.backends.noise.chip import HIGH, LOW, Array, Chip
from cimc.backends.noise.fixed_point import FINE_BITS
from cimc.backends.noise.profiles import built_in_names, load_profile
from cimc.backends.noise.sources import Noise
from cimc.backends.silicon.adc_codes import adc_codes
from cimc.backends.silicon.bands import layer_codes
from cimc.backends.silicon.diagnosis import Diagnosis, diagnosis
from cimc.backends.silicon.layer_equations import layer_equations
from cimc.backends.silicon.reading_back import read_back
from cimc.isa.author import Author
from cimc.isa.program import Program

DAY = 86400
ROWS, COLUMNS = 48, 16
MARGINS = {
    "dead row": 117,
    "dead column": 368,
    "swapped pair": 1078,
    "ADC gain": 185,
    "ADC offset": 55,
    "drift": 96,
    "stuck devices": 11,
    "programming": math.log(1000),
}
"""By how many nats the second-best explanation is behind at least: docs/twin.md has those of every chip."""


@pytest.fixture(scope="module")
def program(new: Callable[..., Author]) -> Program:
    """Return two layers on two tiles, each with blocks side by side."""
    rng = np.random.default_rng(2)
    sketch = new(4096, array={"rows": ROWS, "columns": COLUMNS}).port("x", (8, ROWS), 0)
    sketch.port("y", (8, COLUMNS), 1024, output=True).gain(40000, 22)
    for block in range(2):
        targets = np.clip(rng.normal(0, 180, (ROWS, COLUMNS)), -508, 508).round().astype(int)
        sketch.block(block, targets, (block, 0, 0))
    tables = {"scale": sketch.table([1 << 12] * COLUMNS, "i32"), "bias": sketch.table([0] * COLUMNS, "i64")}
    sketch.tensor(0, (8, ROWS))
    for block, at in ((0, 1024), (1, 2048)):
        sketch.tensor(1 + block, (8, COLUMNS), at)
        sketch.put("mvm", in_=0, out=1 + block, block=block, blocks=1, **tables, shift=12, low=-127, high=127)
    return replace(sketch.program(), locations=tuple((f"layer{i}",) for i in range(len(sketch.program().instructions))))


def drawn(seed: int, profile: str = "pcm", time_s: int = DAY) -> Noise:
    return Noise(load_profile(profile), seed, time_s)


def codes(count: int = 16) -> dict[str, Array]:
    return {"x": np.random.default_rng(5).integers(-127, 128, (count, 8, ROWS)).astype(np.int8)}


def judged(program: Program, chip: Chip, judge: Noise, true: Chip | None = None) -> Diagnosis:
    """Return the diagnosis of a chip that was read, by ADC codes of the true one where it is another."""
    if true is None:
        return diagnosis(program, chip, judge)
    inputs, noise = codes(), Noise.of_chip(true)
    measured = layer_codes(program, inputs, noise) | adc_codes(program, inputs, noise)
    return diagnosis(program, chip, judge, layer_equations(program, inputs, measured, Noise.of_chip(chip)))


@dataclass(frozen=True)
class Injected:
    """A fault in tile 1: its kind, a part of the place that is told, and the columns that it concerns."""

    kind: str
    place: str
    columns: tuple[int, ...]


EVERY = tuple(range(COLUMNS))


def changed(chip: Chip, **fields: Array) -> Chip:
    return replace(chip, tiles={**chip.tiles, 1: replace(chip.tiles[1], **fields)})


def dead_row(chip: Chip, n: int) -> tuple[Chip, Injected]:
    return changed(chip, dead_rows=np.arange(ROWS) == n), Injected("dead row", f"row {n}", EVERY)


def dead_column(chip: Chip, n: int) -> tuple[Chip, Injected]:
    return changed(chip, dead_columns=np.arange(COLUMNS) == n), Injected("dead column", f"column {n}", (n,))


def swapped_column(chip: Chip, n: int) -> tuple[Chip, Injected]:
    conductance = chip.tiles[1].conductance.copy()
    conductance[..., n] = conductance[:, ::-1, :, n]
    return changed(chip, conductance=conductance), Injected("swapped pair", f"column {n}", (n,))


def converter(row: int, value: int, kind: str, n: int) -> Callable[[Chip], tuple[Chip, Injected]]:
    def inject(chip: Chip) -> tuple[Chip, Injected]:
        adc = chip.tiles[1].adc.copy()
        adc[row, 4 * n : 4 * n + 4] = value
        return changed(chip, adc=adc), Injected(kind, f"ADC {n}", tuple(range(4 * n, 4 * n + 4)))

    return inject


def gain(n: int) -> Callable[[Chip], tuple[Chip, Injected]]:
    return converter(1, -round(0.2 * 2**20), "ADC gain", n)


def offset(n: int, sign: int = 1) -> Callable[[Chip], tuple[Chip, Injected]]:
    return converter(0, sign * 3 << 16, "ADC offset", n)


FAULTS: dict[str, Callable[[Chip], tuple[Chip, Injected]]] = {
    **{f"dead row {n}": lambda chip, n=n: dead_row(chip, n) for n in (0, 17, 47)},
    **{f"dead column {n}": lambda chip, n=n: dead_column(chip, n) for n in (0, 7, 15)},
    **{f"swapped pair {n}": lambda chip, n=n: swapped_column(chip, n) for n in (1, 6, 12)},
    **{f"gain 0.8 of ADC {n}": gain(n) for n in range(3)},
    **{f"offset {3 * sign} LSB of ADC {n}": offset(n, sign) for n, sign in ((0, 1), (1, -1), (3, 1))},
}


@pytest.mark.parametrize("name", FAULTS)
def test_an_injected_fault_is_named_and_located(program: Program, name: str) -> None:
    """The chip that is judged says only what single devices are read at; converters are known by codes alone."""
    judge = drawn(list(FAULTS).index(name))
    healthy = read_back(program, judge)
    true, injected = FAULTS[name](healthy)
    blind = changed(healthy, conductance=true.tiles[1].carried)
    found = judged(program, blind, judge, true if "ADC" in name else None)
    assert found.faults[0] == ()
    (fault,) = found.faults[1]
    assert (fault.kind, fault.columns) == (injected.kind, injected.columns)
    assert fault.place.split(":")[0] == injected.place
    assert fault.weight - fault.second[1] > MARGINS[fault.kind]
    assert fault.confidence > 0.999
    causes = {(one.tile, one.column): one.cause for one in found.verdicts}
    assert {place for place, cause in causes.items() if cause != "healthy"} == {(1, c) for c in injected.columns}


@pytest.mark.parametrize("seed", range(3))
def test_a_tile_that_drifted_ten_times_longer_is_told_by_its_age(program: Program, seed: int) -> None:
    judge = drawn(seed)
    chip = read_back(program, judge)
    older = read_back(program, replace(judge, time_s=10 * DAY)).tiles[1]
    found = judged(program, changed(chip, conductance=older.conductance), judge)
    (fault,) = found.faults[1]
    assert (fault.kind, fault.columns, found.faults[0]) == ("drift", EVERY, ())
    assert fault.place.startswith("conducts as after 8641")
    assert fault.weight - fault.second[1] > MARGINS[fault.kind]


def test_devices_programmed_worse_than_the_profile_says_are_bad_programming(program: Program) -> None:
    judge = drawn(3)
    worse = read_back(program, drawn(3, "pcm,programming.scale=4")).tiles[1]
    found = judged(program, changed(read_back(program, judge), conductance=worse.conductance), judge)
    assert {fault.kind for fault in found.faults[1]} == {"programming"}
    assert len(found.faults[1]) > COLUMNS / 4
    assert all(fault.weight - fault.second[1] > MARGINS[fault.kind] for fault in found.faults[1])


@pytest.mark.parametrize("seed", range(2))
def test_stuck_devices_are_found_where_they_can_be_told_from_free_ones(program: Program, seed: int) -> None:
    judge, rng = drawn(10 + seed), np.random.default_rng(seed)
    chip, full = read_back(program, judge), machine(program.meta).full_conductance
    conductance = chip.tiles[1].conductance.copy()
    stuck = np.where(rng.random(conductance.shape) < 0.01, rng.integers(LOW, HIGH + 1, conductance.shape), 0)
    far = np.abs(conductance / (1 << FINE_BITS) - np.where(stuck == HIGH, full, 0)) > 200
    conductance = np.where(stuck > 0, np.where(stuck == HIGH, full << FINE_BITS, 0), conductance)
    found = judged(program, changed(chip, conductance=conductance), judge)
    assert {fault.kind for fault in found.faults[1]} == {"stuck devices"}
    told = {(column, fault.place) for fault in found.faults[1] for column in fault.columns}
    for _, side, row, column in np.argwhere((stuck > 0) & far):
        assert any(c == column and f"row {row} {('plus', 'minus')[side]}" in place for c, place in told)
    assert sum(place.count("row ") for _, place in told) <= (stuck > 0).sum()
    assert all(fault.weight - fault.second[1] > MARGINS[fault.kind] for fault in found.faults[1])


def test_a_program_that_traps_is_not_called_healthy(program: Program) -> None:
    """It does so before its second tile is programmed."""
    judge, instructions = drawn(0), list(program.instructions)
    second = [i for i, one in enumerate(instructions) if one.name == "program"][1]
    early = next(one for one in instructions if one.name == "mvm")
    trapping = replace(program, instructions=(*instructions[:second], early, *instructions[second:]))
    with pytest.raises(Trap):
        diagnosis(trapping, read_back(program, judge), judge)


def upper_bound(alarms: int, chips: int) -> float:
    """Return the share of alarms below which the true one is with 95 % confidence (Clopper-Pearson, one-sided)."""
    low, high = 0.0, 1.0
    for _ in range(60):
        share = (low + high) / 2
        likely = sum(math.comb(chips, k) * share**k * (1 - share) ** (chips - k) for k in range(alarms + 1))
        low, high = (share, high) if likely > 0.05 else (low, share)
    return high


def alarms(program: Program, seeds: range, with_codes: bool = True) -> int:
    """Return how many healthy chips a fault is told of."""
    found = 0
    for seed in seeds:
        judge = drawn(1000 + seed)
        chip = read_back(program, judge)
        found += any(judged(program, chip, judge, chip if with_codes else None).faults.values())
    return found


def test_a_few_healthy_chips_are_healthy(program: Program) -> None:
    assert alarms(program, range(4)) == 0


@pytest.mark.parametrize("profile", [name for name in built_in_names() if name != "pcm"])
def test_healthy_chips_of_every_profile_are_healthy(program: Program, profile: str) -> None:
    """Devices of some are held back at the ends of their range: no spread of theirs is normal there."""
    judge = drawn(4, profile)
    assert not any(judged(program, read_back(program, judge), judge).faults.values())


def test_a_healthy_chip_whose_second_pair_holds_the_rest_is_healthy(new: Callable[..., Author]) -> None:
    array = {"rows": ROWS, "columns": COLUMNS, "pairs_per_weight": 2, "second_pair": "rest"}
    targets = np.clip(np.random.default_rng(2).normal(0, 180, (ROWS, COLUMNS)), -508, 508).round().astype(int)
    program = new(array=array).gain().block(0, targets).program()
    assert not any(judged(program, read_back(program, drawn(4)), drawn(4)).faults.values())


@pytest.mark.nightly
def test_a_hundred_healthy_chips_give_hardly_an_alarm(program: Program) -> None:
    assert upper_bound(alarms(program, range(100, 200)), 100) <= 0.05
