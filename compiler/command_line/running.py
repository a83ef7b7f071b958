"""cimc run and eval."""

import argparse
import json
import os
import sys
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cimc.arrays import feed, load_arrays, to_npz
from cimc.backends import ports
from cimc.backends.bands import layer_codes
from cimc.backends.interpreter import Interpreter, levels
from cimc.command_line.compensation_options import compensate
from cimc.command_line.compiling import feeding_of
from cimc.command_line.files import keep_inputs, write
from cimc.command_line.noise_options import noise_of
from cimc.command_line.progress import Progress
from cimc.diagnostics import fail
from cimc.isa.container import load
from cimc.isa.program import Port, Program

CHUNK = 256
OUTSIDE = 0.02
"""Share of inputs beyond the calibrated range that deserves a warning."""

Arrays = Mapping[str, NDArray[Any]]


def run_command(options: argparse.Namespace) -> int:
    keep_inputs([options.output], [options.program, options.input])
    program = load(options.program)
    inputs = program_inputs(program, load_arrays(options.input), options, options.input)
    parts: dict[str, list[NDArray[Any]]] = {}
    program = compensate(program, options)
    for _, codes, real in _outputs(program, inputs, options):
        for port in program.outputs:
            parts.setdefault(port.name, []).append(real[port.name])
            if options.codes:
                parts.setdefault(f"{port.name}.codes", []).append(codes[port.name])
    arrays = {name: np.concatenate(each) for name, each in parts.items()}
    if options.layers:
        codes = {port.name: ports.quantise(port, inputs[port.name]) for port in program.inputs}
        arrays |= layer_codes(program, codes, noise_of(options))
    write(options.output, to_npz(arrays))
    return 0


def score(options: argparse.Namespace) -> tuple[int, float]:
    """Return the number of samples, and accuracy or mean squared error, of one evaluation."""
    program = load(options.program)
    arrays = load_arrays(options.data)
    inputs = program_inputs(program, arrays, options, options.data)
    count = len(next(iter(inputs.values())))
    measure = _accuracy if options.metric == "accuracy" else _squared_error
    labels = _labels(arrays, count, options.data) if options.metric == "accuracy" else np.zeros(0)
    total = 0.0
    for batch, _, real in _outputs(compensate(program, options), inputs, options):
        first = next(iter(real.values()))
        if options.metric == "accuracy":
            _require_classes(labels[: len(first)], first[0].size, options.data)
        total += measure(first, next(iter(batch.values())), labels[: len(first)])
        labels = labels[len(first) :]
    return count, total / count


def print_score(options: argparse.Namespace, count: int, value: float) -> None:
    """Print the result of one evaluation."""
    if options.json:
        print(json.dumps({"n": count, "accuracy" if options.metric == "accuracy" else "mse": value}))
    elif options.metric == "accuracy":
        print(f"top-1 accuracy {100 * value:.2f} % on {count} samples")
    else:
        print(f"mean squared error {value:.6g} on {count} samples")


def program_inputs(program: Program, arrays: Arrays, options: argparse.Namespace, path: str) -> dict[str, NDArray[Any]]:
    """Return float32 inputs for every port of a program."""
    wanted = [(port.name, port.model_shape) for port in program.inputs]
    fed = feed(arrays, wanted, feeding_of(options), path)
    for port in program.inputs:
        _warn_if_outside(port, fed[port.name][:CHUNK], path)
    return fed


def _warn_if_outside(port: Port, real: NDArray[Any], path: str) -> None:
    """Say on stderr that many inputs lie beyond the range the program was calibrated for."""
    low, high = ((code - port.zero) * port.scale for code in (port.low - 1, port.high + 1))
    share = float(((real < low) | (real > high)).mean())
    if share > OUTSIDE:
        warning = f"warning: {path}: {100 * share:.0f} % of {port.name!r} lies outside the calibrated range"
        print(f"{warning} {low:.4g} to {high:.4g}; check --scale and --offset", file=sys.stderr)


def _outputs(program: Program, inputs: Arrays, options: argparse.Namespace) -> Iterator[tuple[Arrays, Arrays, Arrays]]:
    """Yield (inputs, output codes in the model's layout, real outputs) chunk by chunk."""
    interpreter = Interpreter(program, threads=options.threads or cores(), noise=noise_of(options))
    _say_if_slow()
    count = len(next(iter(inputs.values())))
    progress = Progress("running", count)
    for first in range(0, count, CHUNK):
        batch = {name: array[first : first + CHUNK] for name, array in inputs.items()}
        codes = interpreter.run(
            {port.name: ports.quantise(port, batch[port.name]) for port in program.inputs}, first=first
        )
        real = {port.name: ports.dequantise(port, codes[port.name]) for port in program.outputs}
        ordered = {port.name: ports.model_order(port, codes[port.name]) for port in program.outputs}
        yield batch, ordered, real
        progress.at(min(first + CHUNK, count))
    progress.done()


def cores() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _say_if_slow() -> None:
    """Say on stderr that the compiled kernels are missing."""
    if levels() == ("numpy",):
        print("cimc: the compiled kernels were not built here, numpy does their work more slowly", file=sys.stderr)


def _labels(arrays: Arrays, count: int, path: str) -> NDArray[Any]:
    if "y" not in arrays:
        raise fail("CIM0201", f"{path} has no array 'y' of labels", hint="save x and y, or use --metric mse")
    labels = arrays["y"][:count].reshape(-1)
    if len(labels) != count or labels.dtype.kind not in "iu":
        raise fail(
            "CIM0202",
            f"{path}: y holds {len(labels)} labels of type {labels.dtype} for {count} samples",
            hint="y must be one whole number a sample",
        )
    return labels


def _require_classes(labels: NDArray[Any], classes: int, path: str) -> None:
    """Raise CimcError CIM0202 unless every label is one of the program's outputs."""
    wrong = labels[(labels < 0) | (labels >= classes)]
    if wrong.size:
        hint = "use --metric mse for models that rebuild their input"
        raise fail("CIM0202", f"{path}: y holds the label {wrong[0]}, the program has {classes} outputs", hint=hint)


def _accuracy(real: NDArray[Any], given: NDArray[Any], labels: NDArray[Any]) -> float:
    return float((real.reshape(len(real), -1).argmax(axis=1) == labels).sum())


def _squared_error(real: NDArray[Any], given: NDArray[Any], labels: NDArray[Any]) -> float:
    if real.size != given.size:
        raise fail(
            "CIM0202",
            f"the output has shape {real.shape[1:]}, the input {given.shape[1:]}: no error between them",
            hint="--metric mse suits models that rebuild their input",
        )
    difference = real.reshape(len(real), -1).astype(np.float64) - given.reshape(len(given), -1)
    return float(np.square(difference).mean(axis=1).sum())
