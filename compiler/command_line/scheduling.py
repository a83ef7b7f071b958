"""cimc schedule: when everything happens, as a trace, as waves or as a page."""

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path

from cimc.backends.cost.estimate import estimate
from cimc.backends.cost.schedule import Schedule, schedule
from cimc.command_line.files import keep_inputs, write
from cimc.diagnostics import fail
from cimc.driving.provenance import program_text
from cimc.isa.container import load_program
from cimc.report.page import schedule_page
from cimc.report.trace_events import perfetto_trace
from cimc.report.waves import vcd_waves

WRITERS: Mapping[str, Callable[[Schedule, str], bytes]] = {
    ".pftrace": perfetto_trace,
    ".vcd": lambda found, name: vcd_waves(found, name).encode(),
    ".html": lambda found, name: schedule_page(found, name).encode(),
}
"""Ending of the file -> what writes it."""


def schedule_command(options: argparse.Namespace) -> int:
    keep_inputs(options, [options.output])
    kind = Path(options.output).suffix
    if kind not in WRITERS:
        message = f"-o {options.output}: a schedule is a {', '.join(WRITERS)} file"
        raise fail("CIM0003", message, hint="name it schedule.html")
    program = load_program(options.program)
    found = schedule(estimate(program), program)
    try:
        written = WRITERS[kind](found, f"{Path(options.program).stem}, {program_text(program)}")
    except ImportError as error:
        hint = "install the extra `trace`, or write .html"
        raise fail("CIM0004", f"{kind} needs {error.name}, which is not installed", hint=hint) from None
    write(options.output, written)
    length = f"{found.length / 1e6:g} us"
    print(f"{program_text(program)}: {len(found.slices)} slices on {len(found.tracks)} tracks, {length}")
    return 0
