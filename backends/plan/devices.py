"""Noisy devices of the fast interpreter: the laws of reference/devices.py on regions of a tile.

Statistics: IBM/aihwkit's inference noise models. Conductances are int64 in fine units (2^-12 of a code), exponents and
relative spreads in Q20, normal variables in Q16; regions are [2, rows, cols], plus then minus. A cell conducts the
mean of its pairs of devices by their shares, each pair with a state of its own.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cimc.backends.machine.facts import Machine
from cimc.backends.noise import draws, octaves
from cimc.backends.noise.chip import FREE, HIGH, LOW
from cimc.backends.noise.device_tables import Aging, Spread, aging, ceiling, deviations, exponents, spread
from cimc.backends.noise.fixed_point import (
    DAC_ERROR_BITS,
    EXPONENT_BITS,
    FINE_BITS,
    FLICKER_BITS,
    HALVING_BITS,
    HALVING_CELLS,
    NORMAL_BITS,
    READ_BITS,
    halvings,
    rounded,
    scaled,
    shared,
)
from cimc.backends.noise.sources import Noise
from cimc.backends.noise.table import DAC, DRIFT, FLICKER, FORMING, POLARITY, PROGRAMMING, READ, REDRAW, STRETCH, STUCK
from cimc.backends.noise.wires import wires
from cimc.backends.plan.exact import half_even
from cimc.backends.plan.wires import attenuated
from cimc.isa.region import Region

Array = NDArray[Any]
LONGEST_SHIFT = 62


@dataclass
class DeviceState:
    """Per device [2, rows, cols] of one pair: target code, value in fine units, drift, how often it was programmed."""

    target: Array
    value: Array
    drift: Array
    writes: Array
    pair: int = 0

    bytes_each = 16

    @staticmethod
    def fresh(rows: int, columns: int, pair: int = 0) -> "DeviceState":
        """Return devices that were never programmed."""
        target, value, drift, writes = (np.zeros((2, rows, columns), np.int32) for _ in range(4))
        return DeviceState(target, value, drift, writes, pair)

    def part(self, cells: Region) -> "DeviceState":
        """Return views of a region."""
        window = cells.window
        fields = self.target[window], self.value[window], self.drift[window], self.writes[window]
        return DeviceState(*fields, self.pair)


class Devices:
    """The laws of noisy devices; the state is the caller's."""

    def __init__(self, machine: Machine, noise: Noise) -> None:
        self.machine = machine
        self.noise = noise
        self.numbers = noise.profile.numbers
        self.kind = noise.profile.choices["drift.kind"]
        self.programming = deviations(noise.profile, "programming", machine.full_conductance)
        self.exponents = exponents(noise.profile, machine.full_conductance)
        self.cycle = spread(noise.profile, "cycle", machine.full_conductance)
        self.full = machine.full_conductance << FINE_BITS
        self.ceiling = ceiling(noise.profile, machine.full_conductance)

    def write(self, pairs: Sequence[DeviceState], cells: Region, targets: Array, chosen: Array) -> None:
        """Programme the chosen sides of cells to targets [2, rows, cols], pair after pair."""
        if self.machine.second_pair == "copy":
            for state in pairs:
                self.program(state, cells, targets, chosen)
            return
        wanted = targets * sum(self.machine.shares)
        firsts = np.minimum(wanted // self.machine.significance, self.machine.full_conductance)
        self.program(pairs[0], cells, firsts, chosen)
        rests = self._rests(pairs[0], cells, targets, firsts, chosen)
        self.program(pairs[1], cells, rests, chosen | (rests > 0))

    def _rests(self, first: DeviceState, cells: Region, targets: Array, firsts: Array, chosen: Array) -> Array:
        """Return the targets of the second pair: what the first leaves open, less the error that it was left with."""
        significance, highest = self.machine.significance, self.machine.full_conductance
        left = self._with_stuck(cells, first.pair, self._values(first.part(cells)))
        errors = np.where(chosen, left - (firsts.astype(np.int64) << FINE_BITS), 0)
        open_ = targets * sum(self.machine.shares) - significance * firsts
        difference = open_[0] - open_[1] - rounded(significance * (errors[0] - errors[1]), FINE_BITS)
        signed = np.stack([difference, -difference])
        return np.asarray(np.clip(open_.min(axis=0) + np.maximum(signed, 0), 0, highest))

    def program(self, state: DeviceState, cells: Region, targets: Array, chosen: Array) -> None:
        """Programme the chosen devices of one pair in a region to targets [2, rows, cols]."""
        part = state.part(cells)
        value, drift = self.left(part, cells, targets), np.zeros_like(targets, np.int64)
        if self.noise.has("drift"):
            drift = self._by_writes(DRIFT, cells, part)
            if self.kind == "power":
                mean, sigma = (np.array(table)[targets] for table in self.exponents)
                drift = np.abs(mean + rounded(sigma * drift, NORMAL_BITS))
        for field, values in ((part.target, targets), (part.value, value), (part.drift, drift)):
            np.copyto(field, values, where=chosen, casting="unsafe")
        part.writes += chosen

    def left(self, part: DeviceState, cells: Region, targets: Array) -> Array:
        """Return the values, in fine units, that programming to targets [2, rows, cols] leaves devices at."""
        value = self._formed(part, cells, targets)
        if self.noise.has("programming"):
            sigma = np.array(self.programming)[targets]
            z = self._by_writes(PROGRAMMING, cells, part)
            value = np.clip(value + rounded(sigma * z, NORMAL_BITS), 0, self.ceiling)
        return value

    def _formed(self, part: DeviceState, cells: Region, targets: Array) -> Array:
        """Return the values at which forming leaves devices with a target, where a profile says that it decides."""
        asked = targets.astype(np.int64) << FINE_BITS
        mean, sigma = (scaled(self.numbers[f"forming.{name}"], READ_BITS) for name in ("mean", "sigma"))
        if not mean or not self.noise.has("forming"):
            return asked
        middle, deviation = (rounded(self.full * one, READ_BITS) for one in (mean, sigma))
        drawn = middle + rounded(deviation * self._normals(FORMING, cells, part.pair, 0), NORMAL_BITS)
        return np.where(targets > 0, np.clip(drawn, 0, self.full), asked)

    def programmed(self, pairs: Sequence[DeviceState], cells: Region) -> Array:
        """Return programmed values, the mean over a cell's pairs, as conductance codes."""
        values = [self._with_stuck(cells, state.pair, self._values(state.part(cells))) for state in pairs]
        return half_even(self._summed(values), sum(self.machine.shares) << FINE_BITS).astype(np.int32)

    def conductances(
        self, pairs: Sequence[DeviceState], cells: Region, seconds: int, side: int = 0, against: int = 0
    ) -> Array:
        """Return the conductance codes of a region at a time: mean over pairs, IR drop and DAC errors included.

        Where `side` is 1 or -1, no current flows through the other side, whose codes mean nothing then; where
        `against` is, that side is read against its polarity.
        """
        factors = (1 << DAC_ERROR_BITS) + self.row_errors(cells)
        total = self._summed([self._polarised(state, cells, seconds, against) for state in pairs])
        if self.noise.has("ir_drop"):
            total = attenuated(wires(self.noise.profile, self.machine), self.machine, cells, total, side)
        return half_even(total * factors[:, None], sum(self.machine.shares) << FINE_BITS + DAC_ERROR_BITS)

    def cycle_sigmas(self, pairs: Sequence[DeviceState], cells: Region, seconds: int) -> Array:
        """Return each device's share [2 * pairs, rows, cols] in the spread from product to product, in fine units."""
        shares = self.machine.shares
        sigmas = [share * self._cycle_sigmas(state, cells, seconds) for share, state in zip(shares, pairs, strict=True)]
        return shared(np.concatenate(sigmas), sum(shares))

    def _summed(self, values: Sequence[Array]) -> Array:
        """Return the sum over pairs, each by its share."""
        return np.asarray(sum(share * value for share, value in zip(self.machine.shares, values, strict=True)))

    def _cycle_sigmas(self, state: DeviceState, cells: Region, seconds: int) -> Array:
        part = state.part(cells)
        sigma = _sigmas(self.cycle, part.value, self.fine(state, cells, seconds))
        return np.where((part.writes > 0) & (self.stuck(cells, state.pair) == FREE), sigma, 0)

    def _polarised(self, state: DeviceState, cells: Region, seconds: int, against: int) -> Array:
        values = self.fine(state, cells, seconds)
        if against:
            side = int(against < 0)
            sigma = scaled(self.numbers["polarity.sigma"], READ_BITS)
            deviation = rounded(sigma * self._normals(POLARITY, cells, state.pair, 0)[side], NORMAL_BITS)
            values[side] = np.clip(values[side] + rounded(values[side] * deviation, READ_BITS), 0, self.ceiling)
        return values

    def fine(self, state: DeviceState, cells: Region, seconds: int) -> Array:
        """Return the conductances of a region at a time in fine units."""
        part = state.part(cells)
        values = self._values(part)
        if not part.writes.any():  # a time that the profile does not know matters to no device
            return self._with_stuck(cells, part.pair, values)
        age = aging(self.noise.profile, self.machine.full_conductance, seconds)
        present = values
        if self.noise.has("drift"):
            present = np.clip(self._drifted(part, cells, age, seconds), 0, self.ceiling)
        if self.noise.has("read"):
            sigma = _sigmas(age.read, values, present)
            z = self._read_variables(cells, part.pair, age, seconds)
            present = present + rounded(sigma * z, NORMAL_BITS)
        present = np.clip(present, 0, self.ceiling)
        return self._with_stuck(cells, part.pair, np.where(part.writes > 0, present, values))

    def _read_variables(self, cells: Region, pair: int, age: Aging, seconds: int) -> Array:
        """Return the normal variables of read noise: what is fresh at this time, and what other times share."""
        fresh = self._normals(READ, cells, pair, seconds)
        if not age.memory.octaves:
            return fresh
        total = age.memory.fresh * fresh
        for octave, weight in age.memory.octaves:
            total += weight * self._of_stretches(cells, pair, octave, seconds)
        return np.clip(rounded(total, FLICKER_BITS), -octaves.LARGEST, octaves.LARGEST)

    def _of_stretches(self, cells: Region, pair: int, octave: int, seconds: int) -> Array:
        """Return each device's variable of the stretch of an octave that a time lies in: one of two neighbours."""
        first = seconds >> octave
        one, other = (self._normals(FLICKER, cells, pair, octaves.sample(octave, first + k)) for k in (0, 1))
        begun = octaves.stretch(seconds, octave, self._words(STRETCH, cells, pair, octave).astype(np.int64))
        return np.where(begun == first, one, other)

    def _values(self, part: DeviceState) -> Array:
        return np.where(part.writes > 0, part.value.astype(np.int64), self.machine.unprogrammed << FINE_BITS)

    def _drifted(self, part: DeviceState, cells: Region, age: Aging, seconds: int) -> Array:
        values = part.value.astype(np.int64)
        if age.redraw is not None:
            z = self._normals(REDRAW, cells, part.pair, seconds)
            sigma = np.array(age.redraw)[part.target]
            return (part.target.astype(np.int64) << FINE_BITS) + rounded(sigma * z, NORMAL_BITS)
        if self.kind == "logarithm":
            return values - age.shift + rounded(age.relaxation * part.drift.astype(np.int64), NORMAL_BITS)
        return decayed(values, part.drift.astype(np.int64) * age.exponent) if self.kind == "power" else values

    def _with_stuck(self, cells: Region, pair: int, values: Array) -> Array:
        stuck = self.stuck(cells, pair)
        if not (stuck != FREE).any():
            return values
        return np.where(stuck == FREE, values, np.where(stuck == HIGH, self.full, 0))

    def stuck(self, cells: Region, pair: int) -> Array:
        """Return which devices of a pair are stuck: FREE, LOW or HIGH."""
        if not self.noise.has("stuck"):
            return np.zeros((2, cells.rows, cells.cols), np.int8)
        words = self._words(STUCK, cells, pair, 0)
        low, high = scaled(self.numbers["stuck.low"], 32), scaled(self.numbers["stuck.high"], 32)
        return np.where(words < low, LOW, np.where(words < low + high, HIGH, FREE))

    def row_errors(self, cells: Region) -> Array:
        """Return the gain error of each row's DAC in Q20."""
        if not self.noise.has("dac"):
            return np.zeros(cells.rows, np.int64)
        rows = range(cells.row, cells.row + cells.rows)
        z = draws.normals(self.noise.seed, DAC, cells.tile, np.zeros(1), np.zeros(1), rows)[0, 0]
        return rounded(np.asarray(scaled(self.numbers["dac.gain"], DAC_ERROR_BITS) * z), NORMAL_BITS)

    def _by_writes(self, purpose: int, cells: Region, part: DeviceState) -> Array:
        """Return normal variables of devices by how often they were programmed before."""
        result = np.zeros(part.writes.shape, np.int64)
        for count in np.unique(part.writes):
            np.copyto(result, self._normals(purpose, cells, part.pair, int(count)), where=part.writes == count)
        return result

    def _words(self, purpose: int, cells: Region, pair: int, sample: int) -> Array:
        stream = draws.pair_stream(cells.tile, pair)
        return _by_polarity(draws.words(self.noise.seed, purpose, stream, *_grid(sample, cells)), cells)

    def _normals(self, purpose: int, cells: Region, pair: int, sample: int) -> Array:
        stream = draws.pair_stream(cells.tile, pair)
        return _by_polarity(draws.normals(self.noise.seed, purpose, stream, *_grid(sample, cells)), cells)


def _grid(sample: int, cells: Region) -> tuple[Array, Array, range]:
    """Return the addresses of a region's devices: sample, rows, and columns with their polarities."""
    rows = np.arange(cells.row, cells.row + cells.rows)
    return np.array([sample]), rows, range(2 * cells.col, 2 * (cells.col + cells.cols))


def _by_polarity(values: Array, cells: Region) -> Array:
    """Return values [1, rows, 2 * cols] as [2, rows, cols]."""
    return np.ascontiguousarray(values.reshape(cells.rows, cells.cols, 2).transpose(2, 0, 1))


def _sigmas(spread: Spread, programmed: Array, present: Array) -> Array:
    """Return spreads in fine units, interpolated between the codes around each value."""
    table = np.array(spread.table)
    last = (len(table) - 1 << FINE_BITS) - 1
    values = np.clip((programmed if spread.relative else present).astype(np.int64), 0, last)
    codes, rest = values >> FINE_BITS, values & (1 << FINE_BITS) - 1
    low, high = table[codes], table[codes + 1]
    sigma = low + rounded((high - low) * rest, FINE_BITS)
    return rounded(present * sigma, READ_BITS) if spread.relative else np.asarray(sigma)


def decayed(values: Array, halvings_passed: Array) -> Array:
    """Return values * 2^-h for h in Q40, by a table of 1025 entries and linear interpolation."""
    h = rounded(halvings_passed, 2 * EXPONENT_BITS - HALVING_BITS)
    whole, part = h >> HALVING_BITS, h & (1 << HALVING_BITS) - 1
    rest_bits = HALVING_BITS - HALVING_CELLS
    cell, rest = part >> rest_bits, part & (1 << rest_bits) - 1
    start, fall = _halving_cells()
    factor = start[cell] - rounded(fall[cell] * rest, rest_bits)
    shift = np.minimum(HALVING_BITS + whole, LONGEST_SHIFT)
    return np.asarray((values * factor + (np.int64(1) << shift - 1)) >> shift)


@cache
def _halving_cells() -> tuple[Array, Array]:
    """Return the first entry of every cell of the table of halvings, and by how much it falls within the cell."""
    table = np.array(halvings())
    return table[:-1], table[:-1] - table[1:]
