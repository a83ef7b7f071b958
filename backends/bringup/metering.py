"""Clips counted at the speed of a run: the same products once more, by ADCs one code wider on both sides."""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cimc.backends.machine.traps import Trap
from cimc.backends.plan.block_read import BlockRead, Conversion
from cimc.backends.plan.digital import Affine
from cimc.backends.plan.memory import Chunk
from cimc.backends.plan.products import Capture, Mvm, Stream, stream_of
from cimc.backends.plan.state import Effect, Write
from cimc.backends.plan.steps import Step
from cimc.isa.limits import CodeRange
from cimc.isa.program import Program
from cimc.isa.streams import StreamState
from cimc.isa.table import ELEMENT_TYPES

Array = NDArray[Any]

ALIGNED = 64
"""Bytes at whose multiples the room of the codes starts, behind the program's activation memory."""


@dataclass(frozen=True)
class Meter:
    """What a conversion's codes are where its ADC has one more at both ends, which stand for all that is clipped."""

    below: int
    above: int

    @classmethod
    def of(cls, conversion: Conversion) -> "Meter":
        """Return the meter of a conversion, whose codes count with the sign of its read phase."""
        adc, sign = conversion.adc, conversion.phase.sign
        return cls(sign * (adc.low - 1), sign * (adc.high + 1))

    def clips(self, codes: Array) -> Array:
        """Return how many of the codes [images, vectors, cols] stand for lower ones and for higher ones: [2, images].

        Few images have any: the ends of an image are found sooner than its codes are counted.
        """
        flat = codes.reshape(len(codes), -1)
        ends = flat.min(axis=1, initial=0), flat.max(axis=1, initial=0)
        lowest, highest = ends if self.below < self.above else reversed(ends)
        return np.stack([_counted(flat, lowest, self.below), _counted(flat, highest, self.above)])


def _counted(codes: Array, ends: Array, end: int) -> Array:
    """Return how many codes [images, n] are an end of the meter, where they are those of an image."""
    counts = np.zeros(len(codes), np.int64)
    for image in np.flatnonzero(ends == end):
        counts[image] = np.count_nonzero(codes[image] == end)
    return counts


@dataclass(frozen=True)
class Clip:
    """Makes of the codes of a wider ADC those of the ADC, where they lie."""

    place: StreamState
    codes: CodeRange

    def __call__(self, chunk: Chunk) -> None:
        found = chunk.view(self.place)
        np.clip(found, *self.codes, out=found)


@dataclass(frozen=True)
class Metered:
    """The steps of an unrolled run in which each conversion whose clips are counted is captured by a wider ADC first.

    `meters` are those of each instruction, in the order of the captures; `program` has room for the codes.
    """

    steps: tuple[Step, ...]
    meters: dict[int, tuple[Meter, ...]]
    program: Program


def metered(program: Program, steps: Iterable[Step], left_out: Collection[int]) -> Metered:
    """Return the steps with meters at all products, but for those of some instructions."""
    base = end = -(-program.activation_bytes // ALIGNED) * ALIGNED
    meters: dict[int, tuple[Meter, ...]] = {}
    found: list[Step] = []
    for step in steps:
        stream = stream_of(step.action)
        if stream is None or step.index in left_out:
            found.append(step)
            continue
        captures = list(_captures(stream, base))
        meters[step.index] = tuple(Meter.of(each) for read in stream.reads for each in read.conversions)
        end = max(end, *(write.out.extent()[1] for write in captures))
        found += [Step(step.index, action) for action in (*captures, *_behind(step.action, captures))]
    return Metered(tuple(found), meters, replace(program, activation_bytes=end) if meters else program)


def _behind(action: Write | Effect | Trap, captures: Sequence[Write]) -> Sequence[Write | Effect | Trap]:
    """Return what is left of an instruction behind its captures: all, or where one has its codes the epilogue alone."""
    match action:
        case Write(compute=Mvm() as mvm) if len(captures) == 1:
            place = captures[0].out
            (conversion,) = mvm.stream.reads[0].conversions
            codes = conversion.phase.codes(CodeRange(conversion.adc.low, conversion.adc.high))
            return Effect(Clip(place, codes)), replace(action, compute=Affine(place, mvm.epilogue))
    return (action,)


def _captures(stream: Stream, base: int) -> Iterator[Write]:
    """Yield a capture of each conversion by the wider ADC, all into the same place."""
    for read in stream.reads:
        for each in read.conversions:
            codes = CodeRange(each.adc.low - 1, each.adc.high + 1)
            wider = replace(each, adc=replace(each.adc, low=codes.low, high=codes.high), codes=codes)
            low, high = each.phase.codes(codes)
            out = _room(stream, read, base, (low, high))
            yield Write(out, Capture(replace(stream, reads=(replace(read, conversions=(wider,)),))), low, high)


def _room(stream: Stream, read: BlockRead, base: int, ends: tuple[int, int]) -> StreamState:
    """Return where the codes of a block lie, in the narrowest type that holds them."""
    vectors, columns = stream.source.vectors, read.columns
    shape, pitch = (1, 1, vectors, columns), (0, 0, columns, 1)
    states = (StreamState("act", type_name, base, shape, pitch) for type_name in ELEMENT_TYPES)
    return next(state for state in states if state.lowest <= ends[0] and ends[1] <= state.highest)
