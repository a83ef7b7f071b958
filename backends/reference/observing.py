"""What the reference shows an observer of matrix-vector instructions."""

from collections.abc import Sequence

import numpy as np

from cimc.backends.machine.observer import BlockProducts, Conversions, Observer, Products
from cimc.backends.reference.crossbar import BlockRead, Conversion


def show(
    observer: Observer,
    index: int,
    first: int,
    reads: Sequence[BlockRead],
    accumulators: Sequence[int] | None = None,
    factors: Sequence[Sequence[int]] | None = None,
) -> None:
    """Tell an observer what the vectors it chooses gave in blocks numbered from `first` on."""
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
    low, high = read.crossbar.machine.adc_range
    clipped = [[(code > high) - (code < low) for code in codes] for codes in read.unclipped]
    return Conversions(read.phase, *(_rows(rows, chosen) for rows in (read.sums, read.codes, clipped)))


def _rows(rows: Sequence[Sequence[int]], chosen: Sequence[int]) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    """Return the chosen rows as an observer sees them: one image [1, chosen, n]."""
    return np.array([[rows[number] for number in chosen]], np.int64)
