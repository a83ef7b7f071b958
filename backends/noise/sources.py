"""What is noisy in a run: the profile, the seed, the time and the sources of table.py that are switched on."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches

from cimc.backends.machine.traps import Refusal
from cimc.backends.noise.profiles import Profile
from cimc.backends.noise.table import DEFAULTS, NAMES

LATEST = (1 << 40) - 1
"""The last second that a `time` instruction can name."""


@dataclass(frozen=True)
class Noise:
    """Noise of one chip (the seed) at one time: seconds since the first read, until a `time` instruction says more.

    Per-product draws go by the sample's number in the input file; `sample_offset` is the number of the first sample.
    """

    profile: Profile
    seed: int = 0
    time_s: int = 0
    sources: frozenset[str] = frozenset(DEFAULTS)
    sample_offset: int = 0

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
        return f"{self.profile.name} {found[:16]} {','.join(sorted(self.sources))}"

    def has(self, source: str) -> bool:
        """Return whether a source is switched on."""
        return source in self.sources


def require_sources(names: Iterable[str]) -> None:
    """Raise Refusal unless every name is a source."""
    for name in sorted(names):
        if name not in NAMES:
            near = get_close_matches(name, NAMES, 1)
            hint = f"did you mean {near[0]}?" if near else f"known sources: {', '.join(NAMES)}"
            raise Refusal("CIM0531", f"there is no noise source named {name!r}", hint)
