"""Copies of a column that round apart: a constant row gives each a share of an ADC code of its own.

With n copies, copy j converts s + (j - (n - 1) / 2) / n codes in place of s. Since sum over j of floor(x + j / n) =
floor(n x), the mean of their codes has steps of 1 / n: four copies behind ADCs of four bits are one of six. What the
row adds is taken off again behind the ADC. In the field: subtractive dither, here one that is known when compiling.
"""

import math

import numpy as np
from numpy.typing import NDArray

from cimc.ir.attributes import int_values, integer, text
from cimc.ir.facts import APART
from cimc.ir.graph import Graph
from cimc.ir.nn import Computed
from cimc.ir.types import CodeType, WeightRef, code_of, code_tensor, shape_of
from cimc.ir.xbar import ConcatOp, ConstantOp, MvmOp
from cimc.targets import Target

Integers = NDArray[np.int64]


def with_constant_row(graph: Graph, made: list[Computed], copies: int, target: Target) -> list[Computed]:
    """Return the operations of a product, the last of `made`, with a further channel of its input, which is constant.

    The rows of this channel hold nothing yet. Left as they are: products that would then need several blocks of rows,
    whose taps all read padding somewhere, or that are read in several phases, each of which rounds.
    """
    *before, op = made
    assert isinstance(op, MvmOp) and op.weight is not None
    _, rows, cols = op.matrix
    taps = constant_rows(rows, int_values(op.window), shape_of(op.x), target)
    if not taps:
        return made
    shape, code, label = shape_of(op.x), code_of(op.x), op.label.data
    constant = ConstantOp.create(
        result_types=[code_tensor((*shape[:-1], 1), code)],
        properties={"label": text(f"{label}.constant"), "table": _constant(graph, label, shape, code.zero.data)},
    )
    joined = ConcatOp.create(
        operands=[op.x, constant.out],
        result_types=[code_tensor((*shape[:-1], shape[-1] + 1), code)],
        properties={"label": text(f"{label}.driven"), "axis": integer(len(shape) - 1)},
    )
    weight = graph.weights.get(op.weight)
    wider = with_channels(weight.reshape(len(weight), taps, -1, cols), 1, 0.0)
    op.properties["weight"] = graph.weights.add(f"{label}.driven", wider.reshape(len(weight), rows + taps, cols))
    op.operands[0] = joined.out
    APART.note(op, copies)
    return [*before, constant, joined, op]


def constant_rows(rows: int, window: tuple[int, ...], shape: tuple[int, ...], target: Target) -> int:
    """Return how many rows a constant channel adds to a product of so many: one for each tap, or none.

    `shape` is that of the input; without a window there is one tap.
    """
    taps = math.prod(window[:2])
    fits = rows + taps <= target.rows and int(target.constants["read_phases"]) == 1
    return taps if fits and _inner_tap(window, shape) is not None else 0


def constant_channels(op: MvmOp) -> int:
    """Return how many channels of a product's input are constant: one or none."""
    return int(APART.get(op) is not None)


def with_channels(taps: NDArray[np.generic], count: int, value: float) -> NDArray[np.generic]:
    """Return weights [..., channels, outputs] with so many further channels that hold `value`."""
    further = np.full((*taps.shape[:-2], count, taps.shape[-1]), value, taps.dtype)
    return np.concatenate([taps, further], axis=-2)


def drive(graph: Graph, op: MvmOp, levels: NDArray[np.int16], code_value: float, full: int) -> Integers:
    """Drive a product's constant row and give it conductances, of at most `full`; return what it adds to each column.

    `levels` (1, rows, columns) are the product's conductances, of which the row changes; `code_value` is an ADC code in
    units of the array sum, as is what is returned, (1, 1, columns).
    """
    code, held = driven(APART.of(op), code_of(op.x), code_value, full)
    joined = op.x.owner
    assert isinstance(joined, ConcatOp)
    constant = joined.parts[-1].owner
    assert isinstance(constant, ConstantOp)
    constant.properties["table"] = _constant(graph, op.label.data, shape_of(op.x), code)
    columns = np.repeat(held, levels.shape[2] // len(held))
    shape = shape_of(op.x)
    levels[0, (_inner_tap(int_values(op.window), shape) or 0) * shape[-1] + shape[-1] - 1] = columns
    return (code * columns).reshape(1, 1, -1)


def driven(copies: int, code: CodeType, code_value: float, full: int) -> tuple[int, Integers]:
    """Return the code that drives a constant row, and what it conducts in each copy of a column.

    The smallest code that is enough: those of its devices that should not conduct then add least. Shares that need more
    than the largest code at full conductance, as where rows reach far beyond the ADC, end there.
    """
    wanted = (np.arange(copies) - (copies - 1) / 2) / copies * code_value
    most = strongest(code)
    drive = min(max(math.ceil(np.abs(wanted).max() / full), 1), abs(most)) * (1 if most > 0 else -1)
    return drive, np.clip(np.rint(wanted / drive), -full, full).astype(np.int64)


def strongest(code: CodeType) -> int:
    """Return the code that drives a row most: the highest, or the lowest where that lies farther from 0."""
    return code.high.data if code.high.data >= -code.low.data else code.low.data


def _constant(graph: Graph, label: str, shape: tuple[int, ...], code: int) -> WeightRef:
    return graph.weights.add(f"{label}.constant", np.full((*shape[:-1], 1), code, np.int8))


def _inner_tap(window: tuple[int, ...], shape: tuple[int, ...]) -> int | None:
    """Return the first tap that reads no padding wherever the window stands; None where there is no such tap."""
    if not window:
        return 0
    height, width = (_inner(window[axis:10:2], shape[axis]) for axis in (0, 1))
    return height[0] * window[1] + width[0] if height and width else None


def _inner(window: tuple[int, ...], length: int) -> list[int]:
    """Return the taps along one axis, of so many elements, that read no padding wherever the window stands."""
    kernel, stride, dilation, pad, out = window
    reach = stride * (out - 1)
    return [tap for tap in range(kernel) if 0 <= tap * dilation - pad < length - reach]
