"""What the fast executors show an observer of matrix-vector instructions: chosen vectors, or sums over all."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from cimc.backends.machine.observer import (
    BlockProducts,
    BlockSums,
    Conversions,
    ConversionSums,
    Observer,
    Products,
)
from cimc.backends.plan.block_read import BlockRead, Conversion
from cimc.backends.plan.exact import Epilogue, column_sums
from cimc.backends.plan.memory import Array, Chunk


@dataclass
class Probe:
    """Gathers what the chosen ones of an instruction's `count` vectors do; `show` hands it over."""

    observer: Observer
    index: int
    images: int
    count: int
    chosen: Sequence[int]
    blocks: list[BlockProducts] = field(default_factory=list)
    _met: list[Array] = field(default_factory=list)

    def part(self, values: Array) -> Array:
        """Return a copy of what belongs to the chosen vectors [images, chosen, n] of [images * vectors, n]."""
        return values.reshape(self.images, self.count, values.shape[-1])[:, list(self.chosen)]

    def begin(self, read: BlockRead, vectors: Array) -> None:
        """Begin with a block and its inputs [images * vectors, rows]."""
        self.blocks.append(BlockProducts(read.number, self.part(vectors), []))

    def meet(self, sums: Array) -> None:
        """Note the array sums of a read phase, which converting may overwrite."""
        self._met.append(self.part(sums))

    def take(self, read: Conversion, driven: Array, unclipped: Array) -> None:
        """Note a read phase of the block: the inputs that it read, and codes before they are clipped."""
        found = self.part(unclipped)
        clipped = (found > read.adc.high).astype(np.int8) - (found < read.adc.low)
        codes = np.clip(found, read.adc.low, read.adc.high)
        self.blocks[-1].conversions.append(Conversions(read.phase, self._met.pop(), codes, clipped))

    def show(self, epilogue: Epilogue | None = None, factors: Array | None = None) -> None:
        """Tell the observer, with the accumulators that an epilogue makes of the codes, or the drift factors set."""
        accumulators = epilogue.accumulators([block.codes for block in self.blocks]) if epilogue else None
        self.observer.multiplied(self.index, Products(self.chosen, tuple(self.blocks), accumulators, factors))


@dataclass
class Tally:
    """Sums what all of an instruction's vectors do, in place of a Probe; inputs are at most `largest` in magnitude."""

    chunk: Chunk
    index: int
    largest: int
    blocks: list[BlockSums] = field(default_factory=list)

    def begin(self, read: BlockRead, vectors: Array) -> None:
        """Begin with a block and its inputs [images * vectors, rows]."""
        rows = column_sums(self._magnitudes(vectors), self.largest)
        self.blocks.append(BlockSums(read.number, rows, []))

    def meet(self, sums: Array) -> None:
        """Array sums are not summed once more."""

    def take(self, read: Conversion, driven: Array, unclipped: Array) -> None:
        """Sum a read phase of the block: the inputs that it read, and codes before they are clipped."""
        block, largest = self.blocks[-1], max(-read.adc.low, read.adc.high)
        rows = column_sums(driven, self.largest) if read.phase.inputs else block.rows
        on = np.not_equal(driven, 0, out=self.chunk.buffer("driven", driven.shape, bool))
        clipped = np.clip(unclipped, read.adc.low, read.adc.high, out=self._buffer(unclipped))
        codes = column_sums(np.abs(clipped, out=clipped), largest)
        block.conversions.append(
            ConversionSums(read.phase, int(np.count_nonzero(on)), int(rows.sum()), int(codes.sum()))
        )

    def _magnitudes(self, values: Array) -> Array:
        """Return |values|: themselves where none is negative, which takes a third of the time to see."""
        return np.abs(values, out=self._buffer(values)) if values.min(initial=0) < 0 else values

    def _buffer(self, values: Array) -> Array:
        """Return an array of the shape of values, in a buffer of the chunk: new memory takes longer than sums."""
        return self.chunk.buffer("magnitudes", values.shape, values.dtype)

    def show(self, epilogue: Epilogue | None = None, factors: Array | None = None) -> None:
        """Tell the observer."""
        assert self.chunk.observer
        self.chunk.observer.summed(self.index, self.blocks)


@dataclass
class Clips:
    """Counts what ADCs clip in all of an instruction's vectors, in place of a Probe: `counts` [images, 2]."""

    observer: Observer
    index: int
    counts: Array

    def begin(self, read: BlockRead, vectors: Array) -> None:
        """Inputs are not looked at."""

    def meet(self, sums: Array) -> None:
        """Neither are array sums."""

    def take(self, read: Conversion, driven: Array, unclipped: Array) -> None:
        """Count in a read phase of a block: codes before they are clipped."""
        codes = unclipped.reshape(len(self.counts), -1)
        self.counts += np.stack([(codes < read.adc.low).sum(axis=1), (codes > read.adc.high).sum(axis=1)], axis=1)

    def show(self, epilogue: Epilogue | None = None, factors: Array | None = None) -> None:
        """Tell the observer."""
        self.observer.clipped(self.index, self.counts)


Gathering = Probe | Tally | Clips
"""What gathers what an observer wants of an instruction's products."""


def no_clips(images: int) -> Array:
    """Return counts of clips, image by image, none so far."""
    return np.zeros((images, 2), np.int64)


def block_sums(reads: Sequence[BlockRead], driven: Array, pulse: Array, codes: Sequence[int]) -> list[BlockSums]:
    """Return the sums of blocks, from those of each row of a vector [signs, length].

    Where signs are two, the second is of inputs below 0, and each phase reads one of both; where there is one, all.
    `codes` has the sums of the phases of each block, one block after the other.
    """
    left, blocks = iter(codes), list[BlockSums]()
    for read in reads:
        on, rows = driven[:, read.rows].sum(axis=1).tolist(), pulse[:, read.rows]
        lengths, signs = rows.sum(axis=1).tolist(), [each.phase.inputs < 0 for each in read.conversions]
        phases = [
            ConversionSums(each.phase, on[sign], lengths[sign], next(left))
            for each, sign in zip(read.conversions, signs, strict=True)
        ]
        blocks.append(BlockSums(read.number, rows.sum(axis=0), phases))
    return blocks
