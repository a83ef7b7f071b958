"""cimc trace and trace-diff."""

import argparse
import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, TextIO

from numpy.typing import NDArray

from cimc.backends.machine import ports
from cimc.bringup.difference import Comparison, compare
from cimc.bringup.explaining import Explainer, parts_that_differ
from cimc.bringup.tracing import Tracing
from cimc.bringup.watching import Wanted
from cimc.command_line.compensation_options import compensate
from cimc.command_line.feeding_options import feeding_of
from cimc.command_line.files import keep_inputs, write
from cimc.command_line.noise_options import noise_of
from cimc.diagnostics import fail
from cimc.driving.arrays import load_arrays
from cimc.driving.scoring import program_inputs
from cimc.isa.container import load_program
from cimc.isa.errors import FAILED
from cimc.isa.opening import open_regular
from cimc.isa.program import Program


def trace_command(options: argparse.Namespace) -> int:
    keep_inputs(options, [options.output])
    program = load_program(options.program)
    wanted = Wanted(
        frozenset(instructions(program, options.vectors, "--vectors")),
        None if options.only is None else frozenset(instructions(program, options.only, "--only")),
        options.streams,
    )
    codes = sample_codes(program, options)
    noise = noise_of(options)
    tracing = Tracing(compensate(program, options, noise), noise, wanted)
    lines = [str(tracing.head(codes)), *tracing.lines(codes, options.samples.start), ""]
    write(options.output, "\n".join(lines).encode())
    return 0


def trace_diff_command(options: argparse.Namespace) -> int:
    if options.input and not options.program:
        raise fail("CIM0003", "--input gives the data of a program, but there is no --program", hint="add --program")
    with _text(options.expected) as expected, _text(options.found) as found:
        comparison = compare(expected, found)
    print("\n".join(_report(comparison, options)))
    return FAILED if comparison.difference else 0


@contextmanager
def _text(path: str) -> Iterator[TextIO]:
    """Open a file as lines of text; what is no ASCII is no trace, as `compare` then says."""
    with open_regular(path) as file, io.TextIOWrapper(file, "ascii", "replace", "\n") as lines:
        yield lines


def _report(comparison: Comparison, options: argparse.Namespace) -> Iterator[str]:
    """Yield the lines printed about two traces."""
    yield from (f"note: {note}" for note in comparison.notes)
    difference = comparison.difference
    if difference is None:
        yield f"equal: {comparison.equal} records"
        return
    yield f"sample {difference.sample}: the first difference, behind {comparison.equal} equal records"
    yield from parts_that_differ(difference.expected, difference.found)
    if options.program:
        yield from _explainer(options).lines(difference)
    yield from (f"  before    {line}" for line in difference.before)
    yield from (f"  expected behind  {line}" for line in difference.expected_behind)
    yield from (f"  found behind     {line}" for line in difference.found_behind)


def _explainer(options: argparse.Namespace) -> Explainer:
    program = load_program(options.program)
    codes = sample_codes(program, options) if options.input else None
    noise = noise_of(options)
    return Explainer(compensate(program, options, noise), codes, options.samples.start, noise)


def sample_codes(program: Program, options: argparse.Namespace) -> Mapping[str, NDArray[Any]]:
    """Return the input codes of --samples of --input, by port. Raises CimcError CIM0201 to CIM0203."""
    samples: range = options.samples
    stop = samples.stop if options.limit is None else min(samples.stop, options.limit)
    feeding = replace(feeding_of(options), limit=stop)
    real = program_inputs(program, load_arrays(options.input), feeding, options.input)
    count = len(next(iter(real.values()), ()))
    if program.inputs and count < samples.stop:
        raise fail("CIM0202", f"{options.input} has {count} samples, --samples names {samples.stop - 1}")
    return ports.codes_of(program, {name: array[samples.start :] for name, array in real.items()})


def instructions(program: Program, text: str, option: str) -> Iterator[int]:
    """Yield the instructions that numbers, layers or ONNX nodes name, with commas between. Raises CimcError CIM0003."""
    for word in filter(None, text.split(",")):
        found = [int(word)] if word.isascii() and word.isdigit() else list(_of_layer(program, word))
        if not found or found[0] >= len(program.instructions):
            known = ", ".join(layer.name for layer in program.layers[:8])
            hint = f"instructions are 0 to {len(program.instructions) - 1}; layers: {known}"
            raise fail("CIM0003", f"{option}: the program has no instruction or layer {word!r}", hint=hint)
        yield from found


def _of_layer(program: Program, name: str) -> Iterator[int]:
    for layer in program.layers:
        if name in (layer.name, *layer.nodes):
            yield from program.instructions_of(layer)
