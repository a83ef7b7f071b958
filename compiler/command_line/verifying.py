"""cimc verify: the proof behind one command."""

import argparse
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from cimc.arrays import load_arrays
from cimc.command_line.progress import Progress
from cimc.command_line.running import program_inputs
from cimc.diagnostics import CimcError, fail
from cimc.driver import Compilation, Request, compile_model
from cimc.isa.container import load
from cimc.isa.program import Program
from cimc.passes.ranges import Ranges
from cimc.targets.target import target_of
from cimc.verification import REFERENCE_MULTIPLIES, Difference, Prover, TensorRow, compare_programs


def verify_command(options: argparse.Namespace) -> int:
    from cimc.evaluate import selftest

    program = load(options.program)
    selftest()
    difference = _other_model(options.model, program)
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


def recompile(model: str, program: Program) -> Compilation:
    """Compile the model again with the options, ranges and target that the program carries. Raises CimcError."""
    try:
        meta = program.meta
        request = Request(
            target_of(meta["target"]),
            meta["options"]["pipeline"],
            Ranges.from_json(meta["ranges"]),
            unbatched=bool(meta["options"].get("unbatched")),
        )
        model_name, calibration = meta["model"].get("name"), meta["options"].get("calibration")
    except (AttributeError, KeyError, TypeError) as error:
        raise _not_ours(error) from None
    compilation = compile_model(Path(model), request)
    # The model's file name and where the ranges came from cannot be computed again: they are taken over.
    made = compilation.emission.program
    model_facts = {**made.meta["model"], "name": model_name}
    option_facts = {**made.meta["options"], "calibration": calibration}
    program_made = replace(made, meta={**made.meta, "model": model_facts, "options": option_facts})
    return replace(compilation, emission=replace(compilation.emission, program=program_made))


def _other_model(model: str, program: Program) -> Difference | None:
    """Return the difference where the program says that it was compiled from another file."""
    from cimc.frontend import model_digest

    stated, found = _stated_digest(program), model_digest(Path(model))
    return None if stated == found else Difference("sha256 of the model file", stated, found)


def _stated_digest(program: Program) -> str:
    try:
        return str(program.meta["model"]["sha256"])
    except (KeyError, TypeError):
        raise _not_ours("the hash of its model") from None


def _not_ours(missing: object) -> CimcError:
    return fail(
        "CIM0003",
        f"the program does not say how it was compiled: {missing} is missing",
        hint="only programs written by `cimc compile` can be verified",
    )


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
    rows = [("tensor", "shape", "interpreter", "reference")]
    for row in prover.rows():
        shape = "x".join(map(str, row.shape)) or "1"
        rows.append(
            (
                row.label if len(row.label) <= 40 else "..." + row.label[-37:],
                shape,
                str(row.interpreter or "same codes"),
                _reference_cell(row, sampled=prover.share is not None),
            )
        )
    widths = [max(len(row[i]) for row in rows) for i in range(4)]
    for cells in rows:
        print("  " + "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip())


def _reference_cell(row: TensorRow, sampled: bool) -> str:
    """Return the elements compared with the reference, and of how many in one sample where it computed only some."""
    return f"{row.reference} of {math.prod(row.shape)}" if sampled and row.reference else str(row.reference or "-")


def _print_float_arrow(model: str, compilation: Compilation, inputs: dict[str, Any]) -> None:
    """Print how far the integers are from the float model: the only arrow with a tolerance."""
    from cimc.evaluate import evaluate
    from cimc.float_model import run_float

    exact, real = evaluate(compilation.graph, inputs), run_float(Path(model), compilation.graph, inputs)
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
