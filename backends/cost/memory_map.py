"""Which bytes of activation memory hold something when, by what instructions write and read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from cimc.backends.cost.schedule import Schedule
from cimc.backends.machine.ports import port_stream
from cimc.isa.program import Program
from cimc.isa.streams import StreamState, follow
from cimc.isa.writes import inputs_of, output_of


@dataclass(frozen=True)
class Span:
    """Bytes low..high - 1, from when they are written until they are last read, in picoseconds."""

    name: str
    low: int
    high: int
    start: int
    end: int


def memory_map(schedule: Schedule, program: Program) -> list[Span]:
    """Return what is held of inputs and results, by when it was written; of a loop, the bytes of its first turn.

    What another result is written over is held no longer, and no later reader can mean it.
    """
    times = _times(schedule, program)
    held = [Span(port.name, *port_stream(port).extent(), 0, 0) for port in program.inputs]
    over: list[Span] = []
    streams: dict[int, StreamState] = {}
    for index, one in enumerate(program.instructions):
        follow(streams, one)
        read = [streams[number].extent() for number in inputs_of(one) if _in_memory(streams, number)]
        held = [replace(span, end=times[index][1]) if _meets(span, read) else span for span in held]
        out = output_of(one)
        if out is not None and _in_memory(streams, out):
            written = streams[out].extent()
            over += [span for span in held if _meets(span, [written])]
            held = [span for span in held if not _meets(span, [written])]
            held.append(Span(program.layer_name(index), *written, *times[index]))
    return sorted([*over, *held], key=lambda span: (span.start, span.low))


def _in_memory(streams: Mapping[int, StreamState], number: int) -> bool:
    return number in streams and streams[number].space == "act"


def _meets(span: Span, extents: Sequence[tuple[int, int]]) -> bool:
    """Return whether any of the ranges of bytes has one in common with the span."""
    return any(low < span.high and span.low < high for low, high in extents)


def _times(schedule: Schedule, program: Program) -> list[tuple[int, int]]:
    """Return when each instruction begins and ends; those that take no time, where the one before ended."""
    found: dict[int, tuple[int, int]] = {}
    for one in schedule.slices:
        began, ended = found.get(one.instruction, (one.start, one.end))
        found[one.instruction] = min(began, one.start), max(ended, one.end)
    times, last = [], 0
    for index in range(len(program.instructions)):
        began, ended = found.get(index, (last, last))
        times.append((began, ended))
        last = max(last, ended)
    return times
