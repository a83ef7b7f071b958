"""What is noisy in a run: the profile, the seed, the time and the sources of table.py that are switched on."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from cimc.backends.machine.traps import Refusal
from cimc.backends.noise.chip import Chip
from cimc.backends.noise.profiles import Profile, load_profile
from cimc.backends.noise.table import DEFAULTS, NAMES
from cimc.isa.names import did_you_mean

LATEST = (1 << 40) - 1
"""The last second that a `time` instruction can name."""


@dataclass(frozen=True)
class Noise:
    """Noise of one chip (the seed) at one time: seconds since the first read, until a `time` instruction says more.

    Per-product draws go by the sample's number in the input file; `sample_offset` is the number of the first sample.
    With a `chip` its devices and converters are those that were measured, and only what is fresh in each product is
    drawn.
    """

    profile: Profile
    seed: int = 0
    time_s: int = 0
    sources: frozenset[str] = frozenset(DEFAULTS)
    sample_offset: int = 0
    chip: Chip | None = None

    @staticmethod
    def of_chip(chip: Chip, time_s: int | None = None, sample_offset: int = 0) -> "Noise":
        """Return the noise of one measured chip at a time, by default when it was read."""
        profile = chip.profile or load_profile("generic").silent()
        time_s = chip.read_s if time_s is None else time_s
        imperfect = {"adc"} if any(tile.adc.any() for tile in chip.tiles.values()) else set[str]()
        return Noise(profile, chip.seed, time_s, chip.sources - {"adc"} | imperfect, sample_offset, chip)

    def __post_init__(self) -> None:
        if not 0 <= self.seed < 1 << 64:
            raise Refusal("CIM0531", f"the seed is {self.seed}, 0 to 2^64 - 1 is possible")
        if not 0 <= self.time_s <= LATEST:
            raise Refusal("CIM0532", f"the time is {self.time_s} s, 0 to {LATEST} s is possible")
        if not 0 <= self.sample_offset < 1 << 62:
            raise Refusal("CIM0531", f"the sample offset is {self.sample_offset}, it cannot be negative")
        require_sources(self.sources)

    @property
    def description(self) -> str:
        """What is drawn from, in one line: the profile's name, the hash of all its constants, the sources."""
        facts = (sorted(self.profile.numbers.items()), sorted(self.profile.choices.items()))
        curves = (sorted(self.profile.curves.items()), self.profile.redraws)
        found = hashlib.sha256(repr((facts, curves)).encode()).hexdigest()
        sources = ",".join(sorted(self.sources))
        chip = f" chip {self.chip.digest[:16]}" if self.chip else ""
        return f"{self.profile.name} {found[:16]} {sources}{chip}"

    def has(self, source: str) -> bool:
        """Return whether a source is switched on."""
        return source in self.sources


def require_sources(names: Iterable[str]) -> None:
    """Raise Refusal unless every name is a source."""
    for name in sorted(names):
        if name not in NAMES:
            hint = did_you_mean(name, NAMES, f"known sources: {', '.join(NAMES)}")
            raise Refusal("CIM0531", f"there is no noise source named {name!r}", hint)
