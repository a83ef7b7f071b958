"""Drift compensation: the vectors a chip reads at time t, and the sums its columns gave when they were new."""

import zlib
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from cimc.ir.attributes import int_value, int_values
from cimc.ir.cores import on_cores
from cimc.ir.graph import Graph
from cimc.ir.types import code_of
from cimc.ir.xbar import MvmOp
from cimc.isa.phases import Phase
from cimc.passes.gains import full_scale
from cimc.passes.read_phases import conducting, driven, phases_of

FILL = 0.5
"""Share of the ADC's range that the largest sum of the read vectors should reach: none may clip, all should count."""


@dataclass(frozen=True)
class Compensation:
    """Give every xbar.mvm read vectors (count, rows) and reference sums of |code| (group, row block, column).

    The vectors are seeded random codes of the layer's own range, scaled down until no column clips in any read phase:
    they need no data, so a program can be compiled again from its ranges alone. 0 vectors: no compensation.
    """

    name: ClassVar[str] = "compensation"
    vectors: int = 32
    active: float = 0.25

    def __call__(self, graph: Graph) -> Graph:
        for op in graph.operations:
            if isinstance(op, MvmOp) and op.shares is None and self.vectors:
                self._prepare(graph, op)
        return graph

    def _prepare(self, graph: Graph, op: MvmOp) -> None:
        assert op.conductance is not None
        label, levels, phases = op.label.data, graph.weights.get(op.conductance), phases_of(op)
        vectors = _random_codes(op, self.vectors, self.active)
        sums = [_sums(op, phase, vectors, levels) for phase in phases]
        excess = max(float(np.abs(one).max(initial=0)) for one in sums) / (FILL * _full_scale(op))
        if excess > 1.0:
            vectors = np.rint(vectors / excess).astype(np.int64)
            sums = [_sums(op, phase, vectors, levels) for phase in phases]

        def reference(number: int) -> NDArray[np.int64]:
            codes = [phase.sign * _codes(op, one[:, number]) for phase, one in zip(phases, sums, strict=True)]
            return np.asarray(np.abs(sum(codes)).sum(axis=1))

        found = np.stack(on_cores(reference, range(sums[0].shape[1]), levels.nbytes), axis=1)
        op.properties["vectors"] = graph.weights.add(f"{label}.vectors", vectors.astype(np.int8))
        op.properties["reference"] = graph.weights.add(f"{label}.reference", found)


def _random_codes(op: MvmOp, count: int, active: float) -> NDArray[np.int64]:
    """Return uniform codes between the layer's zero point and its ends, seeded by its label."""
    code = code_of(op.x)
    generator = np.random.Generator(np.random.Philox(zlib.crc32(op.label.data.encode())))
    low, high = max(code.low.data, -code.high.data), code.high.data
    drawn: NDArray[np.int64] = generator.integers(low, high, (count, op.matrix[1]), np.int64, endpoint=True)
    return drawn * (generator.random(drawn.shape) < active)


def _sums(op: MvmOp, phase: Phase, vectors: NDArray[np.int64], levels: NDArray[np.generic]) -> NDArray[np.int64]:
    """Return the array sums (group, row block, vector, column) of one read phase."""
    vectors, levels = driven(phase, vectors), conducting(phase, levels)
    group, _, cols = levels.shape
    rows = list(pairwise(int_values(op.row_cuts)))
    sums = np.empty((group, len(rows), len(vectors), cols), np.int64)

    def add_up(number: int) -> None:
        a, b = rows[number]
        part = vectors[:, a:b].astype(np.float64)
        for c, d in pairwise(int_values(op.col_cuts)):
            # In double, which is exact here (sums stay far below 2^53) and runs on BLAS.
            sums[:, number, :, c:d] = part @ levels[:, a:b, c:d].astype(np.float64)

    on_cores(add_up, range(len(rows)), levels.nbytes)
    return sums


def _full_scale(op: MvmOp) -> float:
    """Return the array sum that gives the highest ADC code."""
    assert op.adc_high is not None and op.adc_shift is not None and op.adc_multiplier is not None
    return full_scale(int_value(op.adc_high), (int_value(op.adc_multiplier), int_value(op.adc_shift)))


def _codes(op: MvmOp, sums: NDArray[np.int64]) -> NDArray[np.int64]:
    assert op.adc_low is not None and op.adc_high is not None
    gain = int_value(op.adc_multiplier) * 2.0 ** -int_value(op.adc_shift)  # type: ignore[arg-type]
    rounded = np.clip(np.rint(sums * gain), int_value(op.adc_low), int_value(op.adc_high))
    return np.asarray(rounded, np.int64)
