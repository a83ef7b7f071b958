"""Matrix-vector products on the arrays: mvm, capture and calibrate over a chunk of images."""

from dataclasses import dataclass, replace

import numpy as np

from cimc.backends.machine import checks
from cimc.backends.machine.traps import Trap
from cimc.backends.plan.counters import ConverterCounts
from cimc.backends.plan.crossbar import BlockRead
from cimc.backends.plan.exact import Epilogue, Rounding, epilogue, half_even
from cimc.backends.plan.memory import Array, Chunk
from cimc.backends.plan.state import Effect, PlanState, Write, rounding
from cimc.isa.limits import FACTOR_HIGHEST
from cimc.isa.program import Instruction
from cimc.isa.streams import StreamState
from cimc.isa.table import FACTOR_ONE


@dataclass(frozen=True)
class Stream:
    """Vectors streamed through blocks that share the elements of each; `low` and `high` are the DAC's codes."""

    index: int
    source: StreamState
    reads: tuple[BlockRead, ...]
    low: int
    high: int

    def codes(self, chunk: Chunk, samples: Array | None = None) -> list[Array]:
        """Return the ADC codes [images * vectors, cols] of each block, in buffers of their own.

        `samples` are the samples that noise is drawn for, by default those of the chunk.
        """
        samples = chunk.samples if samples is None else samples
        dtype = self.reads[0].matrix.dtype
        vectors = chunk.vectors(self.source, dtype)
        self._require_inputs(chunk, vectors)
        flat = vectors.reshape(-1, self.source.length)
        return [self._codes(chunk, t, read, flat, samples) for t, read in enumerate(self.reads)]

    def _codes(self, chunk: Chunk, t: int, read: BlockRead, vectors: Array, samples: Array) -> Array:
        sums = chunk.buffer(f"sums {t}", (len(vectors), read.columns), read.matrix.dtype)
        counts = self._counts(chunk)
        clips = counts.clips[t] if counts else None
        if read.noise:
            codes = read.noisy_codes(vectors, sums, samples, clips)
        else:
            codes = read.codes(read.sums(vectors, sums), clips)
        if counts:
            counts.add(t, codes)
        return codes

    def _counts(self, chunk: Chunk) -> ConverterCounts | None:
        """Return what is counted of this instruction's ADCs, None where nobody asked."""
        if chunk.counters is None:
            return None
        if self.index not in chunk.counters:
            adc = self.reads[0].adc
            chunk.counters[self.index] = ConverterCounts.fresh(
                len(self.reads), self.reads[0].columns, adc.low, adc.high
            )
        return chunk.counters[self.index]

    def _require_inputs(self, chunk: Chunk, vectors: Array) -> None:
        """Trap unless every element is a code of the DAC; the tensor is smaller than its patches, so it comes first."""
        low, high = self.low, self.high
        state = self.source
        fill = state.window.fill if state.window else 0
        tensor = chunk.touched(state)
        below = state.lowest < low and tensor.min(initial=0) < low
        above = state.highest > high and tensor.max(initial=0) > high
        if not (below or above or not low <= fill <= high):
            return
        if vectors.size and (vectors.min() < low or vectors.max() > high):
            raise Trap("CIM0513", f"an input outside the DAC's range {low} to {high} is streamed to the array")


def stream(state: PlanState, i: Instruction, source: StreamState, count: int, index: int) -> Stream:
    """Return the stream of `source` through `count` blocks, all in the widest type that any of them needs."""
    numbers = range(i["block"], i["block"] + count)
    checks.count("a vector", source.length, sum(state.crossbar.block(number).rows for number in numbers))
    reads: list[BlockRead] = []
    for number in numbers:
        reads.append(state.crossbar.read(number, reads[-1].rows.stop if reads else 0))
    widest = np.result_type(*(read.matrix.dtype for read in reads))
    reads = [
        read if read.matrix.dtype == widest else replace(read, matrix=read.matrix.astype(widest)) for read in reads
    ]
    return Stream(index, source, tuple(reads), *state.machine.dac_range)


@dataclass(frozen=True)
class Mvm:
    """Products with the epilogue of blocks whose drift factors are known."""

    stream: Stream
    epilogue: Epilogue

    def __call__(self, chunk: Chunk) -> Array:
        codes = self.stream.codes(chunk)
        out = chunk.buffer("results", codes[0].shape, self.epilogue.dtype)
        return self.epilogue(codes, out)


@dataclass(frozen=True)
class CalibratedMvm:
    """Products whose multipliers are scaled by drift factors that this chunk's calibration has set.

    `factors` holds those of each block [1, cols], None where the calibration depends on the images.
    """

    stream: Stream
    multipliers: Array
    factors: tuple[Array | None, ...]
    offsets: Array
    rounding: Rounding

    def __call__(self, chunk: Chunk) -> Array:
        reads = self.stream.reads
        found = [chunk.factors[read.number] if f is None else f for read, f in zip(reads, self.factors, strict=True)]
        scaled = [_scaled(table, f)[:, None] for table, f in zip(self.multipliers, found, strict=True)]
        exact = epilogue(scaled, self.offsets, self.rounding, [read.highest for read in reads])
        shape = (chunk.images, self.stream.source.vectors, reads[0].columns)
        codes = [block.reshape(shape) for block in self.stream.codes(chunk)]
        return exact(codes, chunk.buffer("results", shape, exact.dtype))


def _scaled(multipliers: Array, factors: Array) -> Array:
    """Return round(M * F / 2^14) for multipliers [cols] and factors [n, cols]."""
    return half_even(multipliers * factors, FACTOR_ONE)


def mvm(state: PlanState, i: Instruction, index: int) -> Write:
    source, out = state.source(i["in"]), state.out(i["out"])
    blocks = state.blocks(i["block"], i["blocks"])
    count, cols = len(blocks), blocks[0].cols
    multipliers = state.multipliers(i["scale"], count * cols).reshape(count, cols)
    offsets = state.biases(i["bias"], cols)
    checks.count("the output", out.elements, source.vectors * cols)
    product = stream(state, i, source, count, index)
    factors = tuple(state.factors(read.number, cols) for read in product.reads)
    if any(known is None for known in factors):
        compute = CalibratedMvm(product, multipliers, factors, offsets, rounding(i))
        return Write(out, compute, i["low"], i["high"])
    scaled = [_scaled(table, known)[0] for table, known in zip(multipliers, factors, strict=True) if known is not None]
    exact = epilogue(scaled, offsets, rounding(i), [read.highest for read in product.reads])
    return Write(out, Mvm(product, exact), i["low"], i["high"])


@dataclass(frozen=True)
class Capture:
    """Products whose raw ADC codes are kept."""

    stream: Stream

    def __call__(self, chunk: Chunk) -> Array:
        return self.stream.codes(chunk)[0]


def capture(state: PlanState, i: Instruction, index: int) -> Write:
    source, out = state.source(i["in"]), state.out(i["out"])
    block = state.blocks(i["block"], 1)[0]
    checks.count("the output", out.elements, source.vectors * block.cols)
    product = stream(state, i, source, 1, index)
    return Write(out, Capture(product), *state.machine.adc_range)


@dataclass(frozen=True)
class Calibrate:
    """Drift factors of blocks from the sums of |code| over the vectors of `stream`.

    A chip is calibrated once: the noise of these products is that of sample 0, whatever sample follows.
    """

    stream: Stream
    references: Array
    per_column: bool

    def __call__(self, chunk: Chunk) -> None:
        read_codes = self.stream.codes(chunk, np.zeros(chunk.images, np.uint64))
        for read, codes, reference in zip(self.stream.reads, read_codes, self.references, strict=True):
            shape = (chunk.images, self.stream.source.vectors, read.columns)
            sums = np.abs(codes.astype(np.int64)).reshape(shape).sum(axis=1)
            if not self.per_column:
                sums = sums.sum(axis=1, keepdims=True)
            chunk.factors[read.number] = np.broadcast_to(drift_factors(reference, sums), (chunk.images, read.columns))


def drift_factors(references: Array, sums: Array) -> Array:
    """Return clamp(round(2^14 * reference / sum), 1, 65535) for each sum [images, n], 2^14 where it is 0."""
    quotients = half_even(references.astype(object) * FACTOR_ONE, np.maximum(sums, 1).astype(object))
    factors = np.minimum(np.maximum(quotients, 1), FACTOR_HIGHEST).astype(np.int64)
    return np.where(sums == 0, FACTOR_ONE, factors)


def calibrate(state: PlanState, i: Instruction, index: int) -> Effect | None:
    """Plan a calibration; one on constants is done at once, its factors are the same for all images."""
    source = state.source(i["in"])
    blocks = state.blocks(i["block"], i["blocks"])
    per_column = i.choice("per") == "column"
    width = blocks[0].cols if per_column else 1
    references = state.constant(i["reference"], "i64", len(blocks) * width).reshape(len(blocks), width)
    product = stream(state, i, source, len(blocks), index)
    calibration = Calibrate(product, references, per_column)
    if source.space == "act":
        state.calibrated |= {read.number: None for read in product.reads}
        return Effect(calibration)
    chunk = Chunk(1, 0, state.program.constants)
    calibration(chunk)
    state.calibrated |= chunk.factors
    return None
