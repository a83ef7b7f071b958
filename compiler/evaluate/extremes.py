"""The start-up check: 8-bit extremes through the same lowering, against Python integers."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from xdsl.dialects.builtin import ModuleOp

from cimc.diagnostics import fail
from cimc.evaluate.builder import Array
from cimc.evaluate.session import Evaluator
from cimc.ir import nn, xbar
from cimc.ir.attributes import integer, ints, text
from cimc.ir.graph import Graph
from cimc.ir.types import CodeType, code_tensor
from cimc.ir.weights import WeightStore

CODES = CodeType.of(8, -127, 127, 0, 1.0)
RESULTS = CodeType.of(16, -32767, 32767, 0, 1.0)
FULL = 127 << 2
"""The largest conductance of 8 bits with two fraction bits."""
COLUMNS = 6
ADC_HIGH = 1 << 30
"""More than any sum."""


@dataclass(frozen=True)
class Case:
    """Matrix rows, ADC and epilogue. 260 rows stay below 2^24 and are multiplied in float32, 1024 in double."""

    rows: int
    multiplier: int
    adc_shift: int
    shift: int


CASES = (
    Case(260, 1, 0, 0),
    Case(260, 1, 0, 10),
    Case(260, 65535, 25, 0),
    Case(1024, 1, 0, 0),
    Case(1024, 1, 0, 12),
    Case(1024, 65535, 27, 0),
)


def check_extremes() -> None:
    """Raise CIM0601 where onnxruntime on this machine is not exact at the extremes."""
    for case in CASES:
        vectors, matrix = _vectors(case.rows), _matrix(case.rows)
        found = Evaluator(_graph(case, matrix), ["y"]).run({"x": vectors.astype(np.float32)})["y"]
        for row, column, wanted in _expected(case, vectors, matrix):
            if int(found[row, column]) != wanted:
                raise fail(
                    "CIM0601",
                    f"onnxruntime does not multiply exactly on this machine: {case}, vector {row}, column {column} "
                    f"gives {found[row, column]}, exact is {wanted}",
                    hint="install another version of onnxruntime, or report this machine",
                )


def _vectors(rows: int) -> Array:
    alternating = np.where(np.arange(rows) % 2 == 0, 127, -127)
    return np.stack([np.full(rows, 127), np.full(rows, -127), alternating, np.arange(rows) % 255 - 127])


def _matrix(rows: int) -> Array:
    """Return three columns at the extremes and three that cancel."""
    alternating = np.where(np.arange(rows) % 2 == 0, FULL, -FULL)
    ramp = np.arange(rows) % (2 * FULL + 1) - FULL
    return np.stack(
        [np.full(rows, FULL), alternating, ramp, *(_cancelling(rows, period) for period in (3, 5, 7))], axis=1
    )


def _cancelling(rows: int, period: int) -> Array:
    """Return a column whose partial sums grow as large and odd as they can before the total ends near zero."""
    index = np.arange(rows)
    high = FULL - period // 2 - index % period
    return np.where(index < rows // 2, high, -high)


def _expected(case: Case, vectors: Array, matrix: Array) -> Iterator[tuple[int, int, int]]:
    for row, vector in enumerate(vectors.tolist()):
        for column, weights in enumerate(matrix.T.tolist()):
            total = sum(x * g for x, g in zip(vector, weights, strict=True)) * case.multiplier
            code = _round_half_even(total, case.adc_shift)
            yield row, column, min(max(_round_half_even(code, case.shift), -32767), 32767)


def _round_half_even(value: int, shift: int) -> int:
    """Return value / 2^shift, rounded."""
    if shift == 0:
        return value
    quotient, rest = value >> shift, value & ((1 << shift) - 1)
    half = 1 << (shift - 1)
    return quotient + (rest > half or (rest == half and quotient % 2 == 1))


def _graph(case: Case, matrix: Array) -> Graph:
    store = WeightStore()
    shape = {"model_shape": ints([case.rows]), "order": ints([0])}
    x = nn.InputOp(result_types=[code_tensor([case.rows], CODES)], properties={"label": text("x"), **shape})
    y = xbar.MvmOp(
        operands=[x.out],
        result_types=[code_tensor([COLUMNS], RESULTS)],
        properties={
            "label": text("y"),
            "low": integer(-32767),
            "high": integer(32767),
            "conductance": store.add("conductance", matrix[None].astype(np.int16)),
            "adc_multiplier": integer(case.multiplier),
            "adc_shift": integer(case.adc_shift),
            "adc_low": integer(-ADC_HIGH),
            "adc_high": integer(ADC_HIGH),
            "scale": store.add("scale", np.ones((1, 1, COLUMNS), np.int32)),
            "offset": store.add("offset", np.zeros(COLUMNS, np.int64)),
            "shift": integer(case.shift),
        },
    )
    return Graph(ModuleOp([x, y]), store, "selftest")
