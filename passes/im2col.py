"""Map convolutions and matrix products to matrix-vector streams, depthwise layers to where they cost less."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from xdsl.ir import Operation

from cimc.ir.attributes import Ints, int_value, int_values, integer, text
from cimc.ir.facts import APART, AVERAGED, ROWS, SKIP_ZEROS
from cimc.ir.graph import Graph
from cimc.ir.location import replace
from cimc.ir.nn import Computed, ConvOp, DenseOp, Layer
from cimc.ir.types import code_of, shape_of
from cimc.ir.xbar import DepthwiseOp, MvmOp, window_of
from cimc.passes.choices import require_choice
from cimc.passes.costs import depthwise_price
from cimc.passes.dac_range import fit_digits, fit_inputs
from cimc.passes.dither import with_constant_row
from cimc.passes.layer_bits import FULL, in_two_matrices, lowered_weights
from cimc.passes.requantise import clamp_of, multipliers_and_offsets
from cimc.passes.room import Alternative, blocks_for, first_fitting, matrix_of
from cimc.passes.row_copies import spread
from cimc.passes.slices import Digits, digits_of, in_slices
from cimc.passes.taps import fine_taps, run_of_taps
from cimc.targets import Target

TAP_BITS = 8
"""Of the taps that the depthwise unit reads."""
WEIGHT_HIGH = (1 << (TAP_BITS - 1)) - 1
"""The largest weight of the depthwise unit: symmetric."""
ZEROS = ("program", "skip")
"""What the option `zeros` may say."""
WAYS = ("auto", "digital", "array", "channels")
"""What the option `depthwise` may say."""


@dataclass(frozen=True)
class Im2col:
    """nn.conv and nn.dense -> xbar.mvm (rows = kernel rows x kernel columns x channels), depthwise -> xbar.depthwise.

    `depthwise` is digital, array (as many channels as a tile holds in one block-diagonal matrix), channels (a matrix
    for each), or auto: array where energy times delay is less there and the packing has room, or the target has no
    depthwise unit; else digital. `tap_bits` are those of the digital unit's taps: of more than 8, layers run twice
    there, on the high and on the low digits of their taps. With zeros=skip devices that have nothing to conduct are not
    programmed: both sides of a weight that is zero, and the other side of one that is not.
    """

    name: ClassVar[str] = "im2col"
    target: Target
    depthwise: str = "auto"
    tap_bits: int = TAP_BITS
    zeros: str = ZEROS[0]

    def __call__(self, graph: Graph) -> Graph:
        require_choice(self.name, "depthwise", self.depthwise, WAYS)
        require_choice(self.name, "zeros", self.zeros, ZEROS)
        for op in graph.operations:
            if isinstance(op, Layer) and self.zeros == "skip":
                SKIP_ZEROS.note(op, True)
        ways = self._ways(graph)
        layers = [op for op in graph.operations if isinstance(op, Layer) and ways.get(op) != "digital"]
        sliced = fit_digits(graph, layers, self.target)
        fit_inputs(graph, [op for op in layers if op not in sliced and ROWS.get(op) is None], self.target)
        for op in graph.operations:
            if isinstance(op, ConvOp) and ways.get(op) == "digital":
                replace(op, self._depthwise(graph, op))
            elif isinstance(op, ConvOp) and ways.get(op) == "array":
                replace(op, [_diagonal(graph, op, self.target)])
            elif isinstance(op, ConvOp):
                self._lower(graph, op, _convolution(graph, op), sliced.get(op))
            elif isinstance(op, DenseOp):
                weight = graph.weights.get(op.weight)
                self._lower(graph, op, _mvm(graph, op, weight[np.newaxis], None), sliced.get(op))
        return graph

    def _lower(self, graph: Graph, op: Layer, whole: MvmOp, digits: Digits | None) -> None:
        """Put a product in a layer's place, in slices or on repeated rows where earlier passes say so."""
        coarse = in_two_matrices(op)
        if digits or coarse:
            replace(op, in_slices(graph, whole, digits, coarse))
            whole.erase()
            return
        count, copies = ROWS.get(op), APART.get(op)
        made: list[Computed] = [whole] if count is None else spread(graph, whole, count)
        replace(op, made if copies is None else with_constant_row(graph, made, copies, self.target))

    def _depthwise(self, graph: Graph, op: ConvOp) -> Sequence[Operation]:
        """Return a layer of the digital unit: once where the model's own taps have 8 bits or no more are asked for."""
        if self.tap_bits <= TAP_BITS or lowered_weights(op) < FULL or _has_own_taps(graph, op):
            return [_depthwise(graph, op)]
        return fine_taps(graph, op, digits_of(self.tap_bits, TAP_BITS))

    def _ways(self, graph: Graph) -> dict[Operation, str]:
        """Return where each depthwise layer goes: digital, array or channels."""
        layers = {op: place for place, op in enumerate(graph.operations) if isinstance(op, Layer)}
        depthwise = [op for op in layers if isinstance(op, ConvOp) and op.is_depthwise]
        if self.depthwise != "auto":
            return dict.fromkeys(depthwise, self.depthwise)
        if not self.target.constants["digital.depthwise"]:
            return dict.fromkeys(depthwise, "array")
        cheaper = [op for op in depthwise if _is_cheaper_on_array(op, self.target)]
        choices: list[list[Alternative]] = [[{layers[op]: blocks_for(op, self.target)}, {}] for op in cheaper]
        dense = {
            place: blocks_for(op, self.target, ROWS.get(op) or 1) for op, place in layers.items() if not op.is_depthwise
        }
        *found, _ = first_fitting([*choices, [dense]], self.target)
        held = {op for op, number in zip(cheaper, found, strict=True) if number == 0}
        return {op: "array" if op in held else "digital" for op in depthwise}


def _is_cheaper_on_array(op: ConvOp, target: Target) -> bool:
    """Return whether energy times delay of a depthwise layer is less on the array than in the digital unit."""
    price = depthwise_price(target, *_facts(op))
    return price.array.product < price.digital.product


def _facts(op: ConvOp) -> tuple[int, int, int, int]:
    """Return (taps, channels, outputs per channel, output positions)."""
    height, width, _, outputs = op.weight.dims
    channels = int_value(op.group)
    return height * width, channels, outputs // channels, math.prod(shape_of(op.out)[:-1])


def _convolution(graph: Graph, op: ConvOp) -> MvmOp:
    weight, group = graph.weights.get(op.weight), int_value(op.group)
    height, width = weight.shape[:2]
    pointwise = (height, width) == (1, 1) and set(int_values(op.stride)) == {1} and set(int_values(op.pads)) == {0}
    window = None if pointwise and group == 1 else window_of(op, (height, width))
    return _mvm(graph, op, side_by_side(weight, group), window)


def _diagonal(graph: Graph, op: ConvOp, target: Target) -> MvmOp:
    """Return a depthwise layer as groups of channels, each group one block-diagonal matrix."""
    channels = int_value(op.group)
    held = channels // matrix_of(op, target)[0]
    matrix = block_diagonal(graph.weights.get(op.weight), channels, held)
    made = _mvm(graph, op, matrix, window_of(op, (op.weight.dims[0], op.weight.dims[1])))
    made.properties |= {"diagonal": integer(held), "skip_zeros": integer(1)}
    return made


def side_by_side(weight: NDArray[Any], group: int) -> NDArray[Any]:
    """Return a convolution's weights [height, width, channels, outputs] as a matrix [group, rows, outputs / group]."""
    outputs = weight.shape[-1]
    return np.moveaxis(weight.reshape(-1, group, outputs // group), 1, 0)


def block_diagonal(weight: NDArray[Any], channels: int, held: int, empty: float = 0) -> NDArray[Any]:
    """Return a depthwise layer's weights as matrices [channels / held, rows, cols] of so many channels each.

    Cells off the diagonal hold `empty`.
    """
    taps, multiplier = math.prod(weight.shape[:2]), weight.shape[-1] // channels
    parts = weight.reshape(taps, channels // held, held, multiplier)
    cells = np.full((channels // held, taps, held, held, multiplier), empty, weight.dtype)
    for channel in range(held):
        cells[:, :, channel, channel] = np.moveaxis(parts[:, :, channel], 1, 0)
    return cells.reshape(channels // held, taps * held, held * multiplier)


def _mvm(graph: Graph, op: Layer, weight: np.ndarray, window: Ints | None) -> MvmOp:
    label = op.label.data
    properties = {
        "label": text(label),
        **clamp_of(code_of(op.out), op.clamp),
        "weight": graph.weights.add(f"{label}.matrix", np.asarray(weight, np.float32)),
        "bias": graph.weights.add(f"{label}.bias", graph.bias_of(op)),
    }
    if window is not None:
        properties["window"] = window
    if op.steps is not None:
        steps = graph.weights.get(op.steps).reshape(weight.shape[0], weight.shape[2])
        properties["steps"] = graph.weights.add(f"{label}.steps", steps)
    if SKIP_ZEROS.get(op):
        properties["skip_zeros"] = integer(1)
    made = MvmOp.create(operands=[op.x], result_types=[op.out.type], properties=properties)
    if (averaged := AVERAGED.get(op)) is not None:
        AVERAGED.note(made, averaged)
    return made


def _depthwise(graph: Graph, op: ConvOp) -> DepthwiseOp:
    label, x, y = op.label.data, code_of(op.x), code_of(op.out)
    weight = graph.weights.reals(op.weight)
    steps = _tap_steps(graph, op, weight)
    codes = np.rint(weight / np.where(steps > 0.0, steps, 1.0)).astype(np.int64).reshape(-1, weight.shape[-1])
    added = graph.bias_of(op) / y.scale.data + y.zero.data
    scale, offset, shift = multipliers_and_offsets(x.scale.data * steps / y.scale.data, added, label)
    offset = offset - x.zero.data * codes.sum(axis=0) * scale
    return run_of_taps(graph, op, label, (codes, scale, offset), shift, y, op.clamp)


def _has_own_taps(graph: Graph, op: ConvOp) -> bool:
    """Return whether the model gives the taps as whole multiples, of 8 bits, of known steps."""
    if op.steps is None:
        return False
    largest = np.max(np.abs(graph.weights.reals(op.weight)), axis=(0, 1, 2))
    return bool(np.all(np.rint(largest / graph.weights.reals(op.steps)) <= WEIGHT_HIGH))


def _tap_steps(graph: Graph, op: ConvOp, weight: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the real value of one code of each output's taps: the model's own, or such that codes have their bits."""
    if op.steps is not None and _has_own_taps(graph, op):
        return graph.weights.reals(op.steps)
    high = (1 << min(TAP_BITS, lowered_weights(op)) - 1) - 1
    return np.asarray(np.max(np.abs(weight), axis=(0, 1, 2)) / high)
