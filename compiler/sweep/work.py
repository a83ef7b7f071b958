"""What a process of a sweep does: compile one program, or score one chip at every time."""

import hashlib
from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path
from typing import Any

from cimc import __version__
from cimc.backends.cost.estimate import estimate
from cimc.backends.cost.facts import summary
from cimc.backends.machine import ports
from cimc.backends.machine.facts import machine
from cimc.backends.noise.chip import passed
from cimc.backends.noise.profiles import load_profile
from cimc.backends.noise.sources import Noise
from cimc.driving.arrays import load_arrays
from cimc.driving.calibration import calibration
from cimc.driving.chip_files import load_chip
from cimc.driving.driver import Request, compile_model
from cimc.driving.durations import seconds
from cimc.driving.feeding import Feeding, feeding_text
from cimc.driving.scoring import Scoring, labels_of, program_inputs, samples_of
from cimc.isa import binary
from cimc.isa.binary import program_digest
from cimc.isa.budgets import Budgets, adopt
from cimc.isa.opening import set_root
from cimc.isa.program import Program
from cimc.sweep.grid import NO_NOISE, Build, Subject, Trial
from cimc.targets import load_target

Row = dict[str, Any]


def inherit(granted: Budgets, folder: Path | None) -> None:
    """Grant files of others in this process what the one that started it grants them."""
    adopt(granted)
    set_root(folder)


def compiled(build: Build) -> Program:
    """Return the program of a build. Raises CimcError."""
    subject, path = build.subject, str(build.subject.calib)
    data = calibration(partial(load_arrays, path), path)
    request = Request(load_target(build.target), build.pipeline, data=data, preprocessing=subject.preprocessing)
    return compile_model(subject.file, request).emission.program


def scoring_of(program: Program, subject: Subject, refit: bool) -> Scoring:
    """Return a program with the data it is scored on, and what refit reads if it will be needed. Raises CimcError."""
    path = str(subject.data)
    arrays = load_arrays(path)
    inputs = program_inputs(program, arrays, Feeding(limit=subject.limit), path)
    labels = labels_of(program, arrays, samples_of(inputs), path) if subject.metric == "accuracy" else None
    if not refit:
        return Scoring(program, inputs, labels)
    path = str(subject.calib)
    real = program_inputs(program, load_arrays(path), Feeding(limit=subject.refit_samples), path)
    codes = ports.codes_of(program, real)
    return Scoring(program, inputs, labels, codes)


def drawn_noise(trial: Trial) -> Noise | None:
    """Return the noise of a trial whose chip is drawn at its first time. Raises Refusal."""
    if trial.noise == NO_NOISE:
        return None
    sources = frozenset(filter(None, trial.sources.split(",")))
    return Noise(load_profile(trial.noise), trial.seed, seconds(trial.times[0]), sources)


def measured_noise(chip: str, program: Program, times: tuple[str, ...]) -> Noise:
    """Return the noise of a measured chip with its program at the first time.

    Raises Refusal CIM0534 where the chip is not known at one of the times, and what `load_chip` raises.
    """
    known = load_chip(chip, program)
    for number, time in product(sorted(known.tiles), times):
        passed(known, machine(program.meta), number, seconds(time))
    return Noise.of_chip(known, seconds(times[0]))


def scored(scoring: Scoring, trial: Trial, noise: Noise | None) -> list[float]:
    """Return the score of one chip at each of its times."""
    if noise is None:
        return [scoring.score(None, trial.compensation, threads=1) for _ in trial.times]
    times = [replace(noise, time_s=seconds(time)) for time in trial.times]
    return list(scoring.scores(times, trial.compensation, threads=1))


def rows(trial: Trial, key: str, count: int, scores: list[float]) -> list[Row]:
    """Return the rows of one finished trial, one a time."""
    build = trial.build
    facts = {
        "model": build.subject.name,
        "target": build.target,
        "passes": build.passes,
        "noise": trial.noise,
        "sources": trial.sources,
        "compensation": trial.compensation,
        "seed": trial.seed,
    }
    measured = {"metric": build.subject.metric, "samples": count, "trial": key}
    return [
        {**facts, "time": time, "seconds": seconds(time), **measured, "score": score}
        for time, score in zip(trial.times, scores, strict=True)
    ]


def origins(program: Program) -> Row:
    """Return the hash of a program, and what the data of a sweep are taken for, in words."""
    return {"program": program_digest(program), "feeding": feeding_text(program, Feeding())}


def costs(program: Program) -> Row:
    """Return what one sample takes on the program's target: us, uJ, TOPS/W."""
    found = summary(estimate(program))
    time, energy = found["time_ns"]["value"] / 1e3, found["energy_pj"]["value"] / 1e6
    return {"latency_us": time, "energy_uj": energy, "chip_tops_per_w": found["chip_tops_per_w"]["value"]}


def scoring_digest(scoring: Scoring) -> bytes:
    """Return the hash of everything a scoring holds."""
    digest = hashlib.sha256()
    for part in binary.to_parts(scoring.program):
        digest.update(part)
    for arrays in (scoring.inputs, {"y": scoring.labels}, scoring.calibration or {}):
        for name, array in arrays.items():
            if array is not None:
                digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
                digest.update(array.tobytes())
    return digest.digest()


def trial_key(scoring: bytes, trial: Trial, noise: Noise | None) -> str:
    """Return the name under which the scores of a trial are kept: another one once anything it depends on changes."""
    profile = "" if noise is None else repr(noise.profile)
    chip = () if noise is None or noise.chip is None else (noise.chip.digest,)
    facts = (__version__, profile, *chip, trial.sources, trial.compensation, trial.seed, trial.times)
    return hashlib.sha256(scoring + repr(facts).encode()).hexdigest()[:32]
