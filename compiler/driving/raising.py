"""Accuracy upwards: what is raised, cheapest first, until every output meets a bound on the calibration data."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cimc.diagnostics import fail
from cimc.driving.distances import Bound, FloatDistance, distances, shortfalls
from cimc.driving.driver import Compilation, Request, compile_model, graph_intakes
from cimc.driving.summary import summarise
from cimc.evaluate import Batch, Evaluator, samples_at_once
from cimc.frontend import load
from cimc.ir.graph import Graph
from cimc.isa.errors import CimcWarning
from cimc.passes.pipeline import with_unset
from cimc.targets import Target

SAMPLES = 64
"""Samples that outputs are compared on: every trial takes one run over them."""


@dataclass(frozen=True)
class Step:
    """One thing to raise, in words, and the option of a pass that does it."""

    text: str
    stem: str
    options: Mapping[str, str]

    def on(self, pipeline: str) -> str:
        """Return a pipeline's text with the step, unless the text sets the option itself."""
        return with_unset(pipeline, self.stem, self.options)


FREE = (
    Step("16 bits for all that the digital unit reads", "quantise", {"digital_bits": "16"}),
    Step("codes of 16 bits reach twice as far as the data", "calibrate", {"room": "2.0"}),
)
"""What costs no array time: bits first, for wide codes are what room can be given to."""


COSTS = (
    ("array products", "mvms", "a sample"),
    ("array time", "array_us", "us"),
    ("payload", "payload_bytes", "bytes"),
    ("activation memory", "activation_bytes", "bytes"),
)
"""What raising may cost, in words, by its fact, in its unit."""


@dataclass(frozen=True)
class Trial:
    """What a program with some steps taken gives on the calibration data."""

    steps: tuple[Step, ...]
    target: Target
    compilation: Compilation
    distances: tuple[FloatDistance, ...]

    @property
    def least(self) -> float:
        """The smallest signal to quantisation noise of all outputs, in dB."""
        return min((one.decibels for one in self.distances), default=float("inf"))

    def meets(self, bound: Bound) -> bool:
        return not list(shortfalls(self.distances, bound))

    def facts(self) -> dict[str, Any]:
        """Return the quality of all outputs and what one sample costs."""
        outputs = {
            one.output: {"sqnr_db": _finite(one.decibels), "same_top_1": one.same_top_1} for one in self.distances
        }
        summary = summarise(self.compilation, self.target)
        return {"outputs": outputs, **{key: summary[key] for _, key, _ in COSTS}}


@dataclass(frozen=True)
class Raised:
    """What a search has found: the request to compile, what nothing raised gives, and what the request gives."""

    request: Request
    before: Trial
    after: Trial

    def facts(self) -> dict[str, Any]:
        """Return what was raised, and quality and costs before and after it."""
        steps = [step.text for step in self.after.steps]
        return {"steps": steps, "before": self.before.facts(), "after": self.after.facts()}

    def lines(self) -> list[str]:
        """Return the same for people."""
        before, after = self.before.facts(), self.after.facts()
        return [
            f"least quality            {_change(_decibels(self.before), _decibels(self.after))} dB on calibration data",
            *(f"raised                   {step.text}" for step in self.after.steps),
            *(f"{name:24} {_change(before[key], after[key])} {unit}" for name, key, unit in COSTS if self.after.steps),
        ]


def raised(path: Path, request: Request, bound: Bound) -> Raised:
    """Return what to raise so that the outputs meet the bound on the first 64 samples of the calibration data.

    Each step is measured on the whole program behind it. Where none reaches the bound the best one stays; where one
    does, each step before it is dropped again if the bound holds without it. Raises CimcError.
    """
    trials = _Trials.of(path, request)
    before = after = trials.run(())
    for step in FREE:
        if after.meets(bound):
            break
        after = max(after, trials.run((*after.steps, step)), key=lambda one: one.least)
    for step in after.steps[:-1]:
        fewer = trials.run(tuple(other for other in after.steps if other is not step))
        after = fewer if fewer.meets(bound) else after
    return Raised(trials.request(after.steps), before, after)


@dataclass(frozen=True)
class _Trials:
    """Compiles a model with some steps taken and holds it against the imported float graph."""

    path: Path
    given: Request
    data: Batch
    real: Mapping[str, Any]

    @staticmethod
    def of(path: Path, request: Request) -> "_Trials":
        if request.data is None:
            message = "what is raised is measured on calibration data, and there are none"
            raise fail("CIM0003", message, hint="add --calib DATA.npz, or leave out --min-sqnr and --min-top1")
        graph = load(path, request.unbatched, request.shapes)
        data = request.data(graph_intakes(graph, request.preprocessing))
        return _Trials(path, replace(request, data=lambda intakes: data), data, _outputs(graph, data))

    def request(self, steps: Sequence[Step]) -> Request:
        pipeline = self.given.pipeline
        for step in steps:
            pipeline = step.on(pipeline)
        return replace(self.given, pipeline=pipeline)

    def run(self, steps: tuple[Step, ...]) -> Trial:
        """Compile and measure; warnings are left to the program that is kept."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", CimcWarning)
            compilation = compile_model(self.path, replace(self.request(steps), observer=None))
        found = distances(_outputs(compilation.graph, self.data), self.real)
        return Trial(steps, self.given.target, compilation, tuple(found))


def _outputs(graph: Graph, data: Batch) -> Mapping[str, Any]:
    few = {name: array[:SAMPLES] for name, array in data.items()}
    return Evaluator(graph, batch=samples_at_once(graph)).run(few)


def _change(before: Any, after: Any) -> str:
    return f"{after}" if before == after else f"{after}, {before} before"


def _decibels(trial: Trial) -> str:
    return f"{trial.least:.1f}"


def _finite(decibels: float) -> float | None:
    return round(decibels, 2) if decibels != float("inf") else None
