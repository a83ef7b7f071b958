"""A schedule as a trace for Perfetto: TrackEvent protobuf, one track a unit, a slice an instruction, counters on each.

A nanosecond of the trace is a picosecond of the chip, so that every time is a whole number.
"""

from dataclasses import asdict
from typing import Any

from cimc.backends.cost.schedule import MEMORY, Schedule, Slice

SEQUENCE = 1
"""The one writer of the trace."""


def perfetto_trace(schedule: Schedule, name: str) -> bytes:
    """Return the bytes of a .pftrace file. Needs the package perfetto."""
    from perfetto.trace_builder.proto_builder import TraceProtoBuilder

    builder = TraceProtoBuilder()
    tracks = {track: number for number, track in enumerate(schedule.tracks, 2)}
    _describe(builder.add_packet(), 1, f"{name}, picoseconds as ns", 0)
    for track, number in tracks.items():
        _describe(builder.add_packet(), number, track, 1)
    for one in schedule.slices:
        _begin(builder.add_packet(), one, tracks[one.track])
        _end(builder.add_packet(), one, tracks[one.track])
    trace: bytes = builder.serialize()
    return trace


def _describe(packet: Any, number: int, name: str, parent: int) -> None:
    packet.track_descriptor.uuid = number
    packet.track_descriptor.name = name
    if parent:
        packet.track_descriptor.parent_uuid = parent


def _begin(packet: Any, one: Slice, track: int) -> None:
    event = packet.track_event
    packet.timestamp, packet.trusted_packet_sequence_id = one.start, SEQUENCE
    event.type, event.track_uuid = event.TYPE_SLICE_BEGIN, track
    event.name = one.name if one.track != MEMORY else f"memory: {one.name}"
    for key, value in {"instruction": one.instruction, **_counted(one)}.items():
        note = event.debug_annotations.add()
        note.name, note.int_value = key, value
    note = event.debug_annotations.add()
    note.name, note.string_value = "mnemonic", one.mnemonic


def _end(packet: Any, one: Slice, track: int) -> None:
    packet.timestamp, packet.trusted_packet_sequence_id = one.end, SEQUENCE
    packet.track_event.type, packet.track_event.track_uuid = packet.track_event.TYPE_SLICE_END, track


def _counted(one: Slice) -> dict[str, int]:
    return {name: int(value) for name, value in asdict(one.counters).items() if value}
