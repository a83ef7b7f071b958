"""Accuracy upwards: what is raised, cheapest first, until every output meets a bound on data that are held back.

Ranges see the calibration data that they are measured on, so a trial says little of unseen inputs unless some of the
samples are kept from its ranges. The program that is written is calibrated on all of them, and measured once more.
"""

import math
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from cimc.diagnostics import fail
from cimc.driving.distances import Bound, FloatDistance, distances, shortfalls
from cimc.driving.driver import Compilation, Request, compile_model, compile_to_pass, graph_intakes, run_pipeline
from cimc.driving.scoring import samples_of
from cimc.driving.slicing import Slice, bits_of, slices, worst_adc
from cimc.driving.summary import summarise
from cimc.evaluate import Batch, evaluate, samples_at_once
from cimc.frontend import load
from cimc.ir.graph import Graph
from cimc.isa.errors import CimcWarning
from cimc.passes.calibrate import Calibrate
from cimc.passes.chosen import Chosen
from cimc.passes.layer_bits import FULL
from cimc.passes.magnitudes import has_magnitudes
from cimc.passes.pipeline import behind_pass, up_to_pass, with_unset
from cimc.targets import Target

PARTS = 8
"""Into how many parts slices are cut that are tried to be dropped: each takes a trial."""
CALIBRATE = Calibrate.name
LOSSLESS_DB = 100.0
"""What no output is asked to exceed where only its top-1 is bound."""
SAMPLES = 64
"""Samples that outputs are compared on: every trial takes one run over them."""
HELD_BACK = 4
"""Every fourth sample is kept from the ranges of trials, which are compared on those."""
FEW = 8
"""So few samples are not parted: what is left would say less of ranges than the rest says of unseen data."""


@dataclass(frozen=True)
class Raise:
    """One thing to raise, in words, and the option of a pass that does it; `fits` says which models it changes."""

    text: str
    stem: str
    options: Mapping[str, str]
    fits: Callable[[Graph], bool] = field(default=lambda graph: True, repr=False)

    def on(self, pipeline: str) -> str:
        """Return a pipeline's text with the step, unless the text sets the option itself."""
        return with_unset(pipeline, self.stem, self.options)


ROOM = Raise("codes of 16 bits reach twice as far as the data", "calibrate", {"room": "2.0"})
"""Taken with whatever is raised: its use is on unseen data, where trials on calibration data cannot see it. Only where
the bound is met without it, and not with it, it stays away."""
FREE = (
    Raise("16 bits for all that the digital unit reads", "quantise", {"digital_bits": "16"}),
    Raise("magnitudes by quotients, not squares", "fuse-functions", {"magnitudes": "quotient"}, has_magnitudes),
    Raise("16-bit taps of depthwise layers, which run twice", "im2col", {"tap_bits": "16"}),
)
"""What costs no array time, in the order in which it is tried."""


COSTS = (
    ("array products", "mvms", "a sample"),
    ("array time", "array_us", "us"),
    ("payload", "payload_bytes", "bytes"),
    ("activation memory", "activation_bytes", "bytes"),
)
"""What raising may cost, in words, by its fact, in its unit."""


@dataclass(frozen=True)
class Choice:
    """What is raised: options of passes, and slices of single layers; with `room`, wide codes get some as well."""

    steps: tuple[Raise, ...] = ()
    slices: tuple[Slice, ...] = ()
    room: bool = True

    @property
    def every(self) -> tuple[Raise, ...]:
        """The steps, and room where anything is raised."""
        return (*self.steps, ROOM) if self.room and (self.steps or self.slices) else self.steps

    def on(self, request: Request) -> Request:
        """Return a request with the choice."""
        pipeline = request.pipeline
        for step in self.every:
            pipeline = step.on(pipeline)
        return replace(request, pipeline=pipeline, chosen=Chosen(bits_of(self.slices)))

    def lines(self) -> list[str]:
        """Return what is raised, in words."""
        bits = list(bits_of(self.slices).values())
        inputs = Counter(one for one, _ in bits if one > FULL)
        weights = sum(one > FULL for _, one in bits)
        sliced = [f"inputs of {count} layers in two slices, {width} bits" for width, count in sorted(inputs.items())]
        return [
            *(step.text for step in self.every),
            *sliced,
            *([f"weights of {weights} layers in two matrices"] if weights else []),
        ]


@dataclass(frozen=True)
class Trial:
    """What a choice gives on samples: those held back from its ranges, or where there are few on those it has seen."""

    choice: Choice
    distances: tuple[FloatDistance, ...]

    @property
    def least(self) -> float:
        """The smallest signal to quantisation noise of all outputs, in dB."""
        return min((one.decibels for one in self.distances), default=float("inf"))

    def meets(self, bound: Bound) -> bool:
        return not list(shortfalls(self.distances, bound))

    def merit(self, bound: Bound) -> float:
        """Return the dB of all outputs together, none for more than is asked: one output hides no other's gain."""
        enough = LOSSLESS_DB if bound.decibels is None else bound.decibels
        return sum(min(one.decibels, enough) for one in self.distances)

    def facts(self) -> dict[str, Any]:
        """Return the quality of all outputs."""
        return {one.output: {"sqnr_db": _finite(one.decibels), "same_top_1": one.same_top_1} for one in self.distances}


@dataclass(frozen=True)
class Raised:
    """What a search has found: the program, what nothing raised gives and costs, and what the program does.

    `whole` is what the program itself does on calibration data, all of which its ranges have seen; `held_back` are the
    samples that those of trials have not, 0 where there were too few to part. Where the bound is missed, `refused` has
    every slice there is, and `adc` the layer that its ADC costs most, with the dB that it leaves.
    """

    compilation: Compilation
    before: Trial
    after: Trial
    whole: Trial
    held_back: int
    costs_before: Mapping[str, Any]
    costs_after: Mapping[str, Any]
    refused: Trial | None = None
    adc: tuple[str, float] | None = None

    def missed(self, bound: Bound) -> list[str]:
        """Return a sentence for each output that misses a bound: on samples held back, or else on calibration data."""
        return list(shortfalls(self.after.distances, bound)) or list(shortfalls(self.whole.distances, bound))

    def facts(self) -> dict[str, Any]:
        """Return what was raised, and quality and costs before and after it."""
        return {
            "raised": self.after.choice.lines(),
            "layers": {label: list(bits) for label, bits in bits_of(self.after.choice.slices).items()},
            "before": {"outputs": self.before.facts(), **self.costs_before},
            "after": {"outputs": self.after.facts(), **self.costs_after},
            "held_back": self.held_back,
            "whole": {"outputs": self.whole.facts()},
            **({"slices_refused": self.refused.facts()} if self.refused else {}),
            **({"adc": {"layer": self.adc[0], "leaves_db": round(self.adc[1], 2)}} if self.adc else {}),
        }

    def lines(self) -> list[str]:
        """Return the same for people."""
        before, after, lines = self.costs_before, self.costs_after, self.after.choice.lines()
        quality = _change(_decibels(self.before), _decibels(self.after))
        held = f"{self.held_back} samples held back" if self.held_back else "calibration data, too few to hold any back"
        return [
            f"least quality            {quality} dB on {held}",
            f"  of the whole program   {_decibels(self.whole)} dB on calibration data",
            *(f"raised                   {line}" for line in lines),
            *(f"{name:24} {_change(before[key], after[key])} {unit}" for name, key, unit in COSTS if lines),
            *(
                [f"not raised               slices: all there are give {_decibels(self.refused)} dB"]
                if self.refused
                else []
            ),
            *([f"what its ADC leaves      {self.adc[1]:.1f} dB of layer {self.adc[0]!r}, alone"] if self.adc else []),
        ]


def raised(path: Path, request: Request, bound: Bound) -> Raised:
    """Compile a model with what it takes to meet a bound on calibration data that are held back from ranges.

    Every trial is measured on the whole program behind it. Steps that cost no array time come first, with room and then
    without, then as many slices as it takes, those that remove most noise for their array time first. Where all slices
    miss the bound none is taken: the best program that costs no array time stays. Where the bound is met, each part is
    dropped again that it is met without. Raises CimcError.
    """
    trials = _Trials.of(path, request)
    before = trials.run(Choice())
    after, refused = _free(trials, before, bound), None
    if not after.meets(bound):
        bare = _free(trials, replace(before, choice=Choice(room=False)), bound)
        after = bare if bare.meets(bound) else after
    if not after.meets(bound):
        after, refused = _sliced(trials, after, bound)
    if after.meets(bound):
        after = _dropped(trials, after, bound)
    return trials.finished(before, after, refused, None if after.meets(bound) else trials.worst_adc(after.choice))


def _free(trials: "_Trials", found: Trial, bound: Bound) -> Trial:
    """Return a trial that meets the bound without array time, or else the one with the most dB."""
    for step in FREE:
        if not found.meets(bound) and step.fits(trials.imported):
            tried = trials.run(replace(found.choice, steps=(*found.choice.steps, step)))
            better = tried.meets(bound) or tried.merit(bound) > found.merit(bound)
            found = tried if better else found
    return found


def _sliced(trials: "_Trials", free: Trial, bound: Bound) -> tuple[Trial, Trial | None]:
    """Return the fewest slices, in the order of their worth, that meet the bound; none where all miss it, and those."""
    order = tuple(trials.slices(free.choice))
    best = trials.run(replace(free.choice, slices=order)) if order else free
    if not best.meets(bound):
        return free, best if order else None
    fewest, enough = 0, len(order)
    while enough - fewest > 1:
        middle = (fewest + enough) // 2
        tried = trials.run(replace(free.choice, slices=order[:middle]))
        if tried.meets(bound):
            best, enough = tried, middle
        else:
            fewest = middle
    return best, None


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
    """Compiles a model with some of it raised and holds it against the imported float graph.

    `given` compiles on `all` the data, `parted` on those that are not held back; `held` and `real` are what a trial is
    compared on. `calibrated` has the graphs behind calibrate, by the pipeline up to there: trials differ behind it.
    """

    path: Path
    given: Request
    parted: Request
    all: Batch
    held: Batch
    imported: Graph
    calibrated: dict[str, Graph] = field(default_factory=dict)

    @staticmethod
    def of(path: Path, request: Request) -> "_Trials":
        if request.data is None:
            message = "what is raised is measured on calibration data, and there are none"
            raise fail("CIM0003", message, hint="add --calib DATA.npz (calibration= in Python), or leave out the bound")
        graph = load(path, request.stated)
        data = request.data(graph_intakes(graph, request.preprocessing))
        seen, held = _parted(data)
        given = replace(request, data=lambda intakes: data)
        parted = replace(request, data=lambda intakes: seen, observer=None)
        return _Trials(path, given, parted, data, held, graph)

    @cached_property
    def real(self) -> Mapping[str, Any]:
        """What the model gives on the samples that trials are compared on."""
        return _outputs(self.imported, self.held)

    def run(self, choice: Choice) -> Trial:
        """Compile as far as there are integers, and measure."""
        graph = self._behind("conductance", choice)
        return Trial(choice, tuple(distances(_outputs(graph, self.held), self.real)))

    def slices(self, choice: Choice) -> list[Slice]:
        """Return what is worth slicing where a choice is taken."""
        return slices(self._behind("column-ranges", choice), self.held, self.given.target)

    def worst_adc(self, choice: Choice) -> tuple[str, float] | None:
        """Return the layer that its ADC costs most where a choice is taken, and the dB it leaves."""
        return worst_adc(self._behind("column-ranges", choice), self.held, self.given.target)

    def finished(self, before: Trial, after: Trial, refused: Trial | None, adc: tuple[str, float] | None) -> Raised:
        """Return the program of a choice, with what it costs and what nothing raised does."""
        target, compilation = self.given.target, compile_model(self.path, after.choice.on(self.given))
        real, exact = (_outputs(graph, self.all) for graph in (self.imported, compilation.graph))
        whole = Trial(after.choice, tuple(distances(exact, real)))
        costs = costs_before = _costs(compilation, target)
        if after is not before:
            with quiet():
                costs_before = _costs(compile_model(self.path, replace(self.given, observer=None)), target)
        held_back = 0 if self.held is self.all else samples_of(self.held)
        return Raised(compilation, before, after, whole, held_back, costs_before, costs, refused, adc)

    def _behind(self, name: str, choice: Choice) -> Graph:
        request = choice.on(self.parted)
        rest = behind_pass(up_to_pass(request.pipeline, name), CALIBRATE)
        with quiet():
            return run_pipeline(self._calibrated(request).copy(), replace(request, pipeline=rest))

    def _calibrated(self, request: Request) -> Graph:
        text = up_to_pass(request.pipeline, CALIBRATE)
        if text not in self.calibrated:
            self.calibrated[text] = compile_to_pass(self.path, request, CALIBRATE)
        return self.calibrated[text]


def _parted(data: Batch) -> tuple[Batch, Batch]:
    """Return the samples that ranges of trials see, and those held back; of a few samples all, twice."""
    count = min(map(len, data.values()), default=0)
    if count <= FEW:
        return data, data
    held = np.arange(count) % HELD_BACK == HELD_BACK - 1
    seen, kept = ({name: array[:count][mask] for name, array in data.items()} for mask in (~held, held))
    return seen, kept


@contextmanager
def quiet() -> Iterator[None]:
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


def _change(before: Any, after: Any) -> str:
    return f"{after}" if before == after else f"{after}, {before} before"


def _decibels(trial: Trial) -> str:
    return f"{trial.least:.1f}"


def _finite(decibels: float) -> float | None:
    return round(decibels, 2) if decibels != float("inf") else None
