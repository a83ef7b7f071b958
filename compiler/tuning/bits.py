"""Bits that are chosen: what layers read, or their weights, in fewer bits, until a share of the cost is met.

What a choice costs follows from the target's prices and adds up over what is lowered; what it loses is measured, on the
ADCs as they then are and on chips.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, combinations, product
from math import prod
from typing import Any

import numpy as np

from cimc.diagnostics import fail
from cimc.passes.mixed_precision import Knob
from cimc.tuning.judging import Choice, Judge
from cimc.tuning.ranges import values_read
from cimc.tuning.scale import Levels, Scale
from cimc.tuning.study import begun

MOST = 5000
"""Choices that an exhaustive search goes through at most."""
SHORTER = tuple(2.0 ** (-number / 2) for number in range(1, 7))
"""Factors of a range at fewer bits, tried in order: half a bit each."""
ASKED = 50
"""How often in a row a study may ask for what costs too much or was tried already."""


@dataclass
class Measured:
    """Levels that were tried, and what each loses: nothing is compiled twice."""

    judge: Judge
    scale: Scale
    losses: dict[tuple[int, ...], float] = field(default_factory=dict)

    def within(self, limit: float) -> "Measured":
        """Return the same levels, those tried later included, where another share of the cost is granted."""
        return replace(self, scale=replace(self.scale, limit=limit))

    def loss(self, levels: Levels) -> float:
        key = self._key(levels)
        if key not in self.losses:
            self.losses[key] = self.judge.loss(self.scale.choice(levels))
        return self.losses[key]

    def note(self, levels: Levels, loss: float) -> None:
        self.losses[self._key(levels)] = loss

    def reaching(self, knob: Knob, bits: int, factor: float) -> "Measured":
        """Return the same with the range of a value at so many bits changed by a factor."""
        reach = {**self.scale.reach, knob: {**self.scale.reach.get(knob, {}), bits: factor}}
        return replace(self, scale=replace(self.scale, reach=reach))

    def knows(self, levels: Levels) -> bool:
        return self._key(levels) in self.losses

    @property
    def tried(self) -> list[Levels]:
        """All levels that were tried, in that order."""
        return [dict(zip(self.scale.prices, key, strict=True)) for key in self.losses]

    def best(self) -> Levels:
        """Return the levels that lose least of those that were tried and fit."""
        return min(filter(self.scale.fits, self.tried), key=self.loss)

    def front(self) -> list[Levels]:
        """Return what was tried and nothing cheaper, or as cheap, loses less than: dearest first."""
        kept: list[Levels] = []
        for levels in sorted(self.tried, key=lambda one: (self.scale.share(one), self.loss(one))):
            if not kept or self.loss(levels) < self.loss(kept[-1]):
                kept.append(levels)
        return kept[::-1]

    def _key(self, levels: Levels) -> tuple[int, ...]:
        return tuple(levels[knob] for knob in self.scale.prices)


def fitted(judge: Judge, scale: Scale) -> Measured:
    """Return what searches begin with: of each value at each of its fewer bits the range that loses least, alone.

    Fewer codes are better spent on the bulk of a value: its range is shortened as long as that loses less.
    """
    found = Measured(judge, scale)
    chosen = set(values_read(judge))
    for knob, prices in scale.prices.items():
        for bits in sorted(prices, reverse=True)[1:] if knob.label in chosen and not knob.weights else []:
            levels = {**scale.full, knob: bits}
            factor, loss = _shortened(judge, scale.choice(levels), knob.label)
            found = found.reaching(knob, bits, factor)
            found.note(levels, loss)
    return found


def _shortened(judge: Judge, choice: Choice, label: str) -> tuple[float, float]:
    """Return the factor of a value's range, 1 at first, behind which the next smaller one loses more, and the loss."""
    best = 1.0, judge.loss(choice)
    for factor in SHORTER:
        loss = judge.loss(choice.reaching(label, factor))
        if loss >= best[1]:
            break
        best = factor, loss
    return best


def greedy(found: Measured) -> Levels:
    """Return levels that fit: what is lowered next loses least, measured alone, for what it saves."""
    scale, levels = found.scale, dict(found.scale.full)
    while not scale.fits(levels):
        knob = min((one for one in levels if _next(scale, levels, one)), key=lambda one: _worth(found, levels, one))
        levels[knob] = _next(scale, levels, knob)
    return levels


def by_study(found: Measured, trials: int, seed: int, told: Callable[[int], None] = lambda done: None) -> Levels:
    """Return the best that fits of all tried, behind so many more: those that `greedy` compiles are counted.

    A study of optuna is asked, and begins with the best so far, greedy's levels among them, and equal bits for all.
    Where it asks for what costs too much or was tried already, levels next to the best come next.
    """
    scale, study, random = found.scale, begun(seed), np.random.default_rng(seed)
    before, idle = len(found.losses), 0
    found.loss(greedy(found))
    for levels in (found.best(), *_equal(scale)):
        study.enqueue_trial(_named(levels))
    while len(found.losses) - before < trials and idle < ASKED:
        trial = study.ask()
        levels = _suggested(trial, scale)
        fits, known = scale.fits(levels), found.knows(levels)
        study.tell(trial, found.loss(levels) if fits else _refusal(scale, levels))
        idle = 0 if fits and not known else idle + 1
        near = list(_untried(found, found.best())) if idle else []
        if near:
            study.enqueue_trial(_named(near[random.integers(len(near))]))
        told(min(len(found.losses) - before, trials))
    return found.best()


def fitting(scale: Scale) -> list[Levels]:
    """Return all levels that fit. Raises CimcError CIM0003 where there are too many to look at."""
    count = prod(len(prices) for prices in scale.prices.values())
    if count > MOST:
        raise fail("CIM0003", f"{count} choices are too many to try all of them, {MOST} is the most", hint="--by tpe")
    every = (dict(zip(scale.prices, bits, strict=True)) for bits in product(*scale.prices.values()))
    return [levels for levels in every if scale.fits(levels)]


def exhaustive(found: Measured, every: Sequence[Levels], told: Callable[[int], None] = lambda done: None) -> Levels:
    """Return the best of levels that all are tried."""
    for number, levels in enumerate(every):
        found.loss(levels)
        told(number + 1)
    return found.best()


def _next(scale: Scale, levels: Levels, knob: Knob) -> int:
    """Return the next fewer bits of a knob, 0 where there are none."""
    return max((bits for bits in scale.prices[knob] if bits < levels[knob]), default=0)


def _worth(found: Measured, levels: Levels, knob: Knob) -> float:
    """Return what a knob's next step loses, measured with all else at full bits, for what it saves."""
    full, prices, fewer = found.scale.full, found.scale.prices[knob], _next(found.scale, levels, knob)
    before, after = (found.loss({**full, knob: bits}) for bits in (levels[knob], fewer))
    return (after - before) / (prices[levels[knob]] - prices[fewer])


def _equal(scale: Scale) -> list[Levels]:
    """Return the levels that fit with the same bits for all, or the fewest that a knob has where it has no such few."""
    rungs = sorted({bits for prices in scale.prices.values() for bits in prices}, reverse=True)
    every = (
        {
            knob: max((bits for bits in prices if bits <= rung), default=min(prices))
            for knob, prices in scale.prices.items()
        }
        for rung in rungs
    )
    return [levels for levels in every if scale.fits(levels)]


def _untried(found: Measured, best: Levels) -> Iterator[Levels]:
    """Yield levels that fit, differ from the best in one knob or two, and were not tried."""
    prices = found.scale.prices
    for knobs in chain(combinations(prices, 1), combinations(prices, 2)):
        for bits in product(*(prices[knob] for knob in knobs)):
            levels = {**best, **dict(zip(knobs, bits, strict=True))}
            if found.scale.fits(levels) and not found.knows(levels):
                yield levels


def _named(levels: Levels) -> dict[str, int]:
    return {knob.label: bits for knob, bits in levels.items()}


def _suggested(trial: Any, scale: Scale) -> Levels:
    return {knob: trial.suggest_categorical(knob.label, list(prices)) for knob, prices in scale.prices.items()}


def _refusal(scale: Scale, levels: Levels) -> float:
    """Return what a study is told of levels that cost too much: worse than any loss, and the more the worse."""
    return 1e6 * scale.share(levels) / scale.limit
