"""What the library counts of a product while it runs, for an observer: sums of inputs and codes, or clips."""

from dataclasses import dataclass

import numpy as np

from cimc.backends.kernels.layout import Rectangle
from cimc.backends.kernels.library import NativeTally, address
from cimc.backends.kernels.lowering import Lowered
from cimc.backends.plan.memory import Array, Chunk
from cimc.backends.plan.observing import block_sums, no_clips
from cimc.backends.plan.products import Stream, streamed_by
from cimc.backends.plan.steps import Step

MOST_SUMMED = (1 << 16) - 1
"""Elements summed together: each adds up to 2^15 to a sum in 32 bits."""


@dataclass(frozen=True)
class Tally:
    """Sums over all images of what a product takes.

    `elements` [2, signs, cells, channels] are those of the rectangle's elements: how many were not 0, and their
    magnitudes, of the cells that `Rectangle.uses` tells apart, and of elements below 0 apart where phases read them so;
    `codes` those of the ADC's codes in each read phase. `native` is where the library finds all of them.
    """

    stream: Stream
    rectangle: Rectangle
    elements: Array
    codes: Array
    native: NativeTally

    def tell(self, chunk: Chunk) -> None:
        """Tell the chunk's observer what all vectors took, block by block."""
        assert chunk.observer
        driven, pulse = self._rows()
        chunk.observer.summed(self.stream.index, block_sums(self.stream.reads, driven, pulse, self.codes.tolist()))

    def _rows(self) -> Array:
        """Return the sums of each row of a vector [2, signs, length]: below 2^53, as memory ends before."""
        rows: Array = self.rectangle.uses @ self.elements.astype(np.float64)
        return rows.astype(np.int64).reshape(*rows.shape[:2], -1)


@dataclass(frozen=True)
class Clips:
    """How often the ADCs of a product stood for lower and for higher values, image by image: `counts` [images, 2]."""

    index: int
    counts: Array
    native: NativeTally

    def tell(self, chunk: Chunk) -> None:
        """Tell the chunk's observer."""
        assert chunk.observer
        chunk.observer.clipped(self.index, self.counts)


def counting(step: Step, lowered: Lowered, chunk: Chunk) -> Tally | Clips | None:
    """Return counts of 0 for what an observer wants of a product, None where it does not or the library cannot."""
    stream = streamed_by(step.action)
    if chunk.observer is None or stream is None:
        return None
    if chunk.observer.wants_sums(stream.index):
        return _tally(stream, lowered, chunk) if lowered.tallied else None
    if not chunk.observer.wants_clips(stream.index):
        return None
    counts = no_clips(chunk.images)
    return Clips(stream.index, counts, NativeTally(clips=address(counts)))


def _tally(stream: Stream, lowered: Lowered, chunk: Chunk) -> Tally | None:
    rectangle = lowered.tallied
    assert rectangle
    elements = np.zeros((2, 1 + lowered.step.signs, rectangle.uses.shape[1], rectangle.channels), np.int32)
    period = elements[0, 0].size
    if chunk.images * rectangle.size > MOST_SUMMED * period:
        return None
    codes = np.zeros(lowered.step.count, np.int64)
    return Tally(stream, rectangle, elements, codes, NativeTally(*map(address, (*elements, codes)), period))
