"""Scores: a program run over labelled data, as compiled or as one chip at one time runs it."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cimc.backends.interpreter import BEST, Interpreter
from cimc.backends.machine import ports
from cimc.backends.noise.sources import Noise
from cimc.backends.plan.walk import Plan
from cimc.backends.silicon.compensation_mode import compensated
from cimc.backends.silicon.refit import Aims, exact_sums, refitted
from cimc.diagnostics import fail
from cimc.driving.arrays import feed
from cimc.driving.feeding import CODES, Feeding, program_intakes
from cimc.driving.guard import warn_of_data
from cimc.isa.program import Program

Arrays = Mapping[str, NDArray[Any]]

CHUNK, CHUNK_ON_DEVICE = 256, 2048
"""Samples that are run at a time."""


@dataclass(frozen=True)
class Scoring:
    """What a score needs: a program, float32 inputs [N, *shape] by port, and labels [N].

    Without labels the score is the squared error between the first output and the first input. `calibration` holds
    the input codes, by port, that a refit reads; `executor` names what computes, as for Interpreter. Raises CimcError
    CIM0202 where output and input cannot be compared.
    """

    program: Program
    inputs: Arrays
    labels: NDArray[Any] | None = None
    calibration: Arrays | None = None
    executor: str = BEST

    @property
    def count(self) -> int:
        return samples_of(self.inputs)

    def score(
        self,
        noise: Noise | None,
        compensation: str,
        threads: int | None = None,
        progress: Callable[[int], None] = lambda done: None,
    ) -> float:
        """Return the share of samples whose largest output is their label, or the mean squared error."""
        program, planned = self.on_chip(noise, compensation)
        total, done = 0.0, 0
        for batch, codes in chunks(program, self.inputs, noise, threads, self.executor, planned):
            first = next(iter(program.outputs))
            real = ports.dequantise(first, codes[first.name])
            last = done + len(real)
            if self.labels is None:
                total += _squared_error(real, next(iter(batch.values())))
            else:
                total += _hits(real, self.labels[done:last])
            done = last
            progress(done)
        return total / self.count

    def on_chip(self, noise: Noise | None, compensation: str) -> tuple[Program, Plan | None]:
        """Return the program as it runs on a chip, and its plan where that is known."""
        if compensation != "refit":
            return compensated(self.program, compensation), None
        assert noise is not None and self.calibration is not None
        found = refitted(self.program, self.calibration, noise, self._exact)
        return found.program, found.plan

    @cached_property
    def _exact(self) -> Aims:
        """The sums that every refit aims at: the same for all chips and times."""
        assert self.calibration is not None
        return exact_sums(self.program, self.calibration)


def compensated_for(program: Program, noise: Noise | None, compensation: str, calibration: Arrays | None) -> Program:
    """Return the program as it runs on this chip under a compensation; `refit` needs noise and calibration codes."""
    if compensation != "refit":
        return compensated(program, compensation)
    assert noise is not None and calibration is not None
    return refitted(program, calibration, noise).program


def chunks(
    program: Program,
    inputs: Arrays,
    noise: Noise | None,
    threads: int | None = None,
    executor: str = BEST,
    planned: Plan | None = None,
) -> Iterator[tuple[Arrays, Arrays]]:
    """Yield (inputs, output codes by port), some samples at a time."""
    interpreter = Interpreter(program, threads=threads or cores(), noise=noise, executor=executor, planned=planned)
    size = CHUNK if executor == BEST else CHUNK_ON_DEVICE
    for first in range(0, samples_of(inputs), size):
        batch = {name: array[first : first + size] for name, array in inputs.items()}
        quantised = ports.codes_of(program, batch)
        yield batch, interpreter.run(quantised, first=first)


def real_outputs(program: Program, ran: Iterable[tuple[Arrays, Arrays]]) -> dict[str, NDArray[Any]]:
    """Return the outputs [N, *shape of a sample] by name, real values, of all `chunks` that a program ran."""
    parts = [codes for _, codes in ran]
    joined = {port.name: np.concatenate([part[port.name] for part in parts]) for port in program.outputs}
    return {port.name: ports.dequantise(port, joined[port.name]) for port in program.outputs}


def samples_of(inputs: Arrays) -> int:
    """Return the number of samples; a program without inputs has one."""
    return len(next(iter(inputs.values()), range(1)))


def cores() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def program_inputs(program: Program, arrays: Arrays, feeding: Feeding, path: str) -> dict[str, NDArray[Any]]:
    """Return float32 inputs [N, *shape] for every port of a program; warn where they are unlike its calibration.

    Raises CimcError CIM0201 to CIM0203, which name `path`.
    """
    fed = feed(arrays, program_intakes(program, feeding), path, feeding.limit)
    for port in program.inputs:
        if feeding.kind == CODES:
            ports.require_codes(port, fed[port.name])
        warn_of_data(program, port, fed[port.name], path)
    return fed


def labels_of(program: Program, arrays: Arrays, count: int, path: str) -> NDArray[Any]:
    """Return `count` class numbers of the program's first output. Raises CimcError CIM0201, CIM0202."""
    if "y" not in arrays:
        raise fail("CIM0201", f"{path} has no array 'y' of labels", hint="save x and y, or use --metric mse")
    labels = arrays["y"][:count].reshape(-1)
    if len(labels) != count or labels.dtype.kind not in "iu":
        raise fail(
            "CIM0202",
            f"{path}: y holds {len(labels)} labels of type {labels.dtype} for {count} samples",
            hint="y must be one whole number a sample",
        )
    classes = prod(program.outputs[0].shape)
    wrong = labels[(labels < 0) | (labels >= classes)]
    if wrong.size:
        hint = "use --metric mse for models that rebuild their input"
        raise fail("CIM0202", f"{path}: y holds the label {wrong[0]}, the program has {classes} outputs", hint=hint)
    return labels


def _hits(real: NDArray[Any], labels: NDArray[Any]) -> float:
    return float((real.reshape(len(real), -1).argmax(axis=1) == labels).sum())


def _squared_error(real: NDArray[Any], given: NDArray[Any]) -> float:
    if real.size != given.size:
        raise fail(
            "CIM0202",
            f"the output has shape {real.shape[1:]}, the input {given.shape[1:]}: no error between them",
            hint="--metric mse suits models that rebuild their input",
        )
    difference = real.reshape(len(real), -1).astype(np.float64) - given.reshape(len(given), -1)
    return float(np.square(difference).mean(axis=1).sum())
