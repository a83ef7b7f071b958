"""What a reader may see of a run without changing a bit of it: what instructions write, and what the arrays did."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cimc.backends.machine.ports import DTYPES
from cimc.isa.phases import Phase
from cimc.isa.streams import StreamState

Array = NDArray[Any]


@dataclass(frozen=True)
class Conversions:
    """One read phase of the products of a block; most targets have only one."""

    phase: Phase
    sums: Array
    """Array sums [images, vectors, cols] as the ADCs meet them, with the noise of each product."""
    codes: Array
    """The ADC's codes [images, vectors, cols]."""
    clipped: Array
    """[images, vectors, cols]: -1 where the ADC's lowest code stands for a lower one, 1 likewise above, else 0."""


@dataclass(frozen=True)
class BlockProducts:
    """The products of one block with chosen vectors: whole numbers, in whatever type the executor computes."""

    block: int
    inputs: Array
    """The DAC's codes [images, vectors, rows]."""
    conversions: list[Conversions]

    @property
    def converted(self) -> list[tuple[Array, Array]]:
        """The sums and the codes of each conversion."""
        return [(each.sums, each.codes) for each in self.conversions]

    @property
    def codes(self) -> Array:
        """The codes of the products [images, vectors, cols], joined of those of the conversions."""
        first, *others = (each.codes * each.phase.sign for each in self.conversions)
        return np.asarray(sum(others, first))


@dataclass(frozen=True)
class Products:
    """What a matrix-vector instruction did with the vectors of these numbers, block by block."""

    vectors: Sequence[int]
    blocks: Sequence[BlockProducts]
    accumulators: Array | None = None
    """Of `mvm`, sum_t code_t * M_t + B [images, vectors, cols] before shift and clamp, drift factors included."""
    factors: Array | None = None
    """Of `calibrate`, the drift factors [images, blocks, cols] that it has set."""


@dataclass(frozen=True)
class ConversionSums:
    """What one read phase of a block's products took of all vectors and images together."""

    phase: Phase
    driven: int
    """Inputs other than 0 that it read."""
    pulse: int
    """The sum of their |code|."""
    codes: int
    """The sum of |code of the ADC|."""


@dataclass(frozen=True)
class BlockSums:
    """What the products of one block took of all vectors and images together."""

    block: int
    rows: Array
    """The sum of |code of the DAC| in each row [rows], int64."""
    conversions: list[ConversionSums]


class Observer:
    """Is told what a run does, in the order of execution, by whichever executor or interpreter runs the program.

    A loop's body is told again in each turn. Arrays are the reader's to look at during the call: who wants to keep one
    copies it. What an instruction that traps would have written is not told. Subclasses say what they want to see.
    """

    def begin(self, samples: range) -> None:
        """Samples of these numbers begin: what follows is about all of them, up to the next `begin`."""

    def wrote(self, index: int, values: Array) -> None:
        """Instruction `index` has written elements [images, vectors, length] to activation memory, in stream order."""

    def wants_write(self, index: int) -> bool:
        """Return whether to tell `wrote` of an instruction."""
        return True

    def vectors(self, index: int, count: int) -> Sequence[int]:
        """Return which of the `count` vectors of an `mvm`, `capture` or `calibrate` to show to `multiplied`, or ()."""
        return ()

    def multiplied(self, index: int, products: Products) -> None:
        """A matrix-vector instruction has done this; it is told before its `wrote`.

        Calibration on constants, the same for all samples, has one image.
        """

    def wants_sums(self, index: int) -> bool:
        """Return whether to tell `summed` what the vectors of a product did, in place of `multiplied`."""
        return False

    def summed(self, index: int, blocks: Sequence[BlockSums]) -> None:
        """A matrix-vector instruction has done this with all vectors of all images; it is told before its `wrote`."""

    def wants_clips(self, index: int) -> bool:
        """Return whether to tell `clipped` how often ADCs clipped in a product, in place of `multiplied`."""
        return False

    def clipped(self, index: int, counts: Array) -> None:
        """ADCs stood for lower and for higher values this often [images, 2], over all vectors; told as `summed` is."""


@dataclass(frozen=True)
class Writes(Observer):
    """An observer that hands what is written to a function of (instruction index, elements), which may keep it."""

    take: Callable[[int, Array], None]

    def wrote(self, index: int, values: Array) -> None:
        self.take(index, values.copy())


def elements(out: StreamState, values: ArrayLike, images: int = 1) -> Array:
    """Return results in stream order as an observer sees them: [images, vectors, length] in the stream's type."""
    return np.asarray(values).reshape(images, out.vectors, out.length).astype(DTYPES[out.type], copy=False)
