"""What the reference shows an observer of matrix-vector instructions."""

from collections.abc import Sequence

import numpy as np

from cimc.backends.machine.observer import BlockProducts, BlockSums, Conversions, ConversionSums, Observer, Products
from cimc.backends.reference.crossbar import BlockRead, Conversion


def show(
    observer: Observer,
    index: int,
    first: int,
    reads: Sequence[BlockRead],
    accumulators: Sequence[int] | None = None,
    factors: Sequence[Sequence[int]] | None = None,
) -> None:
    """Tell an observer what the vectors it chooses gave in blocks numbered from `first` on, or sums or clips of all."""
    if observer.wants_sums(index):
        observer.summed(index, [_sums(first + t, read) for t, read in enumerate(reads)])
        return
    if observer.wants_clips(index):
        observer.clipped(index, np.array([[_clips(reads, -1), _clips(reads, 1)]], np.int64))
        return
    count = len(reads[0].inputs)
    chosen = observer.vectors(index, count)
    if not len(chosen):
        return
    totals = None if accumulators is None else _rows(np.reshape(accumulators, (count, -1)).tolist(), chosen)
    blocks = tuple(_products(first + t, read, chosen) for t, read in enumerate(reads))
    found = None if factors is None else np.array([factors], np.int64)
    observer.multiplied(index, Products(chosen, blocks, totals, found))


def _products(number: int, read: BlockRead, chosen: Sequence[int]) -> BlockProducts:
    conversions = [_conversions(each, chosen) for each in read.conversions]
    return BlockProducts(number, _rows(read.inputs, chosen), conversions)


def _conversions(read: Conversion, chosen: Sequence[int]) -> Conversions:
    return Conversions(read.phase, *(_rows(rows, chosen) for rows in (read.sums, read.codes, _clipped(read))))


def _clipped(read: Conversion) -> list[list[int]]:
    """Return -1 where the ADC's lowest code stands for a lower one, 1 likewise above, else 0."""
    low, high = read.crossbar.machine.adc_range
    return [[(code > high) - (code < low) for code in codes] for codes in read.unclipped]


def _clips(reads: Sequence[BlockRead], side: int) -> int:
    """Return how many codes of blocks were clipped on one side, -1 or 1."""
    return sum(row.count(side) for read in reads for each in read.conversions for row in _clipped(each))


def _rows(rows: Sequence[Sequence[int]], chosen: Sequence[int]) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    """Return the chosen rows as an observer sees them: one image [1, chosen, n]."""
    return np.array([[rows[number] for number in chosen]], np.int64)


def _sums(number: int, read: BlockRead) -> BlockSums:
    magnitudes = [sum(abs(code) for code in row) for row in zip(*read.inputs, strict=True)]
    conversions = [_conversion_sums(each, read.inputs) for each in read.conversions]
    return BlockSums(number, np.array(magnitudes, np.int64), conversions)


def _conversion_sums(read: Conversion, inputs: Sequence[Sequence[int]]) -> ConversionSums:
    sign = read.phase.inputs
    driven = [abs(code) for codes in inputs for code in codes if code and (not sign or (code > 0) == (sign > 0))]
    return ConversionSums(
        read.phase, len(driven), sum(driven), sum(abs(code) for codes in read.codes for code in codes)
    )
