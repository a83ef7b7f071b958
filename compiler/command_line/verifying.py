"""cimc verify: the proof behind one command."""

import argparse
import json
import math
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

from cimc.command_line.bound_options import bound_of
from cimc.command_line.feeding_options import inputs_of
from cimc.command_line.progress import Progress
from cimc.command_line.proof_facts import proof_facts
from cimc.diagnostics import DiagnosticError, fail
from cimc.driving.distances import FloatDistance, shortfalls
from cimc.driving.driver import Compilation
from cimc.driving.durations import spoken
from cimc.driving.provenance import program_text
from cimc.driving.scoring import samples_of
from cimc.driving.tables import tabulate, terminal_width
from cimc.evaluate import selftest
from cimc.isa.container import load_program
from cimc.isa.errors import FAILED, CimcWarning
from cimc.proof.float_graph import FloatCheck
from cimc.proof.layer_losses import Comparison
from cimc.proof.programs import Difference
from cimc.proof.prover import Prover, TensorRow
from cimc.proof.quality import GOOD_DB, GOOD_TOP_1, cure, dearest, poor
from cimc.proof.verdict import float_distances, float_graph, recompiled

SHOWN = 3
"""Tensors named of those that differ by what they read."""
DIAGNOSED = 8
"""Samples on which the layer that loses most is looked for."""


def verify_command(options: argparse.Namespace) -> int:
    if options.no_float and bound_of(options).asks:
        message = "--min-sqnr and --min-top1 bound what --no-float leaves out"
        raise fail("CIM0003", message, hint="leave out --no-float")
    program = load_program(options.program)
    if options.json:
        inputs = inputs_of(program, options)
        facts = proof_facts(options, program, inputs)
        print(json.dumps(facts))
        return 0 if facts["ok"] else FAILED
    selftest()
    compilation, difference = recompiled(options.model, program)
    if compilation is None or difference:
        print(f"FAILED: {options.program} is not what {options.model} compiles to\n  {difference}")
        return FAILED
    parts = f"{len(program.constants)} bytes of constants, {len(program.conductances)} bytes of conductances"
    print(f"{program_text(program)}: {len(program.instructions)} instructions, {parts} equal a fresh compile")
    inputs = inputs_of(program, options)
    return _prove(options, compilation, inputs)


def _prove(options: argparse.Namespace, compilation: Compilation, inputs: dict[str, Any]) -> int:
    count = samples_of(inputs)
    prover = Prover(compilation)
    literal, sampled = prover.on_reference(options.reference_samples)
    progress = Progress("verifying", count)
    progress.at(0)
    for step in prover.prove(inputs, literal, sampled):
        if isinstance(step, Difference):
            progress.done()
            print(f"FAILED: {step}")
            return FAILED
        progress.at(step)
    progress.done()
    _print_table(prover)
    failures = (
        []
        if options.no_float
        else [*_float_graph(options, compilation, inputs), *_quality(options, compilation, inputs)]
    )
    both = f"{count} samples on integer graph and interpreter"
    equal = f"every tensor equal, {both}, {_on_reference(prover, min(literal, count))}"
    print("\n".join([equal, *(f"FAILED: {failure}" for failure in failures)] if failures else [f"ok: {equal}"]))
    return FAILED if failures else 0


def _float_graph(options: argparse.Namespace, compilation: Compilation, inputs: dict[str, Any]) -> Iterator[str]:
    """Print how the imported graph compares with the file; yield what fails."""
    try:
        found = float_graph(options.model, compilation.emission.program, inputs)
    except DiagnosticError as error:
        print(f"float graph: not checked: {error.diagnostics[0].message}")
        if options.require_float:
            yield "the float graph is not checked, which --require-float asks for"
        return
    print(
        f"float graph: {len(found.covered)} of {found.tensors} tensors held against {found.runtime}, "
        f"{found.samples} samples{_inherited(found)}"
    )
    yield from (f"float graph: {wrong}" for wrong in found.wrong.values())


def _inherited(found: FloatCheck) -> str:
    """Return which tensors differ by what their nodes read, and by how much of their largest value."""
    if not found.inherited:
        return ""
    most = sorted(found.inherited.items(), key=lambda one: -one[1])
    listed = ", ".join(f"{name!r} by {100 * share:.2g} %" for name, share in most[:SHOWN])
    more = f" and {len(most) - SHOWN} more" if len(most) > SHOWN else ""
    return f"\n  {len(most)} differ by what their nodes read, the most: {listed}{more}"


def _on_reference(prover: Prover, samples: int) -> str:
    """Return what the literal reference did, in words; a sample of vectors is never called a whole one."""
    share = prover.share
    if not share:
        return f"{samples} of them on the reference"
    elements = f"{share.elements} of {share.of_elements} elements ({100 * share.elements / share.of_elements:.2g} %)"
    return (
        f"{samples} on the reference in part\n"
        f"  reference: {elements}, edges, corners and random vectors of every instruction, and\n"
        f"  {share.columns} of {share.of_columns} drift factors; "
        "each computed from inputs on which graph and interpreter agree.\n"
        f"  The whole of a sample would take it about {spoken(prover.reference_s())}: --reference-samples 1"
    )


def _print_table(prover: Prover) -> None:
    """Print how many elements of each tensor were equal to the integer graph's, on both machines."""
    rows = [("layer", "tensor", "shape", "interpreter", "reference")]
    for row in prover.rows():
        shape = "x".join(map(str, row.shape)) or "1"
        rows.append(
            (
                row.layer or "-",
                row.label,
                shape,
                str(row.interpreter or "same codes"),
                _reference_cell(row, sampled=prover.share is not None),
            )
        )
    print("\n".join(tabulate(rows, terminal_width())))


def _reference_cell(row: TensorRow, sampled: bool) -> str:
    """Return the elements compared with the reference, and of how many in one sample where it computed only some."""
    return f"{row.reference} of {math.prod(row.shape)}" if sampled and row.reference else str(row.reference or "-")


def _quality(options: argparse.Namespace, compilation: Compilation, inputs: dict[str, Any]) -> Iterator[str]:
    """Print how far the integers are from the float model, and warn where that is far; yield what fails."""
    try:
        distances = float_distances(options.model, compilation, inputs)
    except DiagnosticError as error:
        print(f"float model: not checked: {error.diagnostics[0].message}")
        if bound_of(options).asks:
            yield "the quality of the outputs is not known, which --min-sqnr and --min-top1 bound"
        return
    for one in distances:
        print(
            f"float model: output {one.output!r}: signal to quantisation noise {one.decibels:.1f} dB, "
            f"same top-1 on {100 * one.same_top_1:.1f} %, largest difference {one.largest:.4g}"
        )
    low = poor(distances)
    if low:
        _warn(low, options.model, compilation, inputs)
    yield from shortfalls(distances, bound_of(options))


def _warn(low: Sequence[FloatDistance], model: str, compilation: Compilation, inputs: dict[str, Any]) -> None:
    """Warn of outputs that are not good, with the layer that costs them most and what may cure it."""
    outputs = ", ".join(
        f"{one.output!r} ({one.decibels:.1f} dB, same top-1 on {100 * one.same_top_1:.1f} %)" for one in low
    )
    message = f"quality below {GOOD_DB:g} dB or {100 * GOOD_TOP_1:g} %: {outputs}"
    some = {name: array[:DIAGNOSED] for name, array in inputs.items()}
    loss = dearest([*Comparison(model, compilation).losses(some)])
    if loss is None:
        warnings.warn(CimcWarning(message), stacklevel=2)
        return
    name, program = loss.layer or loss.tensor, compilation.emission.program
    found = f"{message}; most is lost at {name!r}, which alone leaves {loss.float_sensitivity_db:.1f} dB"
    warnings.warn(CimcWarning(found, cure(program, loss)), stacklevel=2)
