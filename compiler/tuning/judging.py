"""What judges a choice: it is compiled, and chips of the interpreter run it on calibration data kept back."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cimc.backends.machine import ports
from cimc.backends.noise.sources import Noise
from cimc.driving.driver import Compilation, Request, compile_graph
from cimc.driving.raising import quiet
from cimc.driving.scoring import Scoring, chunks, real_outputs
from cimc.evaluate import Batch, evaluate, samples_at_once
from cimc.ir.graph import Graph
from cimc.isa.program import Program
from cimc.passes.chosen import Chosen
from cimc.passes.pipeline import with_unset

Outputs = Mapping[str, NDArray[Any]]

FIRST_CHIP = 2000
"""The seed of the first chip that judges: tests draw theirs from 0 on, training from 1000."""
REFIT_SAMPLES = 64


@dataclass(frozen=True)
class Choice:
    """Options by pass, and what is chosen beside them: factors of ranges by value, bits by layer."""

    options: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    beside: Chosen = field(default_factory=Chosen)

    def on(self, request: Request) -> Request:
        """Return a request with the choice; options that its text sets by itself stand."""
        pipeline = request.pipeline
        for name, options in self.options.items():
            pipeline = with_unset(pipeline, name, options)
        return replace(request, pipeline=pipeline, chosen=self.beside)

    def reaching(self, label: str, factor: float) -> "Choice":
        """Return the choice with the range of one more value changed by a factor."""
        return replace(self, beside=replace(self.beside, reach={**self.beside.reach, label: factor}))


@dataclass(frozen=True)
class Judge:
    """A graph at stage `graph`, the request for what runs behind it, and chips: `noise` drawn `chips` times, or none.

    Ranges come from the data `given`; outputs are compared on those `held` back. With `classes`, those wanted of the
    samples held back, it is the samples of another class that count, and of equally many the noise.
    """

    graph: Graph
    request: Request
    given: Batch
    held: Batch
    noise: Noise | None = None
    compensation: str = "column"
    chips: int = 4
    classes: NDArray[np.integer] | None = None

    def compiled(self, choice: Choice, data: Batch | None = None) -> Compilation:
        """Return the program of a choice, its ranges from `data` (None: those given)."""
        known = self.given if data is None else data
        with quiet():
            return compile_graph(self.graph.copy(), choice.on(replace(self.request, data=lambda intakes: known)))

    def loss(self, choice: Choice) -> float:
        """Return what a choice loses, the mean over chips.

        That is the noise of the outputs as a share of their signal, summed over outputs; with `classes` the share of
        samples that have another one, and a part of one sample for the noise, 0 to 1 as it grows without end.
        """
        program = self.compiled(choice).emission.program
        runs = list(self._runs(program))
        noise = float(np.mean([self._noise(outputs) for outputs in runs]))
        if self.classes is None:
            return noise
        wrong = sum(int((classes_of(outputs) != self.classes).sum()) for outputs in runs)
        return (wrong + noise / (1.0 + noise)) / self._judged

    def told(self, loss: float) -> str:
        """Return a loss as it is told: dB of signal over noise, or the percentage of samples of the wanted class."""
        if self.classes is None:
            return f"{decibels(loss):.2f}"
        return f"{100.0 * (1.0 - int(loss * self._judged + 1e-6) / self._judged):.1f}"

    @property
    def measure(self) -> str:
        """What `told` tells."""
        return "dB on data kept back" if self.classes is None else "% right on data kept back"

    @property
    def _judged(self) -> int:
        """How many samples are judged, those of all chips."""
        assert self.classes is not None
        return len(self.classes) * (1 if self.noise is None else self.chips)

    @cached_property
    def exact(self) -> Outputs:
        """What the float model gives for the data kept back."""
        graph = self.graph.copy()
        return evaluate(graph, self.held, batch=samples_at_once(graph))

    def _runs(self, program: Program) -> Iterator[Outputs]:
        if self.noise is None:
            yield real_outputs(program, chunks(program, self.held, None, 1))
            return
        codes = ports.codes_of(program, {name: array[:REFIT_SAMPLES] for name, array in self.given.items()})
        scoring = Scoring(program, self.held, calibration=codes)
        for noise in self._chips(self.noise):
            found, planned = scoring.on_chip(noise, self.compensation)
            yield real_outputs(found, chunks(found, self.held, noise, 1, planned=planned))

    def _chips(self, noise: Noise) -> Sequence[Noise]:
        return [replace(noise, seed=FIRST_CHIP + number) for number in range(self.chips)]

    def _noise(self, outputs: Outputs) -> float:
        return sum(_share(outputs[name].reshape(wanted.shape), wanted) for name, wanted in self.exact.items())


def classes_of(outputs: Outputs) -> NDArray[np.integer]:
    """Return the place of the largest value of the first output, of each sample."""
    first = next(iter(outputs.values()))
    return np.asarray(first.reshape(len(first), -1).argmax(axis=1))


def decibels(power: float) -> float:
    """Return the signal over noise of a share of noise, in dB."""
    return float(-10.0 * np.log10(max(power, 1e-30)))


def _share(found: NDArray[Any], wanted: NDArray[Any]) -> float:
    real = wanted.astype(np.float64)
    return float(np.square(found - real).mean() / (real.var() or 1.0))
