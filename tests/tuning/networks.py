"""A small network, and what judges choices for it."""

from typing import Any

from targets.stages import Batch, chip, normal, perceptron

from cimc.backends.noise.profiles import load_profile
from cimc.backends.noise.sources import Noise
from cimc.driving.driver import Request
from cimc.passes.pipeline import DEFAULT, behind_stage
from cimc.tuning.judging import Judge

DATA: Batch = {"x": normal(60, 12, seed=9)}
NOISE = Noise(load_profile("pcm"), time_s=86400)


def judge(**changes: Any) -> Judge:
    """Return the judge of a perceptron of three layers on a chip of one tile."""
    request = Request(chip(), behind_stage(DEFAULT, "graph"), start="graph")
    given, held = {"x": DATA["x"][:40]}, {"x": DATA["x"][40:]}
    return Judge(perceptron(12, 16, 9, 5), request, given, held, **{"noise": NOISE, "chips": 2, **changes})
