"""One particular chip: what its devices were read back at, what is known of its converters, and how it ages from there.

Conductances are in fine units (2^-12 of a code), plus then minus. Nothing here is drawn: what is fresh in each product
still is, by the chip's profile and seed.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cimc.backends.machine.facts import Machine
from cimc.backends.machine.traps import Refusal
from cimc.backends.noise.device_tables import aging
from cimc.backends.noise.fixed_point import FINE_BITS
from cimc.backends.noise.profiles import Profile

Array = NDArray[Any]
FREE, LOW, HIGH = 0, 1, 2
"""Whether a device obeys, or is stuck at zero or at full conductance."""


@dataclass(frozen=True, eq=False)
class ChipTile:
    """The devices [pairs, 2, rows, columns] of one tile, read `read_s` seconds after the first read, and its lines.

    `programmed` is what they were left at, None where only the targets are known; `stuck` is FREE, LOW or HIGH for
    each. `dead_rows` and `dead_columns` conduct nothing. `dac` is each row's gain error in Q20; `adc` [3, columns] are
    offset (Q16 LSB), gain error (Q20) and bow (Q16 LSB) of the ADC of each column.
    """

    read_s: int
    conductance: Array
    programmed: Array | None
    stuck: Array
    dead_rows: Array
    dead_columns: Array
    dac: Array
    adc: Array

    @staticmethod
    def of(machine: Machine, read_s: int, conductance: Array, **known: Array | None) -> "ChipTile":
        """Return a tile of which nothing is wrong but what is named."""
        usual: dict[str, Array | None] = {
            "programmed": None,
            "stuck": np.zeros(conductance.shape, np.int8),
            "dead_rows": np.zeros(machine.rows, bool),
            "dead_columns": np.zeros(machine.columns, bool),
            "dac": np.zeros(machine.rows, np.int64),
            "adc": np.zeros((3, machine.columns), np.int64),
        }
        return ChipTile(read_s, conductance, **{**usual, **known})  # type: ignore[arg-type]

    @cached_property
    def carried(self) -> Array:
        """What carries current [pairs, 2, rows, columns]: the conductances but for dead lines."""
        return np.where(self.dead_rows[:, None] | self.dead_columns, 0, self.conductance)

    @property
    def parts(self) -> tuple[Array, ...]:
        """All that decides what the tile does, in order."""
        programmed = () if self.programmed is None else (self.programmed,)
        return (self.conductance, *programmed, self.stuck, self.dead_rows, self.dead_columns, self.dac, self.adc)


@dataclass(frozen=True, eq=False)
class Chip:
    """The tiles of a chip by number, and what its program's devices do next: by a profile, or unknown (None).

    `seed` and those of `sources` that are fresh in each product say what is drawn; `program` and `target` are the
    SHA-256 of what it was programmed with.
    """

    tiles: Mapping[int, ChipTile]
    program: str
    target: str
    profile: Profile | None = None
    seed: int = 0
    sources: frozenset[str] = frozenset()

    @property
    def read_s(self) -> int:
        """When the last tile was read, in seconds since the first read."""
        return max((tile.read_s for tile in self.tiles.values()), default=0)

    @cached_property
    def digest(self) -> str:
        """The SHA-256 of all that decides what the chip does."""
        found = hashlib.sha256(repr((self.program, self.target, self.seed, sorted(self.sources))).encode())
        for number, tile in sorted(self.tiles.items()):
            found.update(repr((number, tile.read_s)).encode())
            for part in tile.parts:
                found.update(f"{part.dtype} {part.shape} ".encode() + np.ascontiguousarray(part).tobytes())
        return found.hexdigest()

    @property
    def snapping(self) -> tuple[float, float]:
        """The largest and the root mean square error, in codes, of what conducts rounded to whole codes."""
        codes = [tile.conductance[tile.conductance > 0] / (1 << FINE_BITS) for tile in self.tiles.values()]
        lost = np.concatenate([each - np.rint(each) for each in codes])
        return float(np.abs(lost).max(initial=0)), float(np.sqrt(np.square(lost).sum() / max(lost.size, 1)))


@dataclass(frozen=True)
class Passed:
    """What time has done to devices since they were read: log2 of the ratio of ages (Q20), shift and relaxation."""

    exponent: int = 0
    shift: int = 0
    relaxation: int = 0


def passed(chip: Chip, machine: Machine, tile: int, seconds: int) -> Passed:
    """Return what has happened to a tile's devices at a time. Raises Refusal CIM0534 where that is not known."""
    read_s = chip.tiles[tile].read_s
    if seconds == read_s:
        return Passed()
    found = f"tile {tile} of the chip was read at {read_s} s, its devices at {seconds} s are asked for"
    if seconds < read_s:
        raise Refusal("CIM0534", found, f"give a time from {read_s}s on, or none: the chip as it was read")
    if chip.profile is None or chip.profile.choices["drift.kind"] == "redraw":
        says = "the chip names no profile" if chip.profile is None else f"profile {chip.profile.name} draws anew"
        raise Refusal("CIM0534", f"{found}, and {says}: nothing says how they drift on", "read the chip at that time")
    if "drift" not in chip.sources:
        return Passed()
    before, after = (aging(chip.profile, machine.full_conductance, time) for time in (read_s, seconds))
    return Passed(after.exponent - before.exponent, after.shift - before.shift, after.relaxation - before.relaxation)


def require_tile(chip: Chip, tile: int) -> ChipTile:
    """Return a tile of the chip. Raises Refusal CIM0534 where it was not read."""
    if tile not in chip.tiles:
        known = ", ".join(map(str, sorted(chip.tiles)))
        raise Refusal("CIM0534", f"tile {tile} is used, and the chip has tiles {known or 'none'}", "read it back too")
    return chip.tiles[tile]


def programmed_again(tile: int) -> Refusal:
    """Return the refusal of a program that writes devices of a tile twice: of a chip only their last state is known."""
    message = f"the program writes devices of tile {tile} twice, the chip knows one state of them"
    return Refusal("CIM0534", message, "a chip is for programs that write each device once")
