"""The Python interface: what the command line does, with arrays in and arrays out. docs/python.md describes it."""

import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cimc.backends.interpreter import BEST
from cimc.backends.machine import ports
from cimc.backends.noise.sources import Noise
from cimc.backends.silicon.bands import layer_codes
from cimc.backends.silicon.compensation_mode import MODES
from cimc.diagnostics import fail
from cimc.driving.aiming import aimed_at
from cimc.driving.calibration import calibration as calibrated
from cimc.driving.distances import Bound
from cimc.driving.driver import Request, warn_without_data
from cimc.driving.driver import compile_model as compiled
from cimc.driving.feeding import EVERY, RAW, Feeding
from cimc.driving.scoring import (
    Arrays,
    Scoring,
    chunks,
    compensated_for,
    labels_of,
    program_inputs,
    real_outputs,
    samples_of,
)
from cimc.frontend import Specialisation
from cimc.isa.errors import CimcWarning
from cimc.isa.names import did_you_mean
from cimc.isa.preprocessing import Preprocessing
from cimc.isa.program import Program
from cimc.passes.pipeline import DEFAULT
from cimc.passes.ranges import Ranges
from cimc.targets import DEFAULT_TARGET, Target, load_target

if TYPE_CHECKING:
    from onnx import ModelProto

    from cimc.proof.verdict import Proof

    Model = str | os.PathLike[str] | bytes | ModelProto

__all__ = ["compile_model", "evaluate_accuracy", "run", "verify"]

Inputs = ArrayLike | Mapping[str, ArrayLike]


def compile_model(
    model: "Model",
    *,
    target: str | Target = DEFAULT_TARGET,
    calibration: Inputs | None = None,
    ranges: Mapping[str, Any] | None = None,
    pipeline: str = DEFAULT,
    tiles: int | str | None = None,
    unbatched: bool = False,
    shapes: Mapping[str, tuple[int, ...]] | None = None,
    constants: Mapping[str, float] | None = None,
    preprocessing: Preprocessing | Mapping[str, Preprocessing] | None = None,
    noise: Noise | None = None,
    min_sqnr: float | None = None,
    min_top1: float | None = None,
) -> Program:
    """Return the program of an ONNX model: a path, the bytes of a file, or a ModelProto.

    `calibration` is an array [N, *shape of a sample], or one for each input by name; `ranges` are those that another
    program carries (`program.meta["ranges"]`) instead. Without both, ranges come from made-up data, and a CimcWarning
    says so. `preprocessing` makes what the model takes of calibration and of all data to come, one for all inputs of
    real numbers or one by name: the program keeps it. `tiles` is a number in place of the target's own, or "auto".
    `shapes` states sizes, batch included, that the model leaves open; `constants` what some inputs always are. With
    `noise` the range of the ADCs is chosen for its devices at its time. Precision is raised until every output has
    `min_sqnr` dB, and the float model's top-1 on `min_top1` percent of the calibration samples; a CimcWarning says
    where the program misses that. Raises CimcError.
    """
    if calibration is not None and ranges is not None:
        raise fail("CIM0003", "calibration and ranges both give ranges", hint="use one of them")

    chip = _target(target, tiles)
    pipeline = pipeline if noise is None else aimed_at(pipeline, chip, noise)
    request = Request(
        target=chip,
        pipeline=pipeline,
        ranges=None if ranges is None else Ranges.from_json(ranges),
        data=None if calibration is None else calibrated(partial(_named, calibration), "calibration"),
        stated=Specialisation(unbatched, dict(shapes or {}), dict(constants or {})),
        preprocessing=_stated(preprocessing),
    )
    with _file_of(model) as path:
        program = _within(path, request, Bound(min_sqnr, min_top1))
    warn_without_data(request, pipeline)
    return program


def run(
    program: Program,
    inputs: Inputs,
    *,
    noise: Noise | None = None,
    compensation: str = "column",
    calibration: Inputs | None = None,
    threads: int | None = None,
    executor: str = BEST,
    feed: str = RAW,
    layers: Sequence[str] = (),
) -> dict[str, NDArray[Any]]:
    """Return the outputs [N, *shape of a sample] by name, real values, and the codes of some layers by theirs.

    `inputs` is an array [N, *shape of a sample], or one for each input by name; `feed` says what it holds: "raw" data,
    preprocessed where the program says how, what the float "model" takes, or the "codes" of the ports. With `noise` the
    chip is disturbed; `compensation` is "none", "block", "column" or "refit", which fits the noisy chip on
    `calibration`, inputs without labels. `threads` is all cores where nothing is said. `layers` are names of layers on
    the crossbar, of which all codes [N, vectors, columns] are given. Raises CimcError.
    """
    real = program_inputs(program, _named(inputs), Feeding(kind=feed), "inputs")
    codes = _calibration(program, noise, compensation, calibration, feed)
    chip = compensated_for(program, noise, compensation, codes)
    outputs = real_outputs(chip, chunks(chip, real, noise, threads, executor))
    return {**outputs, **(_layers(chip, layers, real, noise) if layers else {})}


def _layers(program: Program, names: Sequence[str], real: "Arrays", noise: Noise | None) -> Mapping[str, NDArray[Any]]:
    """Return the codes of layers on the crossbar by name. Raises CimcError CIM0003 where there is none of a name."""
    found = layer_codes(program, ports.codes_of(program, real), noise)
    for name in names:
        if name not in found:
            known = f"on the crossbar are {', '.join(found)}"
            raise fail("CIM0003", f"there is no layer {name!r} on the crossbar", hint=did_you_mean(name, found, known))
    return {name: found[name] for name in names}


def evaluate_accuracy(
    program: Program,
    inputs: Inputs,
    labels: ArrayLike,
    *,
    noise: Noise | None = None,
    compensation: str = "column",
    calibration: Inputs | None = None,
    threads: int | None = None,
    executor: str = BEST,
    feed: str = RAW,
) -> float:
    """Return the share, 0 to 1, of samples whose largest first output is their label [N]. Otherwise as `run`."""
    real = program_inputs(program, _named(inputs), Feeding(kind=feed), "inputs")
    count = samples_of(real)
    classes = labels_of(program, {"y": np.asarray(labels)}, count, "labels")
    codes = _calibration(program, noise, compensation, calibration, feed)
    return Scoring(program, real, classes, codes, executor).score(noise, compensation, threads)


def verify(
    model: str | os.PathLike[str],
    program: Program,
    inputs: Inputs,
    *,
    reference_samples: int | None = None,
    feed: str = RAW,
) -> "Proof":
    """Return whether a program is what the model compiles to, and every tensor equal in every executor on these inputs.

    The literal reference gets `reference_samples` of them, as many as about ten seconds allow where nothing is said.
    Raises CimcError where the question cannot be put.
    """
    from cimc.proof.verdict import proved  # onnxruntime

    real = program_inputs(program, _named(inputs), Feeding(kind=feed), "inputs")
    return proved(os.fspath(model), program, real, reference_samples)


def _within(path: Path, request: Request, bound: Bound) -> Program:
    """Return a model's program, raised as far as a bound takes; outputs that miss it are warned of."""
    if not bound.asks:
        return compiled(path, request).emission.program
    from cimc.driving.raising import raised

    found = raised(path, request, bound)
    for missed in found.missed(bound):
        warnings.warn(CimcWarning(missed), stacklevel=3)
    return found.compilation.emission.program


def _named(inputs: Inputs | None) -> dict[str, NDArray[Any]]:
    """Return arrays by name; a single one is called x, which stands for a model's only input."""
    if isinstance(inputs, Mapping):
        return {name: np.asarray(array) for name, array in inputs.items()}
    return {"x": np.asarray(inputs)}


def _stated(preprocessing: Preprocessing | Mapping[str, Preprocessing] | None) -> dict[str, Mapping[str, Any]]:
    """Return preprocessing by input, or for all of them, as it is stated elsewhere."""
    steps = preprocessing if isinstance(preprocessing, Mapping) else {EVERY: preprocessing}
    given = {name: one for name, one in steps.items() if one is not None}
    return {name: {**vars(one), "mean": tuple(one.mean), "std": tuple(one.std)} for name, one in given.items()}


def _target(target: str | Target, tiles: int | str | None) -> Target:
    found = load_target(target) if isinstance(target, str) else target
    if tiles is None:
        return found
    if isinstance(tiles, str) and tiles != "auto":
        raise fail("CIM0003", f"tiles={tiles!r} is no number of tiles", hint='give a number, or "auto"')
    return found.with_tiles(None if tiles == "auto" else int(tiles))


def _calibration(
    program: Program, noise: Noise | None, compensation: str, calibration: Inputs | None, feed: str
) -> "Arrays | None":
    """Return the input codes that a refit reads, None for the other compensations. Raises CimcError CIM0003."""
    if compensation in MODES:
        return None
    if compensation != "refit":
        known = ", ".join((*MODES, "refit"))
        raise fail("CIM0003", f"there is no compensation {compensation!r}", hint=f"known: {known}")
    if noise is None or calibration is None:
        missing = "noise" if noise is None else "calibration"
        raise fail("CIM0003", "compensation 'refit' fits a noisy chip on inputs", hint=f"give {missing}= as well")
    real = program_inputs(program, _named(calibration), Feeding(kind=feed), "calibration")
    return ports.codes_of(program, real)


@contextmanager
def _file_of(model: "Model") -> Iterator[Path]:
    """Give the path of a model: its own, or that of a file written for it."""
    if isinstance(model, (str, os.PathLike)):
        yield Path(model)
        return
    content = model if isinstance(model, bytes) else model.SerializeToString()
    with TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        path.write_bytes(content)
        yield path
