"""Ranges that are chosen: how much of the data a range leaves out, column by column and value by value."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cimc.passes.calibrate import ranges_read
from cimc.tuning.judging import Choice, Judge
from cimc.tuning.study import begun

OUTLYING = (1e-3, 1.0)
"""Percent of a value's data that its range may leave out, at least and at most."""
DEVIATIONS = (2.0, 8.0)
"""Standard deviations that a column's range may reach beyond its mean |sum|: what data show goes no further."""
FACTORS = (0.84, 1.19)
"""By which the range of a single value is tried: a quarter of a bit down and up."""
WORTH = 0.99
"""What the loss must fall to for a factor to be taken: less is what the chips drawn happen to like."""

Progress = Callable[[int], None]


@dataclass(frozen=True)
class Found:
    """What a search has found: what was there before it loses, step by step, and the best choice last."""

    steps: Sequence[tuple[str, Choice, float]]

    @property
    def best(self) -> Choice:
        return self.steps[-1][1]


def searched(judge: Judge, trials: int, seed: int, progress: Progress = lambda done: None) -> Found:
    """Choose options in so many trials, then factors of values one after another; what is there stays unless beaten.

    Raises CimcError.
    """
    study = begun(seed)
    study.enqueue_trial({"columns": "largest", "inputs": "auto", "outlying": 0.01})
    rows = []
    for number in range(trials):
        trial = study.ask()
        choice = _suggested(trial)
        rows.append((choice, judge.loss(choice)))
        study.tell(trial, rows[-1][1])
        progress(number + 1)
    first, best = rows[0], min(rows, key=lambda row: row[1])
    last = _refined(judge, *best, lambda done: progress(trials + done))
    return Found([("as it comes", *first), ("options chosen", *best), ("and single ranges", *last)])


def steps_of(judge: Judge, trials: int) -> int:
    """Return how many programs a search compiles."""
    return trials + len(FACTORS) * len(values_read(judge))


def values_read(judge: Judge) -> list[str]:
    """Return the labels of the values that layers read and whose range is a matter of choice, in order."""
    return list(dict.fromkeys(ranges_read(judge.graph, judge.request.target).values()))


def _suggested(trial: Any) -> Choice:
    outlying = trial.suggest_float("outlying", *OUTLYING, log=True)
    options = {"calibrate": {"percentile": f"{100.0 - outlying:.4f}"}}
    inputs = trial.suggest_categorical("inputs", ["auto", "full", "symmetric"])
    if inputs != "auto":
        options["calibrate"]["inputs"] = inputs
    if trial.suggest_categorical("columns", ["largest", "spread"]) == "spread":
        deviations = trial.suggest_float("deviations", *DEVIATIONS)
        options["column-ranges"] = {"deviations": f"{deviations:.2f}"}
    return Choice(options)


def _refined(judge: Judge, choice: Choice, loss: float, progress: Progress) -> tuple[Choice, float]:
    """Return the choice with the factors that lower the loss, each value's tried with those taken before it."""
    trials = [(label, factor) for label in values_read(judge) for factor in FACTORS]
    for number, (label, factor) in enumerate(trials):
        tried = choice.reaching(label, factor)
        found = judge.loss(tried)
        if found < WORTH * loss:
            choice, loss = tried, found
        progress(number + 1)
    return choice, loss


def options_text(choice: Choice) -> Sequence[str]:
    """Return the options of a choice as `--set` takes them."""
    return [f"{name}{{{_settings(options)}}}" for name, options in choice.options.items()]


def _settings(options: Mapping[str, str]) -> str:
    return " ".join(f"{key}={value}" for key, value in options.items())
