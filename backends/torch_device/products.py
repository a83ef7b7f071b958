"""Matrix-vector products on a device: sums, noise of each product, codes."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from cimc.backends.noise.converters import ERROR_BITS, LARGEST_ERROR
from cimc.backends.noise.fixed_point import NORMAL_BITS
from cimc.backends.noise.table import CYCLE, OUTPUT
from cimc.backends.plan.block_read import BlockRead, Conversion
from cimc.backends.plan.exact import Converter, exact_type
from cimc.backends.plan.products import Capture, Mvm, Stream
from cimc.backends.plan.read_noise import Address, Cycle, Fluctuation, NoisyConverter
from cimc.backends.torch_device.draws import normals
from cimc.backends.torch_device.exact import converted, float_type, product, square_root, tensor_epilogue
from cimc.backends.torch_device.memory import Compute, Layout, Memory, Source, Unsuitable
from cimc.isa.limits import SUM_LIMIT
from cimc.isa.phases import Phase


@dataclass(frozen=True)
class TensorCycle:
    """Cycle noise of a block: variances [cols, rows], and the unit of the products of spreads and normal variables."""

    address: Address
    variances: Tensor
    unit: float

    def of(self, inputs: Tensor, memory: Memory) -> Tensor:
        """Return the noise of sums over inputs [rows, vectors * images] as whole doubles [cols, vectors * images]."""
        doubles = inputs.double()
        spread = square_root(product(self.variances, doubles * doubles))
        z = normals(self.address, CYCLE, memory, inputs.shape[1] // memory.images)
        return spread.mul_(z.view(spread.shape)).mul_(self.unit).round_()


@dataclass(frozen=True)
class TensorConverter:
    """ADCs with errors: tables [cols, 1] in doubles, and the noise of each conversion."""

    address: Address
    errors: NoisyConverter
    multipliers: Tensor
    offsets: Tensor
    bows: Tensor
    square: Tensor
    """The highest code squared. A tensor: CUDA would multiply by the inverse of a number."""

    def __call__(self, sums: Tensor, memory: Memory) -> Tensor:
        """Return the codes of sums [cols, vectors * images]; the order of operations is NoisyConverter's."""
        e = self.errors
        products = sums.double() * self.multipliers
        error = self.offsets.expand(products.shape).clone()
        if e.output:
            z = normals(self.address, OUTPUT, memory, sums.shape[1] // memory.images).view(sums.shape)
            error += z.mul_(float(e.output)).mul_(2.0**-NORMAL_BITS).add_(0.5).floor_()
        error += self._bow((products * 2.0**-e.divide).round_())
        error.clamp_(-LARGEST_ERROR, LARGEST_ERROR)
        products += error.mul_(2.0 ** (e.divide - ERROR_BITS)).add_(0.5).floor_()
        products *= 2.0**-e.divide
        return (products.floor_() if e.floor else products.round_()).clamp_(e.low, e.high)

    def _bow(self, codes: Tensor) -> Tensor:
        codes.clamp_(-self.errors.high, self.errors.high)
        return ((self.square - codes.square_()) * self.bows).div_(self.square).floor_()


@dataclass(frozen=True)
class TensorConversion:
    """One read phase of a block: its conductances [cols, rows] and all that its products meet."""

    phase: Phase
    matrix: Tensor
    checked: bool
    adc: Converter
    fluctuations: tuple[TensorCycle, ...]
    converter: TensorConverter | None

    def codes(self, memory: Memory, inputs: Tensor) -> Tensor:
        """Return the ADC codes [cols, vectors * images] of inputs [rows, vectors * images]."""
        sign = self.phase.inputs
        driven = (inputs * sign).clamp_(min=0) if sign else inputs
        sums = product(self.matrix, driven)
        self._require(memory, sums)
        for law in self.fluctuations:
            sums += law.of(driven, memory).to(sums.dtype)
            self._require(memory, sums)
        return self.converter(sums, memory) if self.converter else converted(self.adc, sums)

    def _require(self, memory: Memory, sums: Tensor) -> None:
        if self.checked:
            memory.require(sums, 1 - SUM_LIMIT, SUM_LIMIT - 1)


@dataclass(frozen=True)
class TensorBlockRead:
    """One block of rows, and a type that holds the codes of its products."""

    rows: slice
    dtype: torch.dtype
    conversions: tuple[TensorConversion, ...]

    def codes(self, memory: Memory, vectors: Tensor) -> Tensor:
        """Return the codes [cols, vectors * images] of products with vectors [length, vectors * images]."""
        inputs = vectors[self.rows]
        first, *others = ((each.phase.sign, each.codes(memory, inputs)) for each in self.conversions)
        if not others and first[0] > 0:
            return first[1]
        total = first[1].to(torch.promote_types(self.dtype, first[1].dtype)).mul_(first[0])
        for sign, codes in others:
            total += codes * sign
        return total


@dataclass(frozen=True)
class TensorStream:
    """Vectors streamed through blocks; `touched` is what they read where some of it may be no code of the DAC."""

    source: Source
    touched: Source | None
    low: int
    high: int
    vectors: int
    length: int
    dtype: torch.dtype
    blocks: tuple[TensorBlockRead, ...]

    def codes(self, memory: Memory) -> list[Tensor]:
        """Return the ADC codes [cols, vectors * images] of each block."""
        if self.touched:
            memory.require(self.touched.read(memory), self.low, self.high)
        inputs = self.source.read(memory).to(self.dtype).reshape(self.length, self.vectors * memory.images)
        return [block.codes(memory, inputs) for block in self.blocks]

    def in_order(self, memory: Memory, results: Tensor) -> Tensor:
        """Return results [cols, vectors * images] in stream order."""
        return results.view(-1, self.vectors, memory.images).transpose(0, 1)


def mvm(compute: Mvm, layout: Layout) -> Compute:
    """Return the device form of products with their epilogue."""
    stream, epilogue = _stream(compute.stream, layout), tensor_epilogue(compute.epilogue, layout)
    return lambda memory: stream.in_order(memory, epilogue(stream.codes(memory)))


def capture(compute: Capture, layout: Layout) -> Compute:
    """Return the device form of products whose codes are kept."""
    stream = _stream(compute.stream, layout)
    return lambda memory: stream.in_order(memory, stream.codes(memory)[0])


def _stream(stream: Stream, layout: Layout) -> TensorStream:
    state, low, high = stream.source, stream.low, stream.high
    source = layout.source(state, (1, 2, 0))
    if source.padded and not low <= source.fill <= high:
        raise Unsuitable  # the processor traps
    inside = low <= state.lowest and state.highest <= high
    dtype = float_type(stream.reads[0].dtype)
    blocks = tuple(_read(read, layout) for read in stream.reads)
    touched = None if inside else layout.touched(state)
    return TensorStream(source, touched, low, high, state.vectors, state.length, dtype, blocks)


def _read(read: BlockRead, layout: Layout) -> TensorBlockRead:
    conversions = tuple(_conversion(each, layout) for each in read.conversions)
    return TensorBlockRead(read.rows, float_type(exact_type(read.codes.magnitude)), conversions)


def _conversion(read: Conversion, layout: Layout) -> TensorConversion:
    if read.negative is not None:
        raise Unsuitable  # numpy knows two matrices
    fluctuations: tuple[TensorCycle, ...] = ()
    converter = None
    if read.noise:
        fluctuations = tuple(_fluctuation(law, read.noise.address, layout) for law in read.noise.fluctuations)
        converter = _converter(read.noise.converter, read.noise.address, layout) if read.noise.converter else None
    matrix = layout.tensor(read.matrix.T)
    return TensorConversion(read.phase, matrix, read.bound >= SUM_LIMIT, read.adc, fluctuations, converter)


def _fluctuation(law: Fluctuation, address: Address, layout: Layout) -> TensorCycle:
    if not isinstance(law, Cycle):
        raise Unsuitable  # numpy knows all laws
    return TensorCycle(address, layout.tensor(law.variances.T), 2.0 ** -(NORMAL_BITS + law.unit_bits))


def _converter(errors: NoisyConverter, address: Address, layout: Layout) -> TensorConverter:
    if errors.thresholds is not None:
        raise Unsuitable  # numpy counts thresholds
    multipliers, offsets, bows = (
        layout.tensor(table[:, None]) for table in (errors.multipliers, errors.offsets, errors.bows)
    )
    square = layout.tensor(np.array(float(errors.high * errors.high)))
    return TensorConverter(address, errors, multipliers, offsets, bows, square)
