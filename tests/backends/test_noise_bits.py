"""What noise gives is stored: a law that both interpreters share has nothing else that notices when it changes.

A row of noise_bits.txt is a machine, a profile, a source, and the hash of all that a run shows. `--bless` writes it.
"""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from backends.test_noise import (  # noqa: TID251 tests/backends, not the package
    EVERYTHING,
    PAIRS,
    TIMES,
    images,
    network,
    seen_by_interpreter,
)

from cimc.backends.noise.profiles import built_in_names, load_profile
from cimc.backends.noise.sources import Noise
from cimc.backends.noise.table import NAMES

FILE = Path(__file__).with_name("noise_bits.txt")
LOUD = (
    "output.sigma=2,adc.offset=0.8,adc.gain=0.03,adc.inl=1.5,dac.gain=0.05,stuck.low=0.2,stuck.high=0.1,"
    "wire.resistance=500,polarity.sigma=0.2,forming.mean=0.5,forming.sigma=0.2,levels.sigma=0.4,levels.skew=2"
)
"""What a profile may leave out, or make so small that no code of a little program shows it."""
NO_NOISE = "-"
CORRELATED = "pcm,read.time=correlated"
PROFILES = (*built_in_names(), CORRELATED)
MACHINES = {
    "one": {},
    **{kind: {"array": facts} for kind, facts in PAIRS.items()},
    "phases": {"read_phases": 2, "adc": {"codes": "full"}},
    "floor": {"adc": {"rounding": "floor", "multiplexing": 1}, "array": {"unprogrammed": 40}},
}


def digest(program, noise) -> str:
    """Return the hash of every write, input, sum, code and accumulator of two samples."""
    shown = json.dumps(seen_by_interpreter(program, images(2), noise, executor="numpy"))
    return hashlib.sha256(shown.encode()).hexdigest()[:16]


def rows(new, machine: str, name: str) -> Iterator[str]:
    """Yield the rows of one kind of machine and one profile; without noise where the profile is NO_NOISE."""
    program = network(new, "skip" if machine == "floor" else "program", **MACHINES[machine])
    if name == NO_NOISE:
        yield f"{machine} {name} - {digest(program, None)}"
        return
    profile, seconds = load_profile(f"{name},{LOUD}"), TIMES.get(name, 3600)
    for source in ("read", "all") if name == CORRELATED else (*NAMES, "all"):
        sources = EVERYTHING if source == "all" else frozenset({source})
        yield f"{machine} {name} {source} {digest(program, Noise(profile, 11, seconds, sources, 5))}"


def stored(*which: str) -> list[str]:
    """Return the stored rows that begin with a machine, or with a machine and a profile."""
    return [line for line in FILE.read_text().splitlines() if line.startswith(" ".join(which) + " ")]


def by_day(machine: str, name: str) -> bool:
    """Return whether continuous integration asks: all profiles on one machine, one profile on all machines."""
    return machine == "one" or name in (NO_NOISE, "pcm", CORRELATED)


CASES = [
    pytest.param(machine, name, marks=() if by_day(machine, name) else pytest.mark.nightly)
    for machine in MACHINES
    for name in (NO_NOISE, *PROFILES)
]


@pytest.mark.parametrize(("machine", "name"), CASES)
def test_noise_gives_the_stored_bits(new, machine, name, bless):
    found = list(rows(new, machine, name))
    if bless:
        others = set(FILE.read_text().splitlines()) - set(stored(machine, name))
        FILE.write_text("".join(f"{line}\n" for line in sorted({*others, *found})))
    assert sorted(found) == sorted(stored(machine, name))


@pytest.mark.parametrize("machine", MACHINES)
def test_every_source_shows_in_the_stored_bits(machine):
    """A hash equal to that of no noise would pin nothing: only what a profile does not have may have it."""
    exact = stored(machine, NO_NOISE)[0].split()[-1]
    silent = {tuple(line.split()[1:3]) for line in stored(machine) if line.endswith(exact)} - {(NO_NOISE, "-")}
    assert silent <= {(name, source) for name in PROFILES for source in absent(name)}


def absent(name: str) -> set[str]:
    """Return the sources that a profile has no law for."""
    profile = load_profile(name)
    lawless = {source for source in ("read", "cycle") if f"{source}.sigma" not in profile.curves}
    return lawless | ({"drift"} if profile.choices["drift.kind"] == "none" else set())
