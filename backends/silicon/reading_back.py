"""What a drawn chip is read back as: the measurement of a chip that exists only as a profile, a seed and a time."""

import numpy as np

from cimc.backends.machine.facts import Machine, machine
from cimc.backends.machine.traps import Refusal
from cimc.backends.noise.chip import Array, Chip, ChipTile, programmed_again
from cimc.backends.noise.converters import adc_errors, has_levels
from cimc.backends.noise.sources import Noise
from cimc.backends.plan.crossbar import NoisyTile
from cimc.backends.plan.walk import Walk
from cimc.isa.binary import program_digest
from cimc.isa.manifest import target_hash
from cimc.isa.program import Program
from cimc.isa.region import Region


def read_back(program: Program, noise: Noise) -> Chip:
    """Return the chip that `noise` draws, with this program in it, read at its time.

    Raises Refusal CIM0534 where the program writes a device twice or ADCs have levels of their own, and Trap as a run.
    """
    if has_levels(noise):
        message = "levels of ADCs are off, a chip knows offset, gain error and bow of its ADCs alone"
        raise Refusal("CIM0534", message, "leave `levels` out of --sources")
    walk = Walk(program, machine(program.meta), noise)
    walk.finish()
    tiles = {number: _read(number, tile, noise) for number, tile in walk.state.crossbar.noisy_tiles.items()}
    hashes = program_digest(program), target_hash(program.meta)
    return Chip(tiles, *hashes, noise.profile, noise.seed, noise.sources)


def _read(number: int, tile: NoisyTile, noise: Noise) -> ChipTile:
    """Return all devices of a tile as they conduct one by one: wires are no property of theirs."""
    if any((pair.writes > 1).any() for pair in tile.pairs):
        raise programmed_again(number)
    facts, laws = tile.devices.machine, tile.devices
    cells = Region(number, 0, 0, facts.rows, facts.columns)
    return ChipTile.of(
        facts,
        noise.time_s,
        np.stack([laws.fine(pair, cells, noise.time_s) for pair in tile.pairs]),
        programmed=np.stack([pair.value.astype(np.int64) for pair in tile.pairs]),
        stuck=np.stack([laws.stuck(cells, pair.pair) for pair in tile.pairs]),
        dac=laws.row_errors(cells),
        adc=_converters(facts, noise, number),
    )


def _converters(facts: Machine, noise: Noise, tile: int) -> Array:
    """Return offset, gain error and bow [3, columns] of the ADC of each column."""
    first = range(0, facts.columns, facts.multiplexing)
    errors = [adc_errors(facts, noise, tile, column) for column in first]
    each = np.array([[one.offset, one.gain, one.bow] for one in errors], np.int64)
    return np.repeat(each, facts.multiplexing, axis=0)[: facts.columns].T.copy()
