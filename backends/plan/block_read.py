"""A block while vectors stream through it in the fast interpreter: the sums and the ADC's codes of each read phase."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cimc.backends.plan.exact import Converter, exact_type
from cimc.backends.plan.moving import Occasion
from cimc.backends.plan.read_noise import ReadNoise, require_sums
from cimc.isa.limits import SUM_LIMIT, CodeRange
from cimc.isa.phases import Phase

Array = NDArray[Any]


@dataclass(frozen=True)
class Conversion:
    """One read phase of a block: `bound` is the largest possible |s|, `codes` what its codes lie in."""

    phase: Phase
    matrix: Array
    adc: Converter
    bound: int
    codes: CodeRange
    noise: ReadNoise | None = None
    negative: Array | None = None
    """What inputs below 0 meet in place of the matrix, where the polarity of a voltage makes a difference."""

    def driven(self, inputs: Array) -> Array:
        """Return those of the inputs [vectors, rows] that the phase reads."""
        sign = self.phase.inputs
        return np.maximum(inputs if sign > 0 else -inputs, 0) if sign else inputs

    def sums(self, inputs: Array, out: Array, occasion: Occasion) -> Array:
        """Return the array sums [samples * vectors, cols] of driven inputs [samples * vectors, rows], with noise."""
        if self.negative is None:
            np.matmul(inputs, self.matrix, out=out)
        else:
            np.matmul(np.maximum(inputs, 0), self.matrix, out=out)
            out += np.minimum(inputs, 0) @ self.negative
        self._require(out)
        if self.noise:
            self.noise.disturb(out, inputs, occasion)
            self._require(out)
        return out

    def unclipped(self, sums: Array, occasion: Occasion) -> Array:
        """Return the ADC's codes of sums before they are clipped; the sums may be overwritten."""
        if self.noise and self.noise.converter:
            return self.noise.rounded(self.noise.converter, sums, occasion)
        return self.adc.rounded(sums)

    def clipped(self, codes: Array) -> Array:
        """Clip codes in place to those that the ADC has."""
        return np.clip(codes, self.adc.low, self.adc.high, out=codes)

    def _require(self, sums: Array) -> None:
        if self.bound >= SUM_LIMIT:
            require_sums(sums, SUM_LIMIT)


@dataclass(frozen=True)
class BlockRead:
    """A block as a matrix-vector product uses it: its part of each vector, and its read phases."""

    number: int
    rows: slice
    conversions: tuple[Conversion, ...]

    @property
    def columns(self) -> int:
        return int(self.conversions[0].matrix.shape[1])

    @property
    def dtype(self) -> np.dtype[Any]:
        """The widest type that any of its sums needs."""
        return np.result_type(*(each.matrix.dtype for each in self.conversions))

    @property
    def codes(self) -> CodeRange:
        """What the joined codes of its products lie in."""
        ranges = [each.phase.codes(each.codes) for each in self.conversions]
        return CodeRange(sum(each.low for each in ranges), sum(each.high for each in ranges))

    def joined(self, codes: Sequence[Array]) -> Array:
        """Return the codes of products from those of their conversions; the first may be overwritten."""
        if len(codes) == 1 and self.conversions[0].phase.sign > 0:
            return codes[0]
        first, *others = codes
        total = first.astype(np.result_type(first, exact_type(self.codes.magnitude)), copy=False)
        total *= self.conversions[0].phase.sign
        for conversion, part in zip(self.conversions[1:], others, strict=True):
            (np.add if conversion.phase.sign > 0 else np.subtract)(total, part, out=total, casting="same_kind")
        return total

    def computed_in(self, dtype: np.dtype[Any]) -> "BlockRead":
        """Return the same with all matrices in a type at least as wide."""
        if all(each.matrix.dtype == dtype for each in self.conversions):
            return self
        return replace(self, conversions=tuple(_computed_in(each, dtype) for each in self.conversions))


def _computed_in(conversion: Conversion, dtype: np.dtype[Any]) -> Conversion:
    negative = None if conversion.negative is None else conversion.negative.astype(dtype)
    return replace(conversion, matrix=conversion.matrix.astype(dtype), negative=negative)
