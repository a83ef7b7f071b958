"""cimc verify: the proof behind one command."""

import argparse
import math
from pathlib import Path
from typing import Any

import numpy as np

from cimc.command_line.progress import Progress
from cimc.command_line.running import program_inputs
from cimc.diagnostics import DiagnosticError
from cimc.driving.arrays import load_arrays
from cimc.driving.driver import Compilation
from cimc.driving.tables import tabulate, terminal_width
from cimc.isa.container import load
from cimc.proof.programs import Difference, compare_programs, other_model, recompile
from cimc.proof.prover import REFERENCE_MULTIPLIES, Prover, TensorRow


def verify_command(options: argparse.Namespace) -> int:
    from cimc.evaluate import selftest

    program = load(options.program)
    selftest()
    difference = other_model(options.model, program)
    if not difference:
        compilation = recompile(options.model, program)
        difference = compare_programs(compilation.emission, program)
    if difference:
        print(f"FAILED: {options.program} is not what {options.model} compiles to\n  {difference}")
        return 1
    parts = f"{len(program.constants)} bytes of constants, {len(program.conductances)} bytes of conductances"
    print(f"program: {len(program.instructions)} instructions, {parts} equal a fresh compile")
    inputs = program_inputs(program, load_arrays(options.input), options, options.input)
    return _prove(options, compilation, inputs)


def _prove(options: argparse.Namespace, compilation: Compilation, inputs: dict[str, Any]) -> int:
    count = len(next(iter(inputs.values())))
    prover = Prover(compilation)
    literal, multiplies = options.reference_samples, max(prover.multiplies(), 1)
    sampled = literal is None and multiplies > REFERENCE_MULTIPLIES
    if literal is None:
        literal = max(1, REFERENCE_MULTIPLIES // multiplies)
    progress = Progress("verifying", count)
    for step in prover.prove(inputs, literal, sampled):
        if isinstance(step, Difference):
            progress.done()
            print(f"FAILED: {step}")
            return 1
        progress.at(step)
    progress.done()
    _print_table(prover)
    _print_float_arrow(options.model, compilation, inputs)
    both = f"{count} samples on integer graph and interpreter"
    print(f"ok: every tensor equal, {both}, {_on_reference(prover, min(literal, count))}")
    return 0


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
        f"  The whole of a sample would take it {prover.multiplies()} multiplications: --reference-samples 1"
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


def _print_float_arrow(model: str, compilation: Compilation, inputs: dict[str, Any]) -> None:
    """Print how far the integers are from the float model: the only arrow with a tolerance."""
    from cimc.driving.float_model import run_float
    from cimc.evaluate import evaluate

    try:
        real = run_float(Path(model), compilation.graph, inputs)
    except DiagnosticError as error:
        print(f"float model: not checked: {error.diagnostics[0].message}")
        return
    exact = evaluate(compilation.graph, inputs)
    for name, ours in exact.items():
        theirs = real[name].reshape(ours.shape).astype(np.float64)
        noise = np.square(ours - theirs).mean()
        signal = np.square(theirs).mean()
        decibels = 10 * np.log10(signal / noise) if noise > 0 and signal > 0 else float("inf")
        agree = (ours.reshape(len(ours), -1).argmax(1) == theirs.reshape(len(theirs), -1).argmax(1)).mean()
        print(
            f"float model: output {name!r}: signal to quantisation noise {decibels:.1f} dB, "
            f"same top-1 on {100 * agree:.1f} %, largest difference {np.abs(ours - theirs).max():.4g}"
        )
