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
from cimc.passes.pipeline import with_unset

Outputs = Mapping[str, NDArray[Any]]

FIRST_CHIP = 2000
"""The seed of the first chip that judges: tests draw theirs from 0 on, training from 1000."""
REFIT_SAMPLES = 64


@dataclass(frozen=True)
class Choice:
    """What is chosen: options by pass, factors of ranges by value, bits of inputs and of weights by layer."""

    options: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    reach: Mapping[str, float] = field(default_factory=dict)
    bits: Mapping[str, tuple[int, int]] = field(default_factory=dict)

    def on(self, request: Request) -> Request:
        """Return a request with the choice; options that its text sets by itself stand."""
        pipeline = request.pipeline
        for name, options in self.options.items():
            pipeline = with_unset(pipeline, name, options)
        return replace(request, pipeline=pipeline, layer_bits=self.bits, reach=self.reach)


@dataclass(frozen=True)
class Judge:
    """A graph at stage `graph`, the request for what runs behind it, and chips: `noise` drawn `chips` times, or none.

    Ranges come from the data `given`; outputs are compared on those `held` back.
    """

    graph: Graph
    request: Request
    given: Batch
    held: Batch
    noise: Noise | None = None
    compensation: str = "column"
    chips: int = 4

    def compiled(self, choice: Choice, data: Batch | None = None) -> Compilation:
        """Return the program of a choice, its ranges from `data` (None: those given)."""
        known = self.given if data is None else data
        with quiet():
            return compile_graph(self.graph.copy(), choice.on(replace(self.request, data=lambda intakes: known)))

    def power(self, choice: Choice) -> float:
        """Return the noise of the outputs as a share of their signal: the mean over chips, summed over outputs."""
        program = self.compiled(choice).emission.program
        return float(np.mean([self._power(outputs) for outputs in self._runs(program)]))

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

    def _power(self, outputs: Outputs) -> float:
        return sum(_share(outputs[name].reshape(wanted.shape), wanted) for name, wanted in self.exact.items())


def _share(found: NDArray[Any], wanted: NDArray[Any]) -> float:
    real = wanted.astype(np.float64)
    return float(np.square(found - real).mean() / (real.var() or 1.0))
