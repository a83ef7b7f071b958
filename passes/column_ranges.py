"""Calibrate columns: the largest array sum of every column on data, and the one ADC gain that suits all layers."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from cimc.diagnostics import fail
from cimc.evaluate import Batch, Evaluator, samples_at_once
from cimc.ir.attributes import int_values
from cimc.ir.cores import on_cores
from cimc.ir.facts import APART, GAIN, PEAKS, SHARED_RANGE
from cimc.ir.graph import Graph
from cimc.ir.location import names_of
from cimc.ir.loop import scan_of
from cimc.ir.nn import Computed
from cimc.ir.types import code_of, shape_of
from cimc.ir.xbar import MvmOp
from cimc.isa.phases import ONE, Phase
from cimc.passes.chosen import Chosen
from cimc.passes.gains import UNITY_GAIN, Cost, Gain, common_gain, gains_by_tile
from cimc.passes.ranges import Ranges, rounded
from cimc.passes.read_phases import conducting, driven, phases_of
from cimc.targets import Target

VECTORS = 1 << 16
FEWEST_VECTORS = 64
"""Vectors looked at per layer, spread over all samples, and at least so many of each sample."""
Reals = NDArray[np.float64]
Reals32 = NDArray[np.float32]


@dataclass(frozen=True)
class DeviceError:
    """What a cell may be off by, in conductance units: standard deviation at target 0, variance gained per unit."""

    sigma: float
    growth: float

    def variance(self, targets: Reals) -> Reals:
        """Return the variance at mean |targets|."""
        return self.sigma**2 + self.growth * targets


@dataclass(frozen=True)
class ColumnRanges:
    """Write `cim.peaks` (group, row block, column) on every mvm and `cim.gain` (m, k) on the module.

    Where the target's tiles have gains of their own, `cim.gain` is on every mvm: layers of one gain may share tiles.

    Stored `ranges` win over data. The gain is chosen to allow for errors of devices: a cell asked for T is off by a
    variance of device_sigma^2 + device_growth |T|, in conductance units (2^-fraction_bits levels); more of it keeps
    conductances large at the cost of ADC resolution. `cimc compile --noise` sets both from a profile's physics.
    `per` is column, or block: one conductance range for all columns of a block. The range of a column is its largest
    |sum|, or with `deviations` L its mean + L standard deviations of |sum| (arXiv 2401.09859), on the first `samples`
    samples of the data (0: all). Columns whose ranges training has learnt, as `chosen` says, have those.
    """

    name: ClassVar[str] = "column-ranges"
    target: Target
    data: Batch = field(default_factory=dict, repr=False)
    ranges: Ranges | None = field(default=None, repr=False)
    device_sigma: float = 2.0
    device_growth: float = 0.0
    per: str = "column"
    deviations: float = 0.0
    samples: int = 0
    chosen: Chosen = field(default_factory=Chosen, repr=False)

    def __call__(self, graph: Graph) -> Graph:
        layers = [op for op in graph.operations if isinstance(op, MvmOp)]
        by_label = {op.label.data: op for op in layers}
        gains: dict[str, Gain] = dict.fromkeys(by_label, UNITY_GAIN)
        if self.target.constants["adc.gain"] == "unity":
            peaks = {op.label.data: np.zeros(_peak_shape(op), np.int64) for op in layers}
        elif self.ranges is not None:
            peaks = {label: self._of_layer(self.ranges, op) for label, op in by_label.items()}
            gains = dict.fromkeys(by_label, self.ranges.gain or UNITY_GAIN) | self.ranges.gains
        else:
            data = {name: array[: self.samples or None] for name, array in self.data.items()}
            statistics = measured(graph, layers, data, self.target, self.per == "block")
            if self.deviations:
                for found in statistics.values():
                    found.largest = found.spread(self.deviations)
            learnt = self.chosen.learnt
            for op in (by_label[label] for label in learnt.columns):
                statistics[op.label.data].largest = self._of_layer(learnt, op).astype(np.float64)
            peaks = {label: found.peaks() for label, found in statistics.items()}
            owners = {op.label.data: statistics[op.label.data] for op in layers if op.shares is None}
            gains = self._gains(owners)
        for op in (op for op in layers if op.shares is not None):
            _share(op, peaks, gains)
        for op in layers:
            if self.per == "block":
                SHARED_RANGE.note(op, True)
            PEAKS.note(op, graph.weights.add(f"{op.label.data}.peaks", peaks[op.label.data]))
            if self.target.constants["adc.gain"] == "tile":
                GAIN.note(op, gains[op.label.data])
        if self.target.constants["adc.gain"] != "tile":
            GAIN.note(graph.module, next(iter(gains.values()), UNITY_GAIN))
        return graph

    def _gains(self, statistics: "Mapping[str, Statistics]") -> dict[str, Gain]:
        """Return the gain of each layer: one of all, or one of those that may share tiles."""
        high = self.target.adc_range.high
        costs: dict[str, Cost] = {
            label: lambda scale, found=found: sum(found.noise_shares(scale, high, self.error))  # type: ignore[misc]
            for label, found in statistics.items()
        }
        peaks = {label: float(found.largest.max(initial=0.0)) for label, found in statistics.items()}
        if self.target.constants["adc.gain"] == "tile":
            return gains_by_tile(peaks, costs, self.target)
        common = common_gain(max(peaks.values(), default=0.0), list(costs.values()), self.target)
        return dict.fromkeys(statistics, common)

    @property
    def error(self) -> "DeviceError":
        return DeviceError(self.device_sigma, self.device_growth)

    def _of_layer(self, ranges: Ranges, op: MvmOp) -> NDArray[np.int64]:
        """Return the peaks that ranges hold of a layer. Raises CimcError CIM0204."""
        stored, shape = ranges.columns.get(op.label.data, ()), _peak_shape(op)
        if len(stored) != math.prod(shape):
            node = ", ".join(names_of(op.location))
            raise fail(
                "CIM0204",
                f"the ranges hold {len(stored)} columns for {op.label.data!r}, the layer has {math.prod(shape)}",
                node=node,
                hint="they belong to another model, target or version",
            )
        return np.array(stored, np.int64).reshape(shape)


def _share(op: MvmOp, peaks: dict[str, NDArray[np.int64]], gains: dict[str, Gain]) -> None:
    """Give a layer and the one whose blocks it reads the larger of their peaks, and the gain of that one."""
    assert op.shares is not None
    own, owner = op.label.data, op.shares.data
    peaks[own] = peaks[owner] = np.maximum(peaks[own], peaks[owner])
    gains[own] = gains[owner]


def largest_weights(op: MvmOp, weight: NDArray[np.generic], shared: bool) -> Reals:
    """Return w_max (group, row block, column): of each column of each block, with `shared` of its largest column."""

    def largest_of(cuts: tuple[int, int]) -> NDArray[np.generic]:
        part = weight[:, slice(*cuts)]
        return np.asarray(np.maximum(part.max(axis=1), -part.min(axis=1)))

    largest = np.abs(np.stack(on_cores(largest_of, pairwise(int_values(op.row_cuts)), weight.nbytes), axis=1))
    found: Reals = largest.astype(np.float64)
    return _of_largest_column(found) if shared else found


def on_full_scale_blocks(
    work: Callable[[int, slice, slice, Reals], None],
    op: MvmOp,
    weight: NDArray[np.generic],
    largest: Reals,
    full: int,
) -> None:
    """Do work on W / w_max * full, unrounded, of each block of a tile's size: number of the row block, rows, columns.

    The values are the work's to change while it lasts: blocks of the same rows lie in the same memory. Large layers
    are worked on by all cores, each at other rows.
    """
    row_cuts, col_cuts = int_values(op.row_cuts), int_values(op.col_cuts)
    widest = int(np.diff(col_cuts).max())

    def on_rows(number: int) -> None:
        a, b = row_cuts[number : number + 2]
        memory = np.empty(len(weight) * (b - a) * widest)
        for c, d in pairwise(col_cuts):
            most, block = largest[:, number, np.newaxis, c:d], weight[:, a:b, c:d]
            real = memory[: block.size].reshape(block.shape)
            np.divide(block, np.where(most > 0.0, most, 1.0) / full, out=real, dtype=np.float64)
            work(number, slice(a, b), slice(c, d), real)

    on_cores(on_rows, range(len(row_cuts) - 1), weight.nbytes)


def _of_largest_column(values: Reals) -> Reals:
    """Return values (group, row block, column) with the largest column's in place of every column's."""
    return np.broadcast_to(values.max(axis=2, keepdims=True), values.shape)


def _peak_shape(op: MvmOp) -> tuple[int, int, int]:
    group, _, cols = op.matrix
    return group, len(int_values(op.row_cuts)) - 1, cols


class Statistics:
    """What one layer's array sums do on the data, at full conductance (units: codes x conductance)."""

    def __init__(
        self, op: MvmOp, weight: NDArray[np.generic], full: int, shared: bool, phases: Sequence[Phase] = ONE
    ) -> None:
        self.phases = phases
        self.apart = APART.get(op) or 1
        self.zero = code_of(op.x).zero.data
        self.cuts = int_values(op.row_cuts)
        largest = largest_weights(op, weight, shared)
        self.shared = shared
        self.matrix = np.empty(op.matrix, np.float32)

        def fill(_: int, rows: slice, cols: slice, scaled: Reals) -> None:
            self.matrix[:, rows, cols] = np.rint(scaled)

        on_full_scale_blocks(fill, op, weight, largest, full)
        self.step = largest / full
        self.targets = self._mean_targets()
        self.largest = np.zeros(_peak_shape(op))
        self.magnitudes, self.powers = (np.zeros((len(phases), *_peak_shape(op))) for _ in range(2))
        self.energy = np.zeros(_peak_shape(op)[:2])
        self.count = 0
        self.sum = np.zeros((self.matrix.shape[0], self.matrix.shape[2]))
        self.squares = np.zeros_like(self.sum)

    def add(self, vectors: NDArray[np.float32]) -> None:
        """Take in im2col vectors (group, vector, row) of codes."""
        self.count += vectors.shape[1]
        for group, rows in enumerate(vectors):
            output = np.zeros((rows.shape[0], self.matrix.shape[2]), np.float32)
            for block, (a, b) in enumerate(zip(self.cuts, self.cuts[1:], strict=False)):
                matrix, part = self.matrix[group, a:b], rows[:, a:b]
                sums = part @ matrix
                self._add_sums((group, block), sums, matrix, part)
                self.energy[group, block] += self._energy(part)
                output += (sums - self.zero * matrix.sum(axis=0)) * self.step[group, block].astype(np.float32)
            self.sum[group] += output.sum(axis=0, dtype=np.float64)
            self.squares[group] += np.einsum("ij,ij->j", output, output)

    def _add_sums(self, at: tuple[int, int], sums: Reals32, matrix: Reals32, vectors: Reals32) -> None:
        """Take in what each read phase converts; `sums` are those of the whole product."""
        for number, phase in enumerate(self.phases):
            read = sums if phase == ONE[0] else driven(phase, vectors) @ conducting(phase, matrix)
            found = np.maximum(read.max(axis=0), -read.min(axis=0))
            self.largest[at] = np.maximum(self.largest[at], found)
            self.magnitudes[(number, *at)] += np.abs(read).sum(axis=0, dtype=np.float64)
            self.powers[(number, *at)] += np.square(read, dtype=np.float64).sum(axis=0)

    def _energy(self, rows: NDArray[np.float32]) -> float:
        """Return the sum of (code - zero point)^2 over all vectors."""
        flat = np.ascontiguousarray(rows).ravel()
        return float(flat @ flat) - 2.0 * self.zero * float(flat.sum()) + self.zero**2 * flat.size

    def _mean_targets(self) -> Reals:
        """Return the mean |conductance| (group, row block, column) that is asked for at full conductance."""
        means = [np.abs(self.matrix[:, a:b]).mean(axis=1) for a, b in pairwise(self.cuts)]
        return np.stack(means, axis=1).astype(np.float64)

    def spread(self, deviations: float) -> Reals:
        """Return mean + L standard deviations of |array sum|, in the read phase where that is largest."""
        mean, power = self.magnitudes / max(self.count, 1), self.powers / max(self.count, 1)
        spread: Reals = mean + deviations * np.sqrt(np.maximum(power - np.square(mean), 0.0))
        return np.asarray(spread.max(axis=0))

    def peaks(self) -> NDArray[np.int64]:
        largest = _of_largest_column(self.largest) if self.shared else self.largest
        flat = [int(rounded(float(peak))) for peak in largest.ravel()]
        return np.array(flat, np.int64).reshape(self.largest.shape)

    def noise_shares(self, full_scale: float, adc_high: int, error: DeviceError) -> tuple[float, float]:
        """Return what a common full scale costs, as power over signal power.

        First resolution, ADC rounding in each read phase, which grows with the full scale; then conductance, the
        rounding and error of conductances, which grows where columns have to be made smaller for sums not to clip.
        Of n copies that round apart the mean has steps of 1 / n, errors of n devices, and conductances rounded alike.
        """
        factor = np.minimum(1.0, full_scale / np.maximum(self.largest, 1.0))
        step = self.step / factor
        converter = len(self.phases) * np.square(full_scale / adc_high / self.apart * step).sum()
        variance = error.variance(self.targets * factor) / self.apart
        conductance = ((1.0 + 12.0 * variance) * self._power(step)).sum()
        return self._shares(converter, conductance)

    def rounding_shares(self) -> tuple[float, float]:
        """Return what the codes of the input, and the conductances, are rounded by, as power over signal power.

        Infinite where a signal is left that never changes: conductances may all be rounded to zero.
        """
        inputs = sum(
            float((np.square(self.matrix[:, a:b], dtype=np.float64).sum(axis=1) * np.square(self.step[:, block])).sum())
            for block, (a, b) in enumerate(pairwise(self.cuts))
        )
        return self._shares(inputs, float(self._power(self.step).sum()), math.inf)

    def _power(self, step: Reals) -> Reals:
        """Return the power (group, row block, column) of an error of one `step` of conductance in every cell."""
        power: Reals = np.square(step) * (self.energy / max(self.count, 1))[:, :, np.newaxis]
        return power

    def _shares(self, first: float, second: float, without: float = 0.0) -> tuple[float, float]:
        """Return the power of roundings to steps of so much power, as shares of the signal's; `without` one, that."""
        signal = (self.squares / max(self.count, 1) - np.square(self.sum / max(self.count, 1))).sum()
        if signal > 0.0:
            return float(first / 12.0 / signal), float(second / 12.0 / signal)
        return (without if first else 0.0), (without if second else 0.0)


def measured(graph: Graph, layers: list[MvmOp], data: Batch, target: Target, shared: bool) -> dict[str, Statistics]:
    found = {}
    for op in layers:
        assert op.weight is not None
        phases = phases_of(op, int(target.constants["read_phases"]))
        weight = graph.weights.get(op.weight)
        found[op.label.data] = Statistics(op, weight, target.full_conductance, shared, phases)
    readers: dict[str, list[MvmOp]] = {}
    for op in layers:
        readers.setdefault(_label_of_input(op), []).append(op)
    share = max(VECTORS // len(next(iter(data.values()))), FEWEST_VECTORS)
    evaluator = Evaluator(graph, values=sorted(readers), batch=samples_at_once(graph))
    for label, array in evaluator.arrays(data):
        for op in readers[label]:
            found[op.label.data].add(_vectors(op, np.asarray(array, np.float32), share))
    return found


def _label_of_input(op: MvmOp) -> str:
    owner = op.x.owner
    assert isinstance(owner, Computed)
    return str(owner.label.data)


def _vectors(op: MvmOp, samples: NDArray[np.float32], share: int) -> NDArray[np.float32]:
    """Return up to `share` evenly spaced im2col vectors of each sample, (group, vector, row)."""
    group, rows, _ = op.matrix
    window = int_values(op.window)
    if scan_of(op):  # what one sample gives in each step counts as a sample
        samples = samples.reshape(-1, *shape_of(op.x))
    if not window:
        flat = samples.reshape(len(samples), -1, samples.shape[-1])
        return flat[:, _spread(flat.shape[1], share)].reshape(1, -1, rows)
    kernel, stride, dilation, pad, out = (window[index : index + 2] for index in (0, 2, 4, 6, 8))
    picked = _spread(out[0] * out[1], share)
    reach = [
        stride[a] * (out[a] - 1) + dilation[a] * (kernel[a] - 1) + 1 - pad[a] - samples.shape[a + 1] for a in (0, 1)
    ]
    edges = ((0, 0), (pad[0], max(reach[0], 0)), (pad[1], max(reach[1], 0)), (0, 0))
    padded = np.pad(samples, edges, constant_values=code_of(op.x).zero.data)
    y, x = picked // out[1] * stride[0], picked % out[1] * stride[1]
    taps = [padded[:, y + i * dilation[0], x + j * dilation[1]] for i in range(kernel[0]) for j in range(kernel[1])]
    stacked = np.stack(taps, axis=2).reshape(len(samples) * len(picked), len(taps), group, -1)
    return np.ascontiguousarray(np.moveaxis(stacked, 2, 0)).reshape(group, -1, rows)


def _spread(count: int, share: int) -> NDArray[np.int64]:
    return np.arange(count) if count <= share else np.arange(share) * count // share
