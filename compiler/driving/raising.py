"""Accuracy upwards: what is raised, cheapest first, until every output meets a bound on the calibration data."""

import math
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cimc.diagnostics import fail
from cimc.driving.distances import Bound, FloatDistance, distances, shortfalls
from cimc.driving.driver import Compilation, Request, compile_model, compile_to_pass, graph_intakes
from cimc.driving.slicing import Slice, bits_of, slices
from cimc.driving.summary import summarise
from cimc.evaluate import Batch, evaluate, samples_at_once
from cimc.frontend import load
from cimc.ir.graph import Graph
from cimc.isa.errors import CimcWarning
from cimc.passes.mixed_precision import FULL
from cimc.passes.pipeline import with_unset
from cimc.targets import Target

PARTS = 8
"""Into how many parts slices are cut that are tried to be dropped: each takes a trial."""
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
    Step("16-bit taps of depthwise layers, which run twice", "im2col", {"tap_bits": "16"}),
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
class Choice:
    """What is raised: options of passes, and slices of single layers."""

    steps: tuple[Step, ...] = ()
    slices: tuple[Slice, ...] = ()

    def on(self, request: Request) -> Request:
        """Return a request with the choice."""
        pipeline = request.pipeline
        for step in self.steps:
            pipeline = step.on(pipeline)
        return replace(request, pipeline=pipeline, raised=bits_of(self.slices))

    def lines(self) -> list[str]:
        """Return what is raised, in words."""
        bits = list(bits_of(self.slices).values())
        inputs = Counter(one for one, _ in bits if one > FULL)
        weights = sum(one > FULL for _, one in bits)
        sliced = [f"inputs of {count} layers in two slices, {width} bits" for width, count in sorted(inputs.items())]
        return [
            *(step.text for step in self.steps),
            *sliced,
            *([f"weights of {weights} layers in two matrices"] if weights else []),
        ]


@dataclass(frozen=True)
class Trial:
    """What a choice gives on the calibration data."""

    choice: Choice
    distances: tuple[FloatDistance, ...]

    @property
    def least(self) -> float:
        """The smallest signal to quantisation noise of all outputs, in dB."""
        return min((one.decibels for one in self.distances), default=float("inf"))

    def meets(self, bound: Bound) -> bool:
        return not list(shortfalls(self.distances, bound))

    def facts(self) -> dict[str, Any]:
        """Return the quality of all outputs."""
        return {one.output: {"sqnr_db": _finite(one.decibels), "same_top_1": one.same_top_1} for one in self.distances}


@dataclass(frozen=True)
class Raised:
    """What a search has found: the program, what nothing raised gives and costs, and what the program does."""

    compilation: Compilation
    before: Trial
    after: Trial
    costs_before: Mapping[str, Any]
    costs_after: Mapping[str, Any]

    def facts(self) -> dict[str, Any]:
        """Return what was raised, and quality and costs before and after it."""
        return {
            "raised": self.after.choice.lines(),
            "layers": {label: list(bits) for label, bits in bits_of(self.after.choice.slices).items()},
            "before": {"outputs": self.before.facts(), **self.costs_before},
            "after": {"outputs": self.after.facts(), **self.costs_after},
        }

    def lines(self) -> list[str]:
        """Return the same for people."""
        before, after, lines = self.costs_before, self.costs_after, self.after.choice.lines()
        return [
            f"least quality            {_change(_decibels(self.before), _decibels(self.after))} dB on calibration data",
            *(f"raised                   {line}" for line in lines),
            *(f"{name:24} {_change(before[key], after[key])} {unit}" for name, key, unit in COSTS if lines),
        ]


def raised(path: Path, request: Request, bound: Bound) -> Raised:
    """Compile a model with what it takes to meet a bound on the first 64 samples of the calibration data.

    Every trial is measured on the whole program behind it. Steps that cost no array time come first, then as many
    slices as it takes, those that remove most noise for their array time first. Where nothing reaches the bound the
    best program stays; where something does, each part of it is dropped again if the bound holds without. Raises
    CimcError.
    """
    trials = _Trials.of(path, request)
    before = after = trials.run(Choice())
    for step in FREE:
        if not after.meets(bound):
            after = max(after, trials.run(replace(after.choice, steps=(*after.choice.steps, step))), key=_least)
    if not after.meets(bound):
        after = _sliced(trials, after, bound)
    if after.meets(bound):
        after = _dropped(trials, after, bound)
    return trials.finished(before, after)


def _sliced(trials: "_Trials", free: Trial, bound: Bound) -> Trial:
    """Return the fewest slices, in the order of their worth, that meet the bound; the best where none do."""
    order = tuple(trials.slices(free.choice))
    best = max(free, trials.run(replace(free.choice, slices=order)), key=_least) if order else free
    fewest, enough = 0, len(order) if best.meets(bound) else 0
    while enough - fewest > 1:
        middle = (fewest + enough) // 2
        tried = trials.run(replace(free.choice, slices=order[:middle]))
        if tried.meets(bound):
            best, enough = tried, middle
        else:
            fewest = middle
    return best


def _dropped(trials: "_Trials", found: Trial, bound: Bound) -> Trial:
    """Return a trial without what it does not need: parts of the slices, the dearest first, then single steps."""
    slices = found.choice.slices
    size = max(math.ceil(len(slices) / PARTS), 1)
    for part in (slices[start : start + size] for start in range(0, len(slices), size)):
        kept = tuple(one for one in found.choice.slices if one not in part)
        found = _if_met(trials, replace(found.choice, slices=kept), found, bound)
    for step in found.choice.steps if len(found.choice.steps) > 1 or slices else ():
        kept_steps = tuple(other for other in found.choice.steps if other is not step)
        found = _if_met(trials, replace(found.choice, steps=kept_steps), found, bound)
    return found


def _if_met(trials: "_Trials", choice: Choice, found: Trial, bound: Bound) -> Trial:
    tried = trials.run(choice)
    return tried if tried.meets(bound) else found


@dataclass(frozen=True)
class _Trials:
    """Compiles a model with some of it raised and holds it against the imported float graph."""

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

    def run(self, choice: Choice) -> Trial:
        """Compile as far as there are integers, and measure."""
        graph = self._behind("conductance", choice)
        return Trial(choice, tuple(distances(_outputs(graph, self.data), self.real)))

    def slices(self, choice: Choice) -> list[Slice]:
        """Return what is worth slicing where a choice is taken."""
        return slices(self._behind("column-ranges", choice), self.data, self.given.target)

    def finished(self, before: Trial, after: Trial) -> Raised:
        """Return the program of a choice, with what it costs and what nothing raised does."""
        target, compilation = self.given.target, compile_model(self.path, after.choice.on(self.given))
        costs = costs_before = _costs(compilation, target)
        if after is not before:
            with _quiet():
                costs_before = _costs(compile_model(self.path, replace(self.given, observer=None)), target)
        return Raised(compilation, before, after, costs_before, costs)

    def _behind(self, name: str, choice: Choice) -> Graph:
        with _quiet():
            return compile_to_pass(self.path, choice.on(replace(self.given, observer=None)), name)


@contextmanager
def _quiet() -> Iterator[None]:
    """Leave warnings to the program that is kept."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CimcWarning)
        yield


def _outputs(graph: Graph, data: Batch) -> Mapping[str, Any]:
    few = {name: array[:SAMPLES] for name, array in data.items()}
    return evaluate(graph, few, batch=samples_at_once(graph))


def _costs(compilation: Compilation, target: Target) -> Mapping[str, Any]:
    summary = summarise(compilation, target)
    return {key: summary[key] for _, key, _ in COSTS}


def _least(trial: Trial) -> float:
    return trial.least


def _change(before: Any, after: Any) -> str:
    return f"{after}" if before == after else f"{after}, {before} before"


def _decibels(trial: Trial) -> str:
    return f"{trial.least:.1f}"


def _finite(decibels: float) -> float | None:
    return round(decibels, 2) if decibels != float("inf") else None
