"""A schedule as waves (VCD): which unit is busy with which instruction, and the bytes that it moves."""

import io

from cimc.backends.cost.schedule import MEMORY, Schedule

MOVED = ("act_read", "act_write", "const_read")


def vcd_waves(schedule: Schedule, name: str) -> str:
    """Return the text of a .vcd file, in picoseconds. Needs the package pyvcd."""
    from vcd import VCDWriter

    text = io.StringIO()
    with VCDWriter(text, timescale="1 ps", date="", comment=name) as writer:
        tracks = [track.replace(" ", "_") for track in schedule.tracks]
        busy = {track: writer.register_var("chip", f"{track}_busy", "wire", size=1, init=0) for track in tracks}
        doing = {track: writer.register_var("chip", f"{track}_instruction", "integer", init=0) for track in tracks}
        moved = {what: writer.register_var("chip", what, "integer", init=0) for what in MOVED}
        for at, track, index, bytes_moved in _changes(schedule):
            writer.change(busy[track], at, int(index is not None))
            writer.change(doing[track], at, index or 0)
            for what, count in bytes_moved.items():
                writer.change(moved[what], at, count)
        writer.close(schedule.length)
    return text.getvalue()


def _changes(schedule: Schedule) -> list[tuple[int, str, int | None, dict[str, int]]]:
    """Return moment, track, the instruction that begins (None: one ends) and bytes moved, in order, ends first."""
    found: list[tuple[int, str, int | None, dict[str, int]]] = []
    for one in schedule.slices:
        track = one.track.replace(" ", "_")
        bytes_moved = {what: getattr(one.counters, what) for what in MOVED} if one.track == MEMORY else {}
        found.append((one.end, track, None, dict.fromkeys(bytes_moved, 0)))
        found.append((one.start, track, one.instruction, bytes_moved))
    return sorted(found, key=lambda change: (change[0], change[2] is not None))
