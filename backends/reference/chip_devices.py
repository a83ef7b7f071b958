"""The devices of one particular chip in the reference interpreter: read back where others are drawn."""

from cimc.backends.machine.facts import Machine
from cimc.backends.machine.rounding import clamp
from cimc.backends.noise import draws
from cimc.backends.noise.chip import HIGH, LOW, Chip, passed, programmed_again, require_tile
from cimc.backends.noise.fixed_point import FINE_BITS, NORMAL_BITS, rounded
from cimc.backends.noise.sources import Noise
from cimc.backends.reference.devices import Device, Devices, Place, decayed


class ChipDevices(Devices):
    """Devices that conduct what was read back; only how they age from there follows the profile's law."""

    def __init__(self, machine: Machine, noise: Noise, chip: Chip) -> None:
        super().__init__(machine, noise)
        self.chip = chip

    def program(self, place: Place, target: int, before: Device | None) -> Device:
        if before:
            raise programmed_again(place[0])
        return super().program(place, target, before)

    def left(self, place: Place, target: int, writes: int) -> int:
        tile, at = require_tile(self.chip, place[0]), _index(place)
        return target << FINE_BITS if tile.programmed is None else int(tile.programmed[at])

    def conductance(self, place: Place, device: Device | None, seconds: int) -> int:
        value = int(require_tile(self.chip, place[0]).carried[_index(place)])
        since = passed(self.chip, self.machine, place[0], seconds)
        if device is None or value == 0 or self.stuck(place) is not None:
            return value
        aged = decayed(value, device.drift * since.exponent) if since.exponent else value
        aged += rounded(since.relaxation * device.drift, NORMAL_BITS) - since.shift
        return clamp(aged, 0, self.ceiling) if (since.exponent or since.shift or since.relaxation) else value

    def stuck(self, place: Place) -> int | None:
        return {LOW: 0, HIGH: self.full}.get(int(require_tile(self.chip, place[0]).stuck[_index(place)]))

    def row_error(self, tile: int, row: int) -> int:
        return int(require_tile(self.chip, tile).dac[row])


def devices_of(machine: Machine, noise: Noise) -> Devices:
    """Return the laws of a run's devices: those of its chip where it has one, else those that are drawn."""
    return ChipDevices(machine, noise, noise.chip) if noise.chip else Devices(machine, noise)


def _index(place: Place) -> tuple[int, int, int, int]:
    """Return where a device lies in arrays [pairs, 2, rows, columns]."""
    _, row, col, polarity, pair = place
    return pair, draws.POLARITIES.index(polarity), row, col
