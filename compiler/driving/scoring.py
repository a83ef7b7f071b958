"""Scores: a program run over labelled data, as compiled or as one chip at one time runs it."""

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cimc.backends.interpreter import BEST, Interpreter
from cimc.backends.machine import ports
from cimc.backends.noise.sources import Noise
from cimc.backends.plan.programming import ProgrammedChip
from cimc.backends.plan.walk import Plan, Walk
from cimc.backends.silicon.compensation_mode import compensated
from cimc.backends.silicon.refit import Aims, exact_sums, refitted
from cimc.diagnostics import fail
from cimc.driving.arrays import feed
from cimc.driving.feeding import CODES, Feeding, program_intakes
from cimc.driving.guard import warn_of_data
from cimc.isa.program import Program

Arrays = Mapping[str, NDArray[Any]]
Runs = tuple[Program, Plan | None]
"""What runs on a chip: a program, and its plan where that is known."""

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
        return self._score(noise, self.on_chip(noise, compensation), threads, progress)

    def scores(self, times: Sequence[Noise], compensation: str, threads: int | None = None) -> Iterator[float]:
        """Yield the scores of one chip, whose noise differs in nothing but its time: it is programmed once."""
        program = self._compensated(compensation)
        chip = ProgrammedChip(program, times[0])
        for noise in times:
            yield self._score(noise, self._planned(program, chip.at(noise), noise, compensation), threads)

    def _score(
        self, noise: Noise | None, runs: Runs, threads: int | None, progress: Callable[[int], None] = lambda done: None
    ) -> float:
        program, planned = runs
        total, done = 0.0, 0
        first = next(iter(program.outputs))
        interpreter = _interpreter(program, noise, threads, self.executor, planned)
        for part in _parts(self.count, self.executor):
            codes = interpreter.run(_cut(self._codes, part), first=part.start)
            real = ports.dequantise(first, codes[first.name])
            done += len(real)
            if self.labels is None:
                total += _squared_error(real, next(iter(self.inputs.values()))[part])
            else:
                total += _hits(real, self.labels[part])
            progress(done)
        return total / self.count

    def on_chip(self, noise: Noise | None, compensation: str) -> Runs:
        """Return the program as it runs on a chip, and its plan where that is known."""
        program = self._compensated(compensation)
        if noise is None:
            assert compensation != "refit"
            return program, None
        return self._planned(program, ProgrammedChip(program, noise).at(noise), noise, compensation)

    def _compensated(self, compensation: str) -> Program:
        return self.program if compensation == "refit" else compensated(self.program, compensation)

    def _planned(self, program: Program, walk: Walk, noise: Noise, compensation: str) -> Runs:
        """Return what runs on the chip that a walk of the compensated program is on."""
        if compensation != "refit":
            return program, walk.plan()
        assert self.calibration is not None
        found = refitted(program, self.calibration, noise, self._exact, walk)
        return found.program, found.plan

    @cached_property
    def _codes(self) -> Arrays:
        """The codes of the inputs, the same for all chips: no refit changes what a port takes."""
        parts = _parts(self.count, self.executor)
        found = [ports.codes_of(self.program, _cut(self.inputs, part)) for part in parts]
        return {port.name: np.concatenate([codes[port.name] for codes in found]) for port in self.program.inputs}

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
    interpreter = _interpreter(program, noise, threads, executor, planned)
    for part in _parts(samples_of(inputs), executor):
        batch = _cut(inputs, part)
        yield batch, interpreter.run(ports.codes_of(program, batch), first=part.start)


def _interpreter(
    program: Program, noise: Noise | None, threads: int | None, executor: str, planned: Plan | None
) -> Interpreter:
    return Interpreter(program, threads=threads or cores(), noise=noise, executor=executor, planned=planned)


def _parts(count: int, executor: str) -> Iterator[slice]:
    """Yield the samples that are run at a time."""
    size = CHUNK if executor == BEST else CHUNK_ON_DEVICE
    return (slice(first, min(first + size, count)) for first in range(0, count, size))


def _cut(arrays: Arrays, part: slice) -> dict[str, NDArray[Any]]:
    return {name: array[part] for name, array in arrays.items()}


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
    return given_labels(arrays, count, path, "use --metric mse", prod(program.outputs[0].shape))


def given_labels(arrays: Arrays, count: int, path: str, otherwise: str, classes: int | None = None) -> NDArray[Any]:
    """Return `count` class numbers, 0 or more and below `classes`. Raises CimcError CIM0201, CIM0202.

    `otherwise` says what to do where data have no labels.
    """
    if "y" not in arrays:
        raise fail("CIM0201", f"{path} has no array 'y' of labels", hint=f"save x and y, or {otherwise}")
    labels = np.asarray(arrays["y"])[:count].reshape(-1)
    if len(labels) != count or labels.dtype.kind not in "iu":
        raise fail(
            "CIM0202",
            f"{path}: y holds {len(labels)} labels of type {labels.dtype} for {count} samples",
            hint="y must be one whole number a sample",
        )
    wrong = labels[(labels < 0) | (labels >= (labels.max(initial=0) + 1 if classes is None else classes))]
    if wrong.size:
        found = f"{path}: y holds the label {wrong[0]}" + (f", the program has {classes} outputs" if classes else "")
        raise fail("CIM0202", found, hint=f"classes count from 0; for models that rebuild their input {otherwise}")
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
