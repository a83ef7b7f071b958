"""What the fast executors show an observer of matrix-vector instructions: chosen vectors, on their way through."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from cimc.backends.machine.observer import BlockProducts, Conversions, Observer, Products
from cimc.backends.plan.block_read import Conversion
from cimc.backends.plan.exact import Epilogue
from cimc.backends.plan.memory import Array


@dataclass
class Probe:
    """Gathers what the chosen ones of an instruction's `count` vectors do; `show` hands it over."""

    observer: Observer
    index: int
    images: int
    count: int
    chosen: Sequence[int]
    blocks: list[BlockProducts] = field(default_factory=list)

    def part(self, values: Array) -> Array:
        """Return a copy of what belongs to the chosen vectors [images, chosen, n] of [images * vectors, n]."""
        return values.reshape(self.images, self.count, values.shape[-1])[:, list(self.chosen)]

    def begin(self, block: int, vectors: Array) -> None:
        """Begin with a block and its inputs [images * vectors, rows]."""
        self.blocks.append(BlockProducts(block, self.part(vectors), []))

    def take(self, read: Conversion, sums: Array, unclipped: Array) -> None:
        """Note a read phase of the block: array sums (as `part` returned them) and codes before they are clipped."""
        found = self.part(unclipped)
        clipped = (found > read.adc.high).astype(np.int8) - (found < read.adc.low)
        codes = np.clip(found, read.adc.low, read.adc.high)
        self.blocks[-1].conversions.append(Conversions(read.phase, sums, codes, clipped))

    def show(self, epilogue: Epilogue | None = None, factors: Array | None = None) -> None:
        """Tell the observer, with the accumulators that an epilogue makes of the codes, or the drift factors set."""
        accumulators = epilogue.accumulators([block.codes for block in self.blocks]) if epilogue else None
        self.observer.multiplied(self.index, Products(self.chosen, tuple(self.blocks), accumulators, factors))
