"""cimc run and eval."""

import argparse
import json
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cimc.backends.interpreter import BEST, Interpreter
from cimc.backends.kernels.library import library
from cimc.backends.machine import ports
from cimc.backends.machine.origin import origin
from cimc.backends.noise.sources import Noise
from cimc.backends.silicon.adc_codes import adc_codes
from cimc.backends.silicon.bands import ORIGIN, layer_codes
from cimc.bringup.resuming import resumed, tensor_codes
from cimc.command_line.compensation_options import calibration_codes, compensate
from cimc.command_line.feeding_options import feeding_of
from cimc.command_line.files import keep_inputs, write
from cimc.command_line.noise_options import noise_of
from cimc.command_line.programs import program_of
from cimc.command_line.progress import Progress
from cimc.command_line.ranking import ranked
from cimc.diagnostics import fail
from cimc.driving.arrays import load_arrays, to_npz
from cimc.driving.provenance import RUN, chip_text, run_facts, run_text
from cimc.driving.scoring import Arrays, Scoring, chunks, labels_of, program_inputs, samples_of
from cimc.isa.errors import CimcWarning
from cimc.isa.opening import STANDARD
from cimc.isa.program import Program

Writable = dict[str, NDArray[Any]]


def run_command(options: argparse.Namespace) -> int:
    _check_outputs(options)
    keep_inputs(options, [options.output, options.keep])
    program, feeding = program_of(options), feeding_of(options)
    if options.start or options.given:
        return _run_from(program, options)
    data = data_of(program, options.input)
    inputs = program_inputs(program, data, feeding, str(options.input))
    noise, compiled = noise_of(options), program
    program = compensate(program, options, noise)
    arrays = _outputs(program, inputs, options, noise)
    if options.print:
        print("\n".join(ranked({port.name: arrays[port.name] for port in program.outputs}, data)))
        print(run_text(compiled, feeding, chip_text(noise, options.compensation)))
    if options.keep or options.layers:
        quantised = ports.codes_of(program, inputs)
    if options.keep:
        write(options.keep, to_npz(tensor_codes(program, quantised, noise)))
    if options.layers:
        arrays |= layer_codes(program, quantised, noise)
        arrays |= adc_codes(program, quantised, noise) if options.adc else {}
        arrays[ORIGIN] = np.array(json.dumps(origin(compiled, quantised)))
    arrays[RUN] = np.array(json.dumps(run_facts(compiled, feeding, noise, options.compensation)))
    if options.output:
        write(options.output, to_npz(arrays))
    return 0


def _check_outputs(options: argparse.Namespace) -> None:
    """Raise CimcError CIM0003 where outputs go nowhere, or to a place that something else takes."""
    if options.adc and not options.layers:
        raise fail("CIM0003", "--adc adds to the codes of layers", hint="add --layers")
    if options.output is None and not options.print:
        raise fail("CIM0003", "the outputs go nowhere", hint="name a file with -o Y.npz, or add --print")
    if options.print and options.output == STANDARD:
        raise fail("CIM0003", "--print and -o - both write to standard output", hint="leave out one of them")


def _run_from(program: Program, options: argparse.Namespace) -> int:
    """Run the rest of a program from one of its layers on the codes of the tensors that it needs."""
    if not options.given or not options.start or not options.output or options.input:
        hint = "give --from LAYER, --with T.npz, what `cimc run --keep T.npz` wrote, and -o Y.npz; no --input"
        raise fail("CIM0003", "a run that starts at a layer takes its tensors in place of inputs", hint=hint)
    noise = noise_of(options)
    rest, given = resumed(compensate(program, options, noise), options.start), load_arrays(options.given)
    codes = {port.name: given[port.name] for port in rest.inputs if port.name in given}
    found = Interpreter(rest, noise=noise).run(codes)
    write(options.output, to_npz(dict(_results(rest, found, options.codes))))
    return 0


def data_of(program: Program, path: str | None) -> Arrays:
    """Return the arrays of a data file; a program without inputs needs none. Raises CimcError CIM0003."""
    if path is not None:
        return load_arrays(path)
    if program.inputs:
        names = ", ".join(port.name for port in program.inputs)
        raise fail("CIM0003", f"the program has inputs, {names}, and there is no --input", hint="add --input X.npz")
    return {}


def _outputs(program: Program, inputs: Arrays, options: argparse.Namespace, noise: Noise | None) -> Writable:
    """Return the outputs of all samples, with codes where they are asked for, with progress on a terminal."""
    progress, done = Progress("running", samples_of(inputs)), 0
    parts = dict[str, list[NDArray[Any]]]()
    for batch, codes in chunks(program, inputs, noise, options.threads, executor_of(options)):
        for name, array in _results(program, codes, options.codes):
            parts.setdefault(name, []).append(array)
        done += samples_of(batch)
        progress.at(done)
    progress.done()
    return {name: np.concatenate(each) for name, each in parts.items()}


def _results(program: Program, codes: Arrays, also_codes: bool) -> Iterator[tuple[str, NDArray[Any]]]:
    """Yield the outputs as real numbers and, where they are wanted, as codes in the model's layout."""
    for port in program.outputs:
        yield port.name, ports.dequantise(port, codes[port.name])
        if also_codes:
            yield f"{port.name}.codes", ports.model_order(port, codes[port.name])


def scoring_of(options: argparse.Namespace) -> Scoring:
    """Return program and data of an evaluation. Raises CimcError CIM0201 to CIM0203."""
    program = program_of(options)
    arrays = load_arrays(options.data)
    inputs = program_inputs(program, arrays, feeding_of(options), options.data)
    count = samples_of(inputs)
    labels = labels_of(program, arrays, count, options.data) if options.metric == "accuracy" else None
    return Scoring(program, inputs, labels, calibration_codes(program, options), executor_of(options))


def score(scoring: Scoring, noise: Noise | None, options: argparse.Namespace) -> float:
    """Return the score on one chip, with progress on a terminal."""
    progress = Progress("running", scoring.count)
    value = scoring.score(noise, options.compensation, options.threads, progress.at)
    progress.done()
    return value


def print_score(options: argparse.Namespace, scoring: Scoring, noise: Noise | None, value: float) -> None:
    """Print the result of one evaluation, and what it comes from."""
    feeding = feeding_of(options)
    if options.json:
        facts = run_facts(scoring.program, feeding, noise, options.compensation)
        print(json.dumps({"n": scoring.count, options.metric: value, **facts}))
        return
    if options.metric == "accuracy":
        print(f"top-1 accuracy {100 * value:.2f} % on {scoring.count} samples")
    else:
        print(f"mean squared error {value:.6g} on {scoring.count} samples")
    print(run_text(scoring.program, feeding, chip_text(noise, options.compensation)))


def executor_of(options: argparse.Namespace) -> str:
    """Return the executor that --device names; warn that the compiled kernels are missing, where they would be used."""
    if options.device != "cpu":
        return str(options.device)
    if library() is None:
        warnings.warn(
            CimcWarning("the compiled kernels were not built here, numpy does their work more slowly"), stacklevel=2
        )
    return BEST
