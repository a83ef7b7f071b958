"""Conductance range per column: device targets, the digital inverse scale, and the epilogue of every layer."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from xdsl.rewriter import Rewriter

from cimc.diagnostics import fail
from cimc.ir.attributes import int_value, integer, integers
from cimc.ir.facts import APART, GAIN, PEAKS, SHARED_RANGE
from cimc.ir.graph import Graph
from cimc.ir.location import names_of
from cimc.ir.types import CodeType, code_of, code_tensor, shape_of
from cimc.ir.xbar import AddOp, MvmOp
from cimc.isa.limits import ACCUMULATOR_BITS, ACCUMULATOR_LIMIT, SUM_BITS, SUM_LIMIT
from cimc.isa.phases import reach
from cimc.passes.column_ranges import largest_weights, on_full_scale_blocks
from cimc.passes.dither import drive
from cimc.passes.gains import full_scale
from cimc.passes.read_phases import phases_of
from cimc.passes.requantise import multipliers, offsets, rounding_of
from cimc.passes.slices import PARTIAL_BITS, additions_behind, partial_code
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
        sums: dict[AddOp, list[_Product]] = {}
        for op in graph.operations:
            if isinstance(op, MvmOp):
                product = self._program(graph, op, GAIN.get(op) or GAIN.of(graph.module))
                GAIN.drop(op)
                if additions := additions_behind(op):
                    sums.setdefault(additions[-1], []).append(product)
                else:
                    self._round(graph, op, [product])
        for last, products in sums.items():
            most = self._round(graph, last, products)
            self._fit_partial_sums(last, products, most)
        GAIN.drop(graph.module)
        return graph

    def _program(self, graph: Graph, op: MvmOp, gain: tuple[int, int]) -> "_Product":
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

        def fill(number: int, rows: slice, cols: slice, block: NDArray[np.float64]) -> None:
            block *= factor[:, number, np.newaxis, cols]
            levels[:, rows, cols] = np.rint(block, out=block)
            sums[:, number, cols] = block.sum(axis=1)
            magnitudes[:, number, cols] = np.abs(block, out=block).sum(axis=1)

        on_full_scale_blocks(fill, op, weight, largest, full)
        constant = np.zeros(sums.shape, np.int64)
        if APART.get(op) is not None:
            constant = drive(graph, op, levels, full_scale(1, gain), full)
        op.properties["conductance"] = graph.weights.add(f"{op.label.data}.conductance", levels)
        step = largest / (full * factor)
        return _Product(op, step, gain, sums.astype(np.int64), magnitudes.astype(np.int64), constant)

    def _range_factors(self, peaks: NDArray[np.generic], gain: tuple[int, int]) -> NDArray[np.float64]:
        scale = full_scale(self.target.adc_range.high, gain)
        return np.minimum(1.0, scale / np.maximum(np.asarray(peaks, np.float64), 1.0))

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

    def _round(self, graph: Graph, result: MvmOp | AddOp, products: Sequence["_Product"]) -> int:
        """Set scale, offset and ADC of the products that one rounding joins in `result`; return what they reach."""
        label, y = result.label.data, code_of(result.out)
        ratios = [one.step * (code_of(one.op.x).scale.data * one.code_value / y.scale.data) for one in products]
        added = np.concatenate([_added(graph, one.op, y).ravel() for one in products])
        joined, shift = multipliers(np.concatenate([ratio.ravel() for ratio in ratios]), label, added=added)
        ends, reached = np.cumsum([ratio.size for ratio in ratios]), 0
        for one, scale in zip(products, np.split(joined, ends[:-1]), strict=True):
            self._epilogue(graph, one, scale.reshape(one.step.shape), shift, y)
            reached += self._checked_reach(graph, one)
            for used in ("weight", "steps", "bias"):
                one.op.properties.pop(used, None)
        return reached

    def _epilogue(self, graph: Graph, product: "_Product", scale: NDArray[np.int64], shift: int, y: CodeType) -> None:
        """Set scale, offset and ADC of a product; a partial sum has the zero point of `y` in its addition."""
        op, gain = product.op, product.gain
        label, x = op.label.data, code_of(op.x)
        still = x.zero.data * product.sums + product.constant
        zeros = np.rint((still / product.code_value * scale).sum(axis=1)).astype(np.int64).ravel()
        offset = offsets(_added(graph, op, y), shift, label) - zeros
        low, high = self.target.adc_range
        phases = int(self.target.constants["read_phases"])
        op.properties |= {
            **rounding_of(graph, label, scale, offset, shift),
            **integers(adc_multiplier=gain[0], adc_shift=gain[1], adc_low=low, adc_high=high),
        }
        if phases > 1:
            op.properties["read_phases"] = integer(phases)

    def _checked_reach(self, graph: Graph, product: "_Product") -> int:
        """Return the largest that an accumulator can reach; refuse what could leave the machine's integers."""
        op, high = product.op, product.largest_sum
        total = self._accumulated(graph, op, high)
        if high >= SUM_LIMIT or total >= ACCUMULATOR_LIMIT:
            node = ", ".join(names_of(op.location))
            found = f"array sums reach {high}, the accumulator {total}"
            raise fail(
                "CIM0304",
                f"{found}; the limits are 2^{SUM_BITS} and 2^{ACCUMULATOR_BITS}",
                node=node,
                hint="use smaller tiles or check the ranges",
            )
        return total

    def _accumulated(self, graph: Graph, op: MvmOp, largest_sum: int) -> int:
        """Return the largest that the accumulator of a column can reach."""
        assert op.scale is not None and op.offset is not None
        codes = reach(phases_of(op), min(self.target.adc_range.high, largest_sum) + 1)
        scale = np.abs(graph.weights.get(op.scale).astype(np.int64)).sum(axis=1)
        return int(((scale * codes).ravel() + np.abs(graph.weights.get(op.offset))).max(initial=0))

    def _fit_partial_sums(self, last: AddOp, products: Sequence["_Product"], most: int) -> None:
        """Cut as few bits of partial sums, which reach `most`, as makes them fit: where they do, nothing is rounded.

        One bit is left for drift factors above 1. Raises CimcError CIM0304.
        """
        cut, whole = max(most.bit_length() - PARTIAL_BITS, 0), code_of(last.out)
        shift = products[0].op.shift
        assert shift is not None
        rest = int_value(shift) - cut
        if rest < 0:
            message = f"partial sums of '{last.label.data}' reach {most}, more than 32 bits hold behind the rounding"
            raise fail("CIM0304", message, hint="check the ranges of this layer, or leave it at 8 bits")
        for one in products:
            one.op.properties["shift"] = integer(cut)
            for op in (one.op, *additions_behind(one.op)[:-1]):
                partial = code_tensor(shape_of(op.out), partial_code(whole, rest))
                Rewriter.replace_value_with_new_type(op.out, partial)
        last.properties |= integers(shift=rest, bias=whole.zero.data << rest)


@dataclass(frozen=True)
class _Product:
    """A programmed product; `step` (group, row block, column): weight for each unit of conductance.

    `sums` and `magnitudes` are those of the conductances of each column but for its constant row, which adds `constant`
    to the array sum.
    """

    op: MvmOp
    step: NDArray[np.float64]
    gain: tuple[int, int]
    sums: NDArray[np.int64]
    magnitudes: NDArray[np.int64]
    constant: NDArray[np.int64]

    @property
    def code_value(self) -> float:
        """What an ADC code is worth, in units of the array sum."""
        return full_scale(1, self.gain)

    @property
    def largest_sum(self) -> int:
        """The largest |array sum| of any block and column."""
        code = code_of(self.op.x)
        most = max(abs(code.low.data), abs(code.high.data))
        return int((self.magnitudes * most + np.abs(self.constant)).max(initial=0))


def _added(graph: Graph, op: MvmOp, y: CodeType) -> NDArray[np.float64]:
    """Return what a product adds, in steps of a result y: its bias, and y's zero point where no addition follows."""
    assert op.bias is not None
    zero = y.zero.data if code_of(op.out) == y else 0
    return graph.weights.reals(op.bias) / y.scale.data + zero
