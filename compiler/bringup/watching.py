"""An observer that writes the records of a run as it goes, for all samples in flight at once."""

import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import cycle
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cimc.backends.kernels.checksums import crcs
from cimc.backends.machine.facts import Machine
from cimc.backends.machine.observer import Observer, Products
from cimc.backends.machine.traps import Trap
from cimc.bringup.record import UNCOUNTED, VECTOR
from cimc.bringup.vectors import digits_of, vector_lines
from cimc.bringup.walking import Slot, clips_of, has_bounds
from cimc.isa.program import Program

Array = NDArray[Any]


@dataclass(frozen=True)
class Wanted:
    """What a trace holds beside the records of all instructions.

    `vectors` are the numbers of matrix-vector instructions whose every vector is written; `only` those of the
    instructions whose records are kept, all where it is None; `streams` adds a record for each change of a stream.
    """

    vectors: frozenset[int] = frozenset()
    only: frozenset[int] | None = None
    streams: bool = False

    def keeps(self, index: int) -> bool:
        """Return whether the records of an instruction are kept."""
        return self.only is None or index in self.only

    @property
    def filter(self) -> str:
        """What the head of a trace says of the records that are kept."""
        kept = "-" if self.only is None else ",".join(f"{index:x}" for index in sorted(self.only))
        return f"{kept} streams" if self.streams else kept


class Watch(Observer):
    """Writes the records of `images` samples: `lines` has those of each. `trap` or `end` writes the last one."""

    def __init__(self, slots: Sequence[Slot], wanted: Wanted, machine: Machine, images: int) -> None:
        self.lines: list[list[str]] = [[] for _ in range(images)]
        self._slots = slots
        self._next = 0
        self._wanted = wanted
        self._counts = has_bounds(machine)
        self._digits = digits_of(machine)
        self._calibrations = {slot.index for slot in slots if slot.prefix.space == "factor" and slot.waits}
        self._planned = {slot.index for slot in slots if slot.prefix.space == "factor" and not slot.waits}
        self._clips: list[str] = []
        self._products: Products | None = None

    def wants_clips(self, index: int) -> bool:
        return self._counts and self._wanted.keeps(index) and not self._shows(index) and index not in self._planned

    def clipped(self, index: int, counts: Array) -> None:
        self._clips = _told(counts)

    def vectors(self, index: int, count: int) -> Sequence[int]:
        return range(count) if self._shows(index) and index not in self._planned else ()

    def _shows(self, index: int) -> bool:
        """Return whether products of an instruction are asked for: its vectors are written, or its factors told."""
        return index in self._wanted.vectors or index in self._calibrations

    def multiplied(self, index: int, products: Products) -> None:
        self._products = products
        if products.factors is not None:
            self.wrote(index, products.factors.astype("<u2"))

    def wrote(self, index: int, values: Array) -> None:
        slot, clips, products = self._waiting(index), self._clips, self._products
        self._clips, self._products = [], None
        if not self._wanted.keeps(index):
            return
        if products and self._counts:
            clips = _told(clips_of(products))
        if products and index in self._wanted.vectors:
            self._add_vectors(slot, products, values)
        self._add(slot, values, clips or [slot.clips])

    def _add(self, slot: Slot, values: Array, clips: Sequence[str]) -> None:
        """Add a record to each sample's; what has one image is that of all."""
        text = slot.text
        for lines, crc, told in zip(self.lines, cycle(crcs(values)), cycle(clips), strict=False):
            lines.append(f"{text} {crc:08x} {told}")

    def _add_vectors(self, slot: Slot, products: Products, values: Array) -> None:
        """Add the lines of all vectors of an instruction."""
        for n, lines in enumerate(self.lines):
            written = None if products.factors is not None else values[n % len(values)]
            lines += vector_lines(slot.prefix, products, n, written, self._digits)

    def end(self, program: Program, outputs: Mapping[str, Array]) -> None:
        """Write what is left of a run that came to its end, with the CRC of all outputs [images, ...].

        All samples have as many records.
        """
        slot = self._until(lambda slot: slot.prefix.space == "end")
        kept = sum(not line.startswith(VECTOR) for line in self.lines[0])
        text = str(replace(slot.prefix, count=kept))
        for n, lines in enumerate(self.lines):
            crc = 0
            for port in program.outputs:
                crc = zlib.crc32(np.ascontiguousarray(outputs[port.name][n]).data, crc)
            lines.append(f"{text} {crc:08x} {UNCOUNTED}")

    def trap(self, trap: Trap) -> None:
        """Write what is left of a run of one sample up to the instruction that trapped."""
        slot = self._until(lambda slot: slot.index == trap.index and (slot.waits or slot.prefix.space == "trap"))
        at = replace(slot.prefix, space="trap", low=0, high=0, count=0)
        self.lines[0].append(f"{at} {trap.code} {UNCOUNTED}")

    def _waiting(self, index: int) -> Slot:
        """Return the slot of an instruction that the run has just told of."""
        slot = self._until(lambda slot: slot.waits)
        assert slot.index == index
        return slot

    def _until(self, is_met: Callable[[Slot], bool]) -> Slot:
        """Return the next slot that meets a condition, with the records before it written."""
        while not is_met(slot := self._slots[self._next]):
            self._next += 1
            if self._wanted.keeps(slot.index):
                line = f"{slot.text} {slot.crc} {slot.clips}"
                for lines in self.lines:
                    lines.append(line)
        self._next += 1
        return slot


def _told(counts: Array) -> list[str]:
    """Return what a record says of clips [images, 2], image by image."""
    return [f"{low:x} {high:x}" for low, high in counts.tolist()]
