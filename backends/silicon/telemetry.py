"""Range telemetry: what every ADC column clipped and used, and how far noise moves each layer from the exact machine.

A signal-to-noise ratio is the variance of the exact codes over samples and elements, by the mean square of the
difference. Sensitivity: only this layer is noisy, seen at the program's outputs (real values; of several outputs the
mean share of noise). Accumulated: every layer is noisy, seen at this layer's output.
"""

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cimc.backends.interpreter import Interpreter
from cimc.backends.machine import ports
from cimc.backends.machine.facts import Machine, machine
from cimc.backends.machine.observer import Writes
from cimc.backends.noise.sources import Noise
from cimc.backends.plan.walk import Plan, mixed, plan
from cimc.backends.silicon.converter_use import ConverterCounts, ConverterUse
from cimc.isa.conductances import targets
from cimc.isa.program import Instruction, Program
from cimc.isa.region import Region, blocks_streamed, region

Array = NDArray[Any]
Arrays = Mapping[str, Array]
BATCH = 64


@dataclass(frozen=True)
class ColumnUse:
    """One ADC column: conversions clipped at either end, and the codes used: None on ADCs too wide to count them."""

    column: int
    clipped_low: int
    clipped_high: int
    codes_used: int | None
    lowest: int | None
    highest: int | None


@dataclass(frozen=True)
class BlockUse:
    """The columns of one block of a layer."""

    block: int
    tile: int
    row: int
    rows: int
    columns: tuple[ColumnUse, ...]


@dataclass(frozen=True)
class LayerUse:
    """One matrix-vector instruction; ratios in dB, None where nothing is noisy or nothing differs.

    What the common ADC range costs: `clipped_share` of all conversions were clipped; `range_share` is the mean over
    columns of the codes up to the largest used, by all the ADC has (None where they are not counted), the rest is lost
    resolution; `conductance_share` is the mean over columns of the largest target by the highest possible, the rest
    was given up so that sums do not clip.
    """

    instruction: int
    layer: str
    conversions: int
    clipped_share: float
    range_share: float | None
    conductance_share: float
    exact_sensitivity_db: float | None
    exact_accumulated_db: float | None
    blocks: tuple[BlockUse, ...]


@dataclass
class Ratio:
    """Sums from which a signal-to-noise ratio follows."""

    count: int = 0
    total: float = 0.0
    squares: float = 0.0
    noise: float = 0.0

    def add(self, exact: Array, noisy: Array) -> None:
        """Take in equally shaped values."""
        signal = exact.astype(np.float64)
        self.count += signal.size
        self.total += float(signal.sum())
        self.squares += float(np.square(signal).sum())
        self.noise += float(np.square(noisy - signal).sum())

    @property
    def share(self) -> float | None:
        """Noise power by signal power, None without signal."""
        signal = self.squares - self.total * self.total / max(self.count, 1)
        return self.noise / signal if signal > 0 else None


def decibels(shares: list[float | None]) -> float | None:
    """Return the ratio in dB of a mean share of noise, None where it is 0 or unknown."""
    known = [share for share in shares if share is not None]
    mean = sum(known) / len(known) if known else 0.0
    return -10 * math.log10(mean) if mean > 0 else None


@dataclass
class Telemetry:
    """One program on one set of inputs, port name -> codes [N, *shape], exact and as noise disturbs it.

    `chip` is the program as the noisy chip runs it, where that was rewritten by a compensation; by default the same. A
    refitted layer keeps its gains and offsets, those of the wholly noisy chip, where it is the only noisy one.
    """

    program: Program
    inputs: Arrays
    noise: Noise | None
    threads: int = 1
    chip: Program | None = None
    outputs_db: float | None = None
    _exact: Plan = field(init=False)
    _noisy: Plan = field(init=False)

    def __post_init__(self) -> None:
        facts = machine(self.program.meta)
        self.chip = self.chip or self.program
        self._exact = plan(self.program, facts)
        self._noisy = plan(self.chip, facts, self.noise)

    def layers(self) -> Iterator[LayerUse]:
        """Yield every matrix-vector instruction in program order; sets `outputs_db`, where all layers are noisy."""
        accumulated: dict[int, Ratio] = defaultdict(Ratio)
        counters = self._run_both(accumulated)
        exact = self._outputs(self._exact)
        self.outputs_db = self._at_outputs(exact, self._noisy)
        cells: dict[int, Region] = {}
        shares: dict[int, float] = {}
        for index, one in enumerate(self.program.instructions):
            if one.name == "program":
                cells[one["block"]] = region(one)
                shares[one["block"]] = self._conductance_share(one)
            elif one.spec.is_product and index in counters:
                only = mixed(self._exact, self._noisy, self._with_calibration(index))
                blocks = tuple(_block(one, t, cells, counters[index]) for t in range(len(counters[index].clips)))
                yield LayerUse(
                    index,
                    self.program.layer_name(index),
                    counters[index].conversions,
                    float(counters[index].clips.sum()) / max(counters[index].conversions * _columns(blocks), 1),
                    self._range_share(blocks),
                    float(np.mean([shares[block.block] for block in blocks])),
                    self._at_outputs(exact, only),
                    decibels([accumulated[index].share]) if index in accumulated else None,
                    blocks,
                )

    def _range_share(self, blocks: Sequence[BlockUse]) -> float | None:
        """Return the mean over columns of the largest |code| used by the highest code of the ADC."""
        ends = [(c.lowest, c.highest) for block in blocks for c in block.columns]
        used = [max(-low, high) for low, high in ends if low is not None and high is not None]
        return sum(used) / len(used) / machine(self.program.meta).adc_range.high if used else None

    def _conductance_share(self, one: Instruction) -> float:
        """Return the mean over a block's columns of the largest target by the highest possible."""
        largest = np.abs(targets(self.program.conductances, one).astype(np.int32)).max(axis=0)
        return float(largest.mean()) / machine(self.program.meta).full_conductance

    def _run_both(self, accumulated: dict[int, Ratio]) -> dict[int, ConverterCounts]:
        """Run everything noisy, batch by batch, beside the exact machine; return what the ADCs did."""
        exact = self._interpreter(self._exact, chunk=BATCH)
        noisy = self._interpreter(self._noisy, chunk=BATCH, noise=self.noise)
        seen: dict[int, list[Array]] = {}
        reading = {index for index, one in enumerate(self.program.instructions) if one.spec.is_product}
        use = _Comparison(machine(self.program.meta), reading, seen, accumulated)
        count = len(next(iter(self.inputs.values()))) if self.inputs else 1
        for first in range(0, count, BATCH):
            batch = {name: codes[first : first + BATCH] for name, codes in self.inputs.items()}
            if self.noise:
                seen.clear()
                exact.run(batch, Writes(lambda index, values: seen.setdefault(index, []).append(values)))
            noisy.run(batch, use, first=first)
        return use.counts

    def _with_calibration(self, index: int) -> set[int]:
        """Return an instruction and those that calibrate its blocks."""
        layer = set(blocks_streamed(self.program.instructions[index]))
        calibrations = [i for i, one in enumerate(self.program.instructions) if one.name == "calibrate"]
        return {index, *(i for i in calibrations if layer.intersection(blocks_streamed(self.program.instructions[i])))}

    def _interpreter(self, planned: Plan, **options: Any) -> Interpreter:
        """Return an interpreter of a plan; what a compensation rewrote only appends to constant memory."""
        return Interpreter(self.chip or self.program, planned=planned, **options)

    def _outputs(self, planned: Plan) -> Arrays:
        codes = self._interpreter(planned, threads=self.threads, noise=self.noise).run(self.inputs)
        return {port.name: ports.dequantise(port, codes[port.name]) for port in self.program.outputs}

    def _at_outputs(self, exact: Arrays, planned: Plan) -> float | None:
        """Return the ratio at the program's outputs under a plan."""
        if not self.noise:
            return None
        shares = []
        for name, values in self._outputs(planned).items():
            ratio = Ratio()
            ratio.add(exact[name], values)
            shares.append(ratio.share)
        return decibels(shares)


class _Comparison(ConverterUse):
    """Also takes the ratio of what is written to what the exact machine wrote, where that was seen."""

    def __init__(
        self, machine: Machine, instructions: set[int], seen: dict[int, list[Array]], ratios: dict[int, Ratio]
    ) -> None:
        super().__init__(machine, instructions)
        self._seen = seen
        self._ratios = ratios

    def wrote(self, index: int, values: Array) -> None:
        if self._seen:
            self._ratios[index].add(self._seen[index].pop(0), values)


def _columns(blocks: Sequence[BlockUse]) -> int:
    return sum(len(block.columns) for block in blocks)


def _block(one: Instruction, t: int, cells: Mapping[int, Region], counts: ConverterCounts) -> BlockUse:
    number = one["block"] + t
    place = cells[number]
    columns = (_column(place.col + j, j, t, counts) for j in range(place.cols))
    return BlockUse(number, place.tile, place.row, place.rows, tuple(columns))


def _column(column: int, j: int, t: int, counts: ConverterCounts) -> ColumnUse:
    low, high = (int(value) for value in counts.clips[t, :, j])
    if counts.codes is None:
        return ColumnUse(column, low, high, None, None, None)
    used = np.flatnonzero(counts.codes[t, j]) + counts.low
    ends = (int(used[0]), int(used[-1])) if used.size else (None, None)
    return ColumnUse(column, low, high, len(used), *ends)
