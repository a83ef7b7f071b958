"""Clips counted at the speed of a run: products by ADCs one code wider on both sides, and their epilogue apart."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cimc.backends.machine.traps import Trap
from cimc.backends.plan.block_read import BlockRead, Conversion
from cimc.backends.plan.digital import Affine
from cimc.backends.plan.memory import Chunk, aligned
from cimc.backends.plan.products import Capture, Mvm, Stream, stream_of
from cimc.backends.plan.state import Effect, Write
from cimc.backends.plan.steps import Step
from cimc.isa.limits import CodeRange
from cimc.isa.program import Program
from cimc.isa.streams import StreamState
from cimc.isa.table import ELEMENT_TYPES

Array = NDArray[Any]
Action = Write | Effect | Trap


@dataclass(frozen=True)
class Meter:
    """Clips the codes of a wider ADC to `codes`, in a place of their own, and counts those outside.

    `found` is told, for each conversion metered, how many were clipped below and above [2, images]. Codes have the
    sign of their read phase: where it is negative, what is above them was clipped at the ADC's lowest code.
    """

    wide: StreamState
    clipped: StreamState
    codes: CodeRange
    is_negative: bool
    found: list[Array]

    def __call__(self, chunk: Chunk) -> None:
        wide, clipped = (chunk.view(place).reshape(chunk.images, -1) for place in (self.wide, self.clipped))
        np.copyto(clipped, wide, casting="unsafe")
        below = _clip(wide, clipped, wide.min(axis=1), self.codes.low, np.less)
        above = _clip(wide, clipped, wide.max(axis=1), self.codes.high, np.greater)
        self.found.append(np.array((above, below) if self.is_negative else (below, above)))


def _clip(wide: Array, clipped: Array, ends: Array, code: int, is_outside: np.ufunc) -> list[int]:
    """Put `code` where one of the wide codes [images, n] lies outside of it, and return how many do, image by image.

    `ends` [images] is of each image what lies farthest out: few have to be looked at.
    """
    counts = [0] * len(wide)
    for image in np.flatnonzero(is_outside(ends, code)).tolist():
        places = np.flatnonzero(is_outside(wide[image], code))
        clipped[image, places] = code
        counts[image] = len(places)
    return counts


@dataclass(frozen=True)
class Metered:
    """The steps of an unrolled run in which each conversion whose clips are counted is captured by a wider ADC first.

    `meters` is how many conversions of each instruction are told; `program` has room for the codes.
    """

    steps: tuple[Step, ...]
    meters: dict[int, int]
    program: Program


def metered(program: Program, steps: Sequence[Step], left_out: Collection[int], found: list[Array]) -> Metered:
    """Return the steps with meters, which tell `found`, at all products but for those of some instructions.

    Without one are those that read inputs of both signs apart, too: a run tells their products.
    """
    base = aligned(program.activation_bytes)
    meters = _conversions(steps, left_out)
    actions: list[Step] = []
    end = program.activation_bytes
    for step in steps:
        stream = stream_of(step.action) if step.index in meters else None
        if stream is None:
            actions.append(step)
            continue
        captures = list(_captures(stream, base, found))
        end = max(end, *(meter.clipped.extent()[1] for _, meter in captures))
        told = [action for capture, meter in captures for action in (capture, Effect(meter))]
        actions += [Step(step.index, action) for action in (*told, _left(step.action, captures[-1][1], len(captures)))]
    return Metered(tuple(actions), meters, replace(program, activation_bytes=end))


def _conversions(steps: Sequence[Step], left_out: Collection[int]) -> dict[int, int]:
    """Return how many conversions each instruction has that gets meters: in all turns of loops the same."""
    counts: dict[int, set[int]] = {}
    for step in steps:
        stream = stream_of(step.action)
        if stream and step.index not in left_out:
            counts.setdefault(step.index, set()).add(_metered_conversions(stream))
    return {index: max(found) for index, found in counts.items() if len(found) == 1 and max(found)}


def _metered_conversions(stream: Stream) -> int:
    """Return how many conversions a stream has, 0 where inputs of both signs are read apart.

    There a capture of one phase alone would take all inputs for its own.
    """
    phases = [each.phase for read in stream.reads for each in read.conversions]
    return len(phases) if len({phase.inputs for phase in phases}) == 1 else 0


def _left(action: Action, last: Meter, count: int) -> Action:
    """Return what is left of an instruction behind its meters: all, or the epilogue where one of them has the codes."""
    if count == 1 and isinstance(action, Write) and isinstance(action.compute, Mvm):
        return replace(action, compute=Affine(last.clipped, action.compute.epilogue))
    return action


def _captures(stream: Stream, base: int, found: list[Array]) -> Iterator[tuple[Write, Meter]]:
    """Yield a capture of each conversion by a wider ADC, and its meter: all have the same place."""
    for read in stream.reads:
        for each in read.conversions:
            yield _capture(stream, read, each, base, found)


def _capture(stream: Stream, read: BlockRead, each: Conversion, base: int, found: list[Array]) -> tuple[Write, Meter]:
    adc, sign = each.adc, each.phase.sign
    codes = each.phase.codes(CodeRange(adc.low, adc.high))
    wider = CodeRange(adc.low - 1, adc.high + 1)
    conversion = replace(each, adc=replace(adc, low=wider.low, high=wider.high), codes=wider)
    low, high = each.phase.codes(wider)
    wide = _room(stream, read, base, low, high)
    clipped = _room(stream, read, aligned(wide.extent()[1]), *codes)
    compute = Capture(replace(stream, reads=(replace(read, conversions=(conversion,)),)))
    return Write(wide, compute, low, high), Meter(wide, clipped, codes, sign < 0, found)


def _room(stream: Stream, read: BlockRead, base: int, low: int, high: int) -> StreamState:
    """Return where the codes of a block lie, in the narrowest type that holds them."""
    vectors, columns = stream.source.vectors, read.columns
    shape, pitch = (1, 1, vectors, columns), (0, 0, columns, 1)
    states = (StreamState("act", type_name, base, shape, pitch) for type_name in ELEMENT_TYPES)
    return next(state for state in states if state.lowest <= low and high <= state.highest)
