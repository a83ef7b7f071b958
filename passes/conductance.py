"""Conductance range per column: device targets, the digital inverse scale, and the epilogue of every layer."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from cimc.diagnostics import fail
from cimc.ir.attributes import integer
from cimc.ir.facts import GAIN, PEAKS, SHARED_RANGE
from cimc.ir.graph import Graph
from cimc.ir.location import names_of
from cimc.ir.types import code_of
from cimc.ir.xbar import MvmOp
from cimc.isa.limits import ACCUMULATOR_BITS, ACCUMULATOR_LIMIT, SUM_BITS, SUM_LIMIT
from cimc.isa.phases import reach
from cimc.passes.column_ranges import full_scale_blocks, largest_weights
from cimc.passes.read_phases import phases_of
from cimc.passes.requantise import multipliers, offsets
from cimc.targets import Target


@dataclass(frozen=True)
class Conductance:
    """Turn real weights into conductance differences, multipliers, offsets and the ADC gain of every xbar.mvm.

    Column j of block t is scaled by g = min(1, full scale / peak), so that its largest sum just fills the ADC. Where
    the weights are whole multiples of known steps, g is lowered by up to 1 - `whole` to represent them exactly.
    """

    name: ClassVar[str] = "conductance"
    target: Target
    whole: float = 0.97

    def __call__(self, graph: Graph) -> Graph:
        for op in graph.operations:
            if isinstance(op, MvmOp):
                self._program(graph, op, GAIN.get(op) or GAIN.of(graph.module))
                GAIN.drop(op)
        GAIN.drop(graph.module)
        return graph

    def _program(self, graph: Graph, op: MvmOp, gain: tuple[int, int]) -> None:
        assert op.weight is not None and op.bias is not None
        factor = self._range_factors(graph.weights.get(PEAKS.of(op)), gain)
        shared = SHARED_RANGE.get(op) is not None
        for used_up in (PEAKS, SHARED_RANGE):
            used_up.drop(op)
        weight, full = graph.weights.get(op.weight), self.target.full_conductance
        largest = largest_weights(op, weight, shared)
        if op.steps is not None:
            factor = self._whole(factor, largest, graph.weights.get(op.steps))
        levels = np.empty(weight.shape, np.int16)
        sums, magnitudes = np.zeros(factor.shape), np.zeros(factor.shape)
        for number, rows, cols, unrounded in full_scale_blocks(op, weight, largest, full):
            block = np.rint(unrounded * factor[:, number, np.newaxis, cols])
            levels[:, rows, cols] = block
            sums[:, number, cols] = block.sum(axis=1)
            magnitudes[:, number, cols] = np.abs(block).sum(axis=1)
        self._epilogue(graph, op, sums.astype(np.int64), largest / (full * factor), gain)
        self._check_bounds(graph, op, magnitudes.astype(np.int64))
        op.properties["conductance"] = graph.weights.add(f"{op.label.data}.conductance", levels)
        for used in ("weight", "steps", "bias"):
            op.properties.pop(used, None)

    def _range_factors(self, peaks: NDArray[np.generic], gain: tuple[int, int]) -> NDArray[np.float64]:
        full_scale = self.target.adc_range[1] * 2.0 ** gain[1] / gain[0]
        return np.minimum(1.0, full_scale / np.maximum(np.asarray(peaks, np.float64), 1.0))

    def _whole(
        self, factor: NDArray[np.float64], largest: NDArray[np.float64], steps: NDArray[np.generic]
    ) -> NDArray[np.float64]:
        """Return factors at which every weight is a whole number of conductance units, where that costs little.

        Columns read by an ADC without a gain need not be as large as they can be: there it costs nothing.
        """
        multiples = np.maximum(np.rint(largest / np.asarray(steps, np.float64)[:, np.newaxis]), 1.0)
        full = self.target.full_conductance
        whole = np.floor(full * factor / multiples) * multiples / full
        least = 0.0 if self.target.constants["adc.gain"] == "unity" else self.whole
        return np.where((whole > 0.0) & (whole >= least * factor), whole, factor)

    def _epilogue(
        self, graph: Graph, op: MvmOp, sums: NDArray[np.int64], step: NDArray[np.float64], gain: tuple[int, int]
    ) -> None:
        """Set scale, offset and ADC of a layer whose conductances sum up to `sums` (group, row block, column)."""
        label, x, y = op.label.data, code_of(op.x), code_of(op.out)
        assert op.bias is not None
        code_value = 2.0 ** gain[1] / gain[0]
        scale, shift = multipliers(step * (x.scale.data * code_value / y.scale.data), label)
        bias = graph.weights.get(op.bias).astype(np.float64)
        zeros = np.rint(x.zero.data * (sums / code_value * scale).sum(axis=1)).astype(np.int64).ravel()
        offset = offsets(bias / y.scale.data + y.zero.data, shift, label) - zeros
        low, high = self.target.adc_range
        phases = int(self.target.constants["read_phases"])
        op.properties |= {
            "scale": graph.weights.add(f"{label}.scale", scale.astype(np.int32)),
            "offset": graph.weights.add(f"{label}.offset", offset),
            "shift": integer(shift),
            "adc_multiplier": integer(gain[0]),
            "adc_shift": integer(gain[1]),
            "adc_low": integer(low),
            "adc_high": integer(high),
        }
        if phases > 1:
            op.properties["read_phases"] = integer(phases)

    def _check_bounds(self, graph: Graph, op: MvmOp, magnitudes: NDArray[np.int64]) -> None:
        """Refuse a layer whose array sums or accumulators could leave the machine's integers."""
        assert op.scale is not None and op.offset is not None
        high = max(abs(code_of(op.x).low.data), abs(code_of(op.x).high.data))
        sums = magnitudes * high
        codes = reach(phases_of(op), min(self.target.adc_range[1] + 1, int(sums.max(initial=0)) + 1))
        total = (np.abs(graph.weights.get(op.scale).astype(np.int64)).sum(axis=1) * codes).ravel() + np.abs(
            graph.weights.get(op.offset)
        )
        if int(sums.max(initial=0)) >= SUM_LIMIT or int(total.max(initial=0)) >= ACCUMULATOR_LIMIT:
            node = ", ".join(names_of(op.location))
            found = f"array sums reach {int(sums.max())}, the accumulator {int(total.max())}"
            raise fail(
                "CIM0304",
                f"{found}; the limits are 2^{SUM_BITS} and 2^{ACCUMULATOR_BITS}",
                node=node,
                hint="use smaller tiles or check the ranges",
            )
