"""The records of a run before any datum is known: control flow, addresses and devices are facts of the program."""

import zlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cimc.backends.machine.facts import Machine
from cimc.backends.machine.observer import Observer, Products
from cimc.backends.plan.memory import Chunk
from cimc.backends.plan.state import Effect
from cimc.backends.plan.steps import Step
from cimc.backends.plan.walk import Walk
from cimc.bringup.record import UNCOUNTED, Prefix
from cimc.isa.limits import ADC_BITS, PLACES_MOST
from cimc.isa.program import Instruction
from cimc.isa.region import Region, region
from cimc.isa.streams import StreamState
from cimc.isa.table import ELEMENT_TYPES
from cimc.isa.writes import output_of

PLACES = PLACES_MOST + 1
"""Tiles that a field can name: those of a target that has as many as needed."""


@dataclass(frozen=True)
class Slot:
    """A record to come. `waits` says that the run tells of the instruction, else its CRC is known; so may clips be."""

    prefix: Prefix
    crc: str = ""
    waits: bool = False
    clips: str = UNCOUNTED

    @property
    def index(self) -> int:
        return self.prefix.index

    @cached_property
    def text(self) -> str:
        """What the record says before any datum is known, written once for all samples."""
        return str(self.prefix)


def slots(walk: Walk, with_streams: bool = False, shown: Collection[int] = ()) -> list[Slot]:
    """Return a slot for each record of a run, in order, while the walk, unrolled, makes its plan.

    The last is `end` or `trap`. `shown` are instructions of which the run tells in any case.
    """
    found = list(_slots(walk, with_streams))
    told = {slot.index for slot in found if slot.waits} | set(shown)
    return [replace(slot, waits=True) if _is_factor(slot) and slot.index in told else slot for slot in found]


def _is_factor(slot: Slot) -> bool:
    return slot.prefix.space == "factor"


def _slots(walk: Walk, with_streams: bool) -> Iterator[Slot]:
    instructions = walk.state.program.instructions
    sequence = 0
    while not walk.is_over:
        index, turns = walk.index, walk.turns
        walk.step()
        if walk.fault:
            opcode = instructions[index].spec.opcode if index < len(instructions) else 0
            yield Slot(Prefix(sequence, index, turns, opcode, "trap", 0, 0, 0), walk.fault.code)
            return
        one = instructions[index]
        for space, low, high, count, crc, waits in _facts(walk, one, with_streams):
            prefix = Prefix(sequence, index, turns, one.spec.opcode, space, low, high, count)
            yield Slot(prefix, crc, waits, _clips(walk, one))
        sequence += 1


Facts = tuple[str, int, int, int, str, bool]
"""Space, lowest and highest place, count, CRC as far as it is known, and whether the run tells of it."""


def _facts(walk: Walk, one: Instruction, with_streams: bool) -> Iterator[Facts]:
    """Yield what the record of an instruction that the walk has just taken says; nothing where it has no record."""
    match one.name:
        case "halt":
            yield ("end", 0, 0, 0, "", False)
        case "gain":
            yield _gain(walk, one)
        case "time":
            yield ("time", one["seconds"], one["seconds"], 1, crc_of(np.array([one["seconds"]], "<u8")), False)
        case "program" | "pattern":
            yield _devices(walk, region(one))
        case "calibrate":
            yield _factors(walk, one)
        case "tensor" | "window" | "advance" if with_streams:
            yield ("stream", one["stream"], one["stream"], 1, _stream_crc(walk.state.streams[one["stream"]]), False)
        case _ if output_of(one) is not None:
            yield _memory(walk.state.streams[one["out"]])


def _memory(out: StreamState) -> Facts:
    low, end = out.extent()
    return ("act", low, max(end - 1, low), out.elements, "", True)


def _clips(walk: Walk, one: Instruction) -> str:
    """Return the clips of an instruction that the walk has just taken, where they are known."""
    if not has_bounds(walk.state.machine):
        return UNCOUNTED
    if one.name == "selftest":
        low, high = walk.state.machine.adc_range
        code = walk.state.crossbar.unclipped_selftest(one["tile"], one["col"], one["value"])
        return f"{int(code < low)} {int(code > high)}"
    return _calibration_clips(walk) if one.name == "calibrate" and _is_planned(walk) else UNCOUNTED


def _is_planned(walk: Walk) -> bool:
    """Return whether planning has done what the last instruction does."""
    last = walk.steps[-1]
    return isinstance(last, Step) and last.is_planned


class _Clips(Observer):
    """Keeps how often ADCs clipped in a product."""

    def wants_clips(self, index: int) -> bool:
        return True

    def clipped(self, index: int, counts: NDArray[Any]) -> None:
        self.counts = counts


def clips_of(products: Products) -> NDArray[Any]:
    """Return how often codes stand for lower and for higher ones [images, 2], of products of all vectors."""
    clipped = [each.clipped for block in products.blocks for each in block.conversions]
    counts: NDArray[Any] = np.sum([[(each == sign).sum(axis=(1, 2)) for sign in (-1, 1)] for each in clipped], axis=0)
    return counts.T


def _calibration_clips(walk: Walk) -> str:
    """Return the clips of a calibration on constants, which is done once more for them."""
    chunk, last = Chunk(1, 0, walk.state.program.constants), walk.steps[-1]
    assert isinstance(last, Step) and isinstance(last.action, Effect)
    chunk.observer = counted = _Clips()
    last.action.apply(chunk)
    ((low, high),) = counted.counts.tolist()
    return f"{low:x} {high:x}"


def has_bounds(machine: Machine) -> bool:
    """Return whether an ADC can clip: the widest has a code for every array sum."""
    return machine.adc_bits < ADC_BITS


def _gain(walk: Walk, one: Instruction) -> Facts:
    first, last = one["tile"], one["tile"]
    if one.choice("scope") == "all":
        first, last = 0, (walk.state.machine.tiles or PLACES) - 1
    loaded = int(one["multiplier"]).to_bytes(2, "little") + bytes([one["divide"]])
    return ("gain", first, last, 1, f"{zlib.crc32(loaded):08x}", False)


def _devices(walk: Walk, cells: Region) -> Facts:
    columns = walk.state.machine.columns
    first = cells.row * columns + cells.col
    last = (cells.row + cells.rows - 1) * columns + cells.col + cells.cols - 1
    pairs = np.moveaxis(walk.state.crossbar.programmed(cells), 0, -1).astype("<u2")
    return (f"tile{cells.tile:x}", first, last, cells.rows * cells.cols, crc_of(pairs), False)


def _factors(walk: Walk, one: Instruction) -> Facts:
    columns = walk.state.crossbar.block(one["block"]).cols
    blocks = range(one["block"], one["block"] + one["blocks"])
    known = [walk.state.factors(block, columns) for block in blocks] if _is_planned(walk) else []
    crc = crc_of(np.concatenate([each for each in known if each is not None]).astype("<u2")) if known else ""
    return ("factor", blocks[0], blocks[-1], one["blocks"] * columns, crc, not known)


def _stream_crc(state: StreamState) -> str:
    """Return the CRC over what makes a stream, 64 bits each, in the order of the fields of `tensor` and `window`."""
    instruction = [("act", "const").index(state.space), list(ELEMENT_TYPES).index(state.type), state.base]
    window = state.window
    pairs = (window.kernel, window.stride, window.dilation, window.pad, window.out) if window else ()
    fill = [window.fill] if window else []
    numbers = [*instruction, *state.shape, *state.pitch, *(n for pair in pairs for n in pair), *fill]
    return crc_of(np.array(numbers, "<i8"))


def crc_of(values: NDArray[np.generic]) -> str:
    """Return the CRC-32 of an array's bytes, little-endian and in order, as eight hexadecimal digits."""
    return f"{zlib.crc32(np.ascontiguousarray(values).data):08x}"
