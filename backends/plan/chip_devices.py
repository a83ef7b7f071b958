"""The devices of one particular chip in the fast interpreter: read back where others are drawn.

The twin of reference/chip_devices.py, on regions of a tile.
"""

import numpy as np

from cimc.backends.machine.facts import Machine
from cimc.backends.noise.chip import FREE, Chip, passed, programmed_again, require_tile
from cimc.backends.noise.fixed_point import FINE_BITS, NORMAL_BITS, rounded
from cimc.backends.noise.sources import Noise
from cimc.backends.plan.devices import Array, Devices, DeviceState, decayed
from cimc.isa.region import Region


class ChipDevices(Devices):
    """Devices that conduct what was read back; only how they age from there follows the profile's law."""

    def __init__(self, machine: Machine, noise: Noise, chip: Chip) -> None:
        super().__init__(machine, noise)
        self.chip = chip

    def program(self, state: DeviceState, cells: Region, targets: Array, chosen: Array) -> None:
        if (state.part(cells).writes[chosen] > 0).any():
            raise programmed_again(cells.tile)
        super().program(state, cells, targets, chosen)

    def left(self, part: DeviceState, cells: Region, targets: Array) -> Array:
        known = require_tile(self.chip, cells.tile).programmed
        return targets.astype(np.int64) << FINE_BITS if known is None else known[part.pair][cells.window]

    def fine(self, state: DeviceState, cells: Region, seconds: int) -> Array:
        tile, part = require_tile(self.chip, cells.tile), state.part(cells)
        values = tile.carried[part.pair][cells.window]
        since = passed(self.chip, self.machine, cells.tile, seconds)
        if since.exponent or since.shift or since.relaxation:
            aged = decayed(values, part.drift.astype(np.int64) * since.exponent) if since.exponent else values
            aged = aged - since.shift + rounded(since.relaxation * part.drift.astype(np.int64), NORMAL_BITS)
            obeys = (part.writes > 0) & (self.stuck(cells, part.pair) == FREE) & (values > 0)
            values = np.where(obeys, np.clip(aged, 0, self.ceiling), values)
        return np.array(values)

    def stuck(self, cells: Region, pair: int) -> Array:
        return np.asarray(require_tile(self.chip, cells.tile).stuck[pair][cells.window])

    def row_errors(self, cells: Region) -> Array:
        return np.asarray(require_tile(self.chip, cells.tile).dac[cells.row : cells.row + cells.rows])


def devices_of(machine: Machine, noise: Noise) -> Devices:
    """Return the laws of a run's devices: those of its chip where it has one, else those that are drawn."""
    return ChipDevices(machine, noise, noise.chip) if noise.chip else Devices(machine, noise)
