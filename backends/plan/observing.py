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
from cimc.backends.plan.memory import Array, Chunk, windows
from cimc.isa.streams import StreamState


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

    def take(self, read: Conversion, unclipped: Array) -> None:
        """Note a read phase of the block: codes before they are clipped."""
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
    source: StreamState
    reads: Sequence[BlockRead]
    largest: int
    codes: list[int] = field(default_factory=list)

    def begin(self, read: BlockRead, vectors: Array) -> None:
        """Inputs are summed once, for all blocks."""

    def meet(self, sums: Array) -> None:
        """Array sums are not summed once more."""

    def take(self, read: Conversion, unclipped: Array) -> None:
        """Sum a read phase of the block: codes before they are clipped."""
        clipped = np.clip(unclipped, read.adc.low, read.adc.high, out=self._buffer("codes", unclipped))
        codes = column_sums(np.abs(clipped, out=clipped), max(-read.adc.low, read.adc.high))
        self.codes.append(int(codes.sum()))

    def show(self, epilogue: Epilogue | None = None, factors: Array | None = None) -> None:
        """Tell the observer."""
        assert self.chunk.observer
        driven, pulse = self._inputs()
        self.chunk.observer.summed(self.index, block_sums(self.reads, driven, pulse, self.codes))

    def _inputs(self) -> tuple[Array, Array]:
        """Return how many inputs are not 0, and the sums of their magnitudes, of each row [signs, length]."""
        elements = self._elements()
        by_sign = any(each.phase.inputs for read in self.reads for each in read.conversions)
        sums = [self._row_sums(self._magnitudes(elements, sign)) for sign in ((1, -1) if by_sign else (0,))]
        driven, pulse = (np.array(each) for each in zip(*sums, strict=True))
        return driven, pulse

    def _elements(self) -> Array:
        """Return what the vectors are made of: a window reads an element of its rectangle several times."""
        read = self.chunk.padded if self.source.window else self.chunk.vectors
        return read(self.source, self.reads[0].dtype)

    def _magnitudes(self, elements: Array, sign: int) -> Array:
        """Return |elements|, of those of a sign alone where there is one."""
        out = self._buffer("magnitudes", elements)
        if not sign:
            return np.abs(elements, out=out)
        return np.maximum(np.multiply(elements, sign, out=out), 0, out=out)

    def _row_sums(self, magnitudes: Array) -> tuple[Array, Array]:
        """Return how many of the inputs of each row are not 0, and their sum [length]."""
        pulse = self._summed(magnitudes, self.largest)
        return self._summed(np.minimum(magnitudes, 1, out=magnitudes), 1), pulse

    def _summed(self, elements: Array, largest: int) -> Array:
        """Return the sums of whole numbers of up to `largest` over all images and vectors [length]."""
        if not self.source.window:
            return column_sums(elements.reshape(-1, self.source.length), largest)
        cells = column_sums(elements.reshape(len(elements), -1), largest).reshape(1, *elements.shape[1:])
        return np.asarray(windows(cells, self.source.window).sum(axis=(0, 1, 2))).ravel()

    def _buffer(self, name: str, values: Array) -> Array:
        """Return an array of the shape of values, in a buffer of the chunk: new memory takes longer than sums."""
        return self.chunk.buffer(name, values.shape, values.dtype)


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

    def take(self, read: Conversion, unclipped: Array) -> None:
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
