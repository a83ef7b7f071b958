"""Matrix-vector products on the arrays: mvm, capture and calibrate over a chunk of images."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from cimc.backends.machine import checks
from cimc.backends.machine.observer import Observer
from cimc.backends.machine.traps import Trap
from cimc.backends.plan.block_read import BlockRead, Conversion
from cimc.backends.plan.exact import Epilogue, Rounding, epilogue, half_even
from cimc.backends.plan.memory import Array, Chunk
from cimc.backends.plan.moving import Occasion
from cimc.backends.plan.observing import Clips, Gathering, Probe, Tally, no_clips
from cimc.backends.plan.state import Action, Builder, Effect, PlanState, Write, rounding
from cimc.isa.limits import FACTOR_HIGHEST
from cimc.isa.phases import joined_range
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

    def probe(self, chunk: Chunk) -> Gathering | None:
        """Return what gathers the products that the chunk's observer wants to see, None where it wants none."""
        if chunk.observer is None:
            return None
        if chunk.observer.wants_sums(self.index):
            return Tally(chunk, self.index, self.source, self.reads, max(-self.low, self.high))
        if chunk.observer.wants_clips(self.index):
            return Clips(chunk.observer, self.index, no_clips(chunk.images))
        count = self.source.vectors
        chosen = chunk.observer.vectors(self.index, count)
        return Probe(chunk.observer, self.index, chunk.images, count, chosen) if len(chosen) else None

    def codes(self, chunk: Chunk, probe: Gathering | None, occasion: Occasion) -> list[Array]:
        """Return the ADC codes [images * vectors, cols] of each block, in buffers of their own."""
        dtype = self.reads[0].dtype
        vectors = chunk.vectors(self.source, dtype)
        self._require_inputs(chunk, vectors)
        flat = vectors.reshape(-1, self.source.length)
        return [self._of_block(t, flat, chunk, occasion, probe) for t in range(len(self.reads))]

    def _of_block(self, t: int, vectors: Array, chunk: Chunk, occasion: Occasion, probe: Gathering | None) -> Array:
        """Return the codes of the products of block t, in buffers of its own."""
        read, found = self.reads[t], []
        inputs = vectors[:, read.rows]
        if probe:
            probe.begin(read, inputs)
        for each in read.conversions:
            out = chunk.buffer(f"sums {t} {each.phase.number}", (len(inputs), read.columns), vectors.dtype)
            found.append(_converted(each, inputs, out, occasion, probe))
        return read.joined(found)

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


def _converted(read: Conversion, inputs: Array, out: Array, occasion: Occasion, probe: Gathering | None) -> Array:
    """Return the ADC's codes of one read phase."""
    driven = read.driven(inputs)
    sums = read.sums(driven, out, occasion)
    if probe is None:
        return read.clipped(read.unclipped(sums, occasion))
    probe.meet(sums)
    unclipped = read.unclipped(sums, occasion)
    probe.take(read, unclipped)
    return read.clipped(unclipped)


def stream(state: PlanState, i: Instruction, source: StreamState, count: int, index: int) -> Stream:
    """Return the stream of `source` through `count` blocks, all in the widest type that any of them needs."""
    numbers = range(i["block"], i["block"] + count)
    checks.count("a vector", source.length, sum(state.crossbar.block(number).rows for number in numbers))
    reads: list[BlockRead] = []
    for number in numbers:
        start = reads[-1].rows.stop if reads else 0
        reads.append(state.crossbar.read(number, start, state.machine.phases(source)))
    widest = np.result_type(*(read.dtype for read in reads))
    return Stream(index, source, tuple(read.computed_in(widest) for read in reads), *state.machine.dac_range)


@dataclass(frozen=True)
class Mvm:
    """Products with the epilogue of blocks whose drift factors are known."""

    stream: Stream
    epilogue: Epilogue

    def __call__(self, chunk: Chunk) -> Array:
        probe = self.stream.probe(chunk)
        codes = self.stream.codes(chunk, probe, chunk.occasion)
        results = self.epilogue(codes, chunk.buffer("results", codes[0].shape, self.epilogue.dtype))
        if probe:
            probe.show(self.epilogue)
        return results


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
        exact = epilogue(scaled, self.offsets, self.rounding, [read.codes.magnitude for read in reads])
        shape = (chunk.images, self.stream.source.vectors, reads[0].columns)
        probe = self.stream.probe(chunk)
        codes = [block.reshape(shape) for block in self.stream.codes(chunk, probe, chunk.occasion)]
        results = exact(codes, chunk.buffer("results", shape, exact.dtype))
        if probe:
            probe.show(exact)
        return results


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
    exact = epilogue(scaled, offsets, rounding(i), [read.codes.magnitude for read in product.reads])
    return Write(out, Mvm(product, exact), i["low"], i["high"])


@dataclass(frozen=True)
class Capture:
    """Products whose raw ADC codes are kept."""

    stream: Stream

    def __call__(self, chunk: Chunk) -> Array:
        probe = self.stream.probe(chunk)
        codes = self.stream.codes(chunk, probe, chunk.occasion)[0]
        if probe:
            probe.show()
        return codes


def capture(state: PlanState, i: Instruction, index: int) -> Write:
    source, out = state.source(i["in"]), state.out(i["out"])
    block = state.blocks(i["block"], 1)[0]
    checks.count("the output", out.elements, source.vectors * block.cols)
    product = stream(state, i, source, 1, index)
    return Write(out, Capture(product), *joined_range(state.machine.phases(source), state.machine.adc_range))


@dataclass(frozen=True)
class Calibrate:
    """Drift factors of blocks from the sums of |code| over the vectors of `stream`.

    A chip is calibrated once: the noise of these products is that of sample 0, whatever sample follows.
    """

    stream: Stream
    references: Array
    per_column: bool

    def __call__(self, chunk: Chunk) -> None:
        probe = self.stream.probe(chunk)
        occasion = replace(chunk.occasion, samples=np.zeros(chunk.images, np.uint64))
        read_codes = self.stream.codes(chunk, probe, occasion)
        for read, codes, reference in zip(self.stream.reads, read_codes, self.references, strict=True):
            shape = (chunk.images, self.stream.source.vectors, read.columns)
            sums = np.abs(codes.astype(np.int64)).reshape(shape).sum(axis=1)
            if not self.per_column:
                sums = sums.sum(axis=1, keepdims=True)
            chunk.factors[read.number] = np.broadcast_to(drift_factors(reference, sums), (chunk.images, read.columns))
        if probe:
            probe.show(factors=np.stack([chunk.factors[read.number] for read in self.stream.reads], axis=1))


@dataclass(frozen=True)
class Told:
    """A calibration on constants, done while planning: it is done again where an observer wants to see its products."""

    calibration: Calibrate
    constants: bytes

    def __call__(self, chunk: Chunk) -> None:
        alone = Chunk(1, 0, self.constants)
        alone.observer = chunk.observer
        if self.calibration.stream.probe(alone):
            self.calibration(alone)


def drift_factors(references: Array, sums: Array) -> Array:
    """Return clamp(round(2^14 * reference / sum), 1, 65535) for each sum [images, n], 2^14 where it is 0."""
    quotients = half_even(references.astype(object) * FACTOR_ONE, np.maximum(sums, 1).astype(object))
    factors = np.minimum(np.maximum(quotients, 1), FACTOR_HIGHEST).astype(np.int64)
    return np.where(sums == 0, FACTOR_ONE, factors)


def calibrate(state: PlanState, i: Instruction, index: int) -> Effect:
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
    return Effect(Told(calibration, state.program.constants), is_planned=True)


def is_probed(step: Action, observer: Observer) -> bool:
    """Return whether an observer wants to see products of what a step does, or their sums or clips."""
    stream = streamed_by(step)
    if stream is None:
        return False
    index = stream.index
    is_counted = observer.wants_sums(index) or observer.wants_clips(index)
    return is_counted or len(observer.vectors(index, stream.source.vectors)) > 0


def streamed_by(step: Action) -> Stream | None:
    """Return the vectors that a step streams through blocks, None where it streams none."""
    compute = step.compute if isinstance(step, Write) else None
    return compute.stream if isinstance(compute, (Mvm, CalibratedMvm, Capture)) else None


BUILDERS: Mapping[str, Builder] = {
    "calibrate": calibrate,
    "mvm": mvm,
    "capture": capture,
}
