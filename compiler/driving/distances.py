"""How far outputs are from the float model's: signal to quantisation noise, and samples with the same top-1."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class FloatDistance:
    """How far an output is from the float model's; `same_top_1` is a share from 0 to 1, `largest` a difference."""

    output: str
    decibels: float
    same_top_1: float
    largest: float


@dataclass(frozen=True)
class Bound:
    """What every output shall reach: decibels, percent of samples with the same top-1; None asks for nothing."""

    decibels: float | None = None
    top_1: float | None = None

    @property
    def asks(self) -> bool:
        return (self.decibels, self.top_1) != (None, None)


def distances(exact: Mapping[str, NDArray[Any]], real: Mapping[str, NDArray[Any]]) -> Iterator[FloatDistance]:
    """Yield the distance of every output [N, ...] of a program from the float model's."""
    for name, ours in exact.items():
        theirs = real[name].reshape(ours.shape).astype(np.float64)
        noise, signal = np.square(ours - theirs).mean(), np.square(theirs).mean()
        decibels = 10 * np.log10(signal / noise) if noise > 0 and signal > 0 else float("inf")
        agree = (ours.reshape(len(ours), -1).argmax(1) == theirs.reshape(len(theirs), -1).argmax(1)).mean()
        yield FloatDistance(name, float(decibels), float(agree), float(np.abs(ours - theirs).max()))


def shortfalls(found: Sequence[FloatDistance], bound: Bound) -> Iterator[str]:
    """Yield a sentence for each output below a bound in dB, or in percent of samples with the same top-1."""
    for one in found:
        top_1 = 100 * one.same_top_1
        if bound.decibels is not None and one.decibels < bound.decibels:
            yield f"output {one.output!r} has {one.decibels:.1f} dB, --min-sqnr asks for {bound.decibels:g}"
        if bound.top_1 is not None and top_1 < bound.top_1:
            yield f"output {one.output!r} has the same top-1 on {top_1:.1f} %, --min-top1 asks for {bound.top_1:g}"
