"""When everything happens, by the time model of the estimate: slices on tracks that end when the estimate says.

Products of one layer begin together, each tile at its own blocks one after another; then the digital unit works for
each instruction, or beside them where the target overlaps both: its slices end when the layer does. What a loop does in
all turns is one slice. Times are whole picoseconds.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

from cimc.backends.cost.counters import Counters, total
from cimc.backends.cost.estimate import Estimate, overlaps
from cimc.backends.cost.overlap import together
from cimc.backends.cost.pipelined import stages
from cimc.isa.program import Program
from cimc.targets.prices import phase_time

DIGITAL, MEMORY = "digital unit", "memory"
CONVERTED = ("phases", "conversions", "adc_mag")
"""What the converters of a tile do; they do so while its array conducts."""
PER_NS = 1000
"""Picoseconds in a ns: times of targets have three decimals at most."""


@dataclass(frozen=True)
class Slice:
    """What one instruction does on one track, from `start` for `length` picoseconds, and its counters there."""

    track: str
    name: str
    instruction: int
    mnemonic: str
    start: int
    length: int
    counters: Counters

    @property
    def end(self) -> int:
        return self.start + self.length


@dataclass(frozen=True)
class Schedule:
    """The slices of one sample, in order of their start, and its whole time in picoseconds."""

    slices: tuple[Slice, ...]
    length: int

    @property
    def tracks(self) -> list[str]:
        """The tracks that hold anything: tiles by number, each before its ADCs, digital unit, memory."""
        used = {one.track for one in self.slices}
        tiles = sorted(used - {DIGITAL, MEMORY}, key=lambda track: (int(track.split()[1]), track))
        return [*tiles, *(track for track in (DIGITAL, MEMORY) if track in used)]


def schedule(estimate: Estimate, program: Program) -> Schedule:
    """Return the schedule of a program for one sample."""
    made = _Scheduling(estimate, program)
    for group in stages(program) if overlaps(estimate.target) else _groups(program):
        made.take(group)
    return Schedule(tuple(sorted(made.slices, key=lambda one: one.start)), made.now(Fraction(0)))


def _groups(program: Program) -> Iterator[Sequence[int]]:
    """Yield instructions in order, those whose products run at the same time together."""
    firsts = {group[0]: group for group in together(program)}
    later = {index for group in firsts.values() for index in group[1:]}
    for index in range(len(program.instructions)):
        if index not in later:
            yield firsts.get(index, [index])


class _Scheduling:
    def __init__(self, estimate: Estimate, program: Program) -> None:
        self.estimate, self.program = estimate, program
        self.elapsed = Fraction(0)
        self.slices: list[Slice] = []

    def now(self, later: Fraction) -> int:
        """Return the moment in picoseconds so many ns from here, cut to whole ones."""
        return int((self.elapsed + later) * PER_NS)

    def take(self, group: Sequence[int]) -> None:
        """Let the instructions pass that run at the same time: one, the products of a layer, or all of its work."""
        charges = [self.estimate.charges[index] for index in group]
        lasts = sum((one.time_ns.value for one in charges), Fraction(0))
        later = lasts - sum((one.digital_ns.value for one in charges), Fraction(0))
        self._arrays(group)
        for index, charge in zip(group, charges, strict=True):
            self._put(DIGITAL, index, charge.digital_ns.value, charge.counters, later)
            later += charge.digital_ns.value
        if lasts:
            self._memory(group, lasts)
        self.elapsed += lasts

    def _arrays(self, group: Sequence[int]) -> None:
        """Put the phases of each tile behind one another."""
        busy: dict[int, Fraction] = {}
        for index in group:
            each = phase_time(self.estimate.target, self.estimate.bits[index]).value
            for tile, done in self.estimate.works[index].tiles.items():
                at = busy.get(tile, Fraction(0))
                self._put(f"tile {tile}", index, each * done.phases, done, at)
                self._put(f"tile {tile} ADCs", index, each * done.phases, done.only(CONVERTED), at)
                busy[tile] = at + each * done.phases

    def _memory(self, group: Sequence[int], lasts: Fraction) -> None:
        """Put the bytes that a group moves over the time that it takes."""
        moved = total(self.estimate.charges[index].counters for index in group)
        if moved.act_read or moved.act_write or moved.const_read:
            self._put(MEMORY, group[0], lasts, moved)

    def _put(self, track: str, index: int, length: Fraction, done: Counters, later: Fraction = Fraction(0)) -> None:
        if length:
            start, end = self.now(later), self.now(later + length)
            name, mnemonic = self.program.layer_name(index), self.program.instructions[index].name
            self.slices.append(Slice(track, name, index, mnemonic, start, end - start, done))
