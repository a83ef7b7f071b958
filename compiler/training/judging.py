"""Which weights are written: candidates are compiled, and chips of the interpreter judge them on data kept back.

The measure is how far a chip's outputs lie from the teacher's: for classes the mean divergence of their shares (few
samples tell more by it than by how many classes are equal), for values the squared difference over their variance.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cimc.backends.machine import ports
from cimc.backends.noise.sources import Noise
from cimc.backends.plan.walk import Plan
from cimc.driving.driver import Request, compile_graph
from cimc.driving.scoring import Scoring, chunks, real_outputs
from cimc.isa.program import Program
from cimc.passes.pipeline import behind_stage
from cimc.passes.ranges import Ranges
from cimc.training.batches import Data
from cimc.training.network import Network, Weights
from cimc.training.settings import Settings

Array = NDArray[Any]

FIRST_CHIP = 1000
"""The seed of the first chip that judges: tests draw their chips from 0 on."""
REFIT_SAMPLES = 64
LEAST_SHARE = 1e-4
"""Shares of classes that a program gives as zero codes count as this much."""


class Candidate(NamedTuple):
    """Weights, and the ranges that were learnt for them."""

    weights: Weights
    ranges: Ranges = Ranges()


@dataclass(frozen=True)
class Verdict:
    """Of one candidate: distance from the teacher without noise and on chips, and shares of equal classes, 0 to 1."""

    name: str
    clean: float
    noisy: float
    clean_agreement: float
    agreement: Mapping[str, float]


@dataclass(frozen=True)
class Judge:
    """What judges: the network, what it is compiled for, chips of `noise` (all its times), and data kept back."""

    network: Network
    request: Request
    settings: Settings
    noises: Sequence[Noise]
    held: Data
    calibration: Data
    taught: Array
    """The teacher's outputs [N, elements] on the data kept back."""

    def verdict(self, name: str, candidate: Candidate) -> Verdict:
        program = self._program(candidate)
        scoring = Scoring(program, self.held.inputs, calibration=self._codes(program))
        clean = self._outputs(program)
        found: dict[str, list[float]] = {}
        distances = []
        for mode in dict.fromkeys(self.settings.turns):
            for outputs in (self._outputs(*scoring.on_chip(noise, mode), noise) for noise in self._chips()):
                distances.append(self._distance(outputs))
                found.setdefault(mode, []).append(self._agreement(outputs))
        means = {mode: float(np.mean(values)) for mode, values in found.items()}
        return Verdict(name, self._distance(clean), float(np.mean(distances)), self._agreement(clean), means)

    def _program(self, candidate: Candidate) -> Program:
        pipeline = behind_stage(self.request.pipeline, "graph")
        request = replace(self.request, pipeline=pipeline, start="graph").learnt(candidate.ranges)
        return compile_graph(self.network.with_weights(candidate.weights), request).emission.program

    def _chips(self) -> list[Noise]:
        numbers = range(self.settings.chips)
        return [replace(self.noises[number % len(self.noises)], seed=FIRST_CHIP + number) for number in numbers]

    def _codes(self, program: Program) -> dict[str, Array]:
        """Return the codes that a refit reads, by port."""
        return ports.codes_of(program, self.calibration.first(REFIT_SAMPLES).inputs)

    def _outputs(self, program: Program, planned: Plan | None = None, noise: Noise | None = None) -> Array:
        found = real_outputs(program, chunks(program, self.held.inputs, noise, 1, planned=planned))
        return found[program.outputs[0].name].reshape(self.held.count, -1)

    def _distance(self, outputs: Array) -> float:
        if self.settings.objective == "values":
            return float(np.square(outputs - self.taught).mean() / (self.taught.var(axis=0).mean() + 1e-12))
        return divergence(self._scores(self.taught), self._scores(outputs))

    def _scores(self, outputs: Array) -> Array:
        """Return what a softmax makes shares of classes of: outputs of a network that ends without one."""
        return outputs if self.network.logits is self.network.output.x else np.log(np.maximum(outputs, LEAST_SHARE))

    def _agreement(self, outputs: Array) -> float:
        return float((outputs.argmax(axis=1) == self.taught.argmax(axis=1)).mean())


def divergence(wanted: Array, given: Array) -> float:
    """Return the mean Kullback-Leibler divergence (nats) of the shares that two tables of scores [N, classes] say.

    It is summed from logarithms: a share that no float holds has one.
    """
    first, second = _log_softmax(wanted), _log_softmax(given)
    return float((np.exp(first) * (first - second)).sum(axis=1).mean())


def _log_softmax(scores: Array) -> Array:
    below = scores - scores.max(axis=1, keepdims=True)
    return np.asarray(below - np.log(np.exp(below).sum(axis=1, keepdims=True)))


def chosen(verdicts: Sequence[Verdict], bound: float, count: int, must_gain: bool = True) -> Verdict | None:
    """Return the candidate that is nearest to the teacher on chips, None where that is the first: the start.

    Without `must_gain` it may be farther than the start. Candidates may agree with the teacher, without noise, in at
    most the share `bound` fewer of `count` samples than the start does, one sample always granted.
    """
    start, *others = verdicts
    least = start.clean_agreement - max(bound, 1.0 / count) - 1e-9
    kept = [one for one in others if one.clean_agreement >= least and (one.noisy < start.noisy or not must_gain)]
    return min(kept, key=lambda one: one.noisy, default=None)
