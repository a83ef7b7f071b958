"""Map convolutions and matrix products to matrix-vector streams, depthwise layers to the digital unit if any."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from cimc.ir.attributes import Ints, int_value, int_values, integer, ints, text
from cimc.ir.graph import Graph
from cimc.ir.location import replace
from cimc.ir.nn import AvgPoolOp, ConvOp, DenseOp, MaxPoolOp
from cimc.ir.types import code_of, shape_of
from cimc.ir.xbar import DepthwiseOp, MvmOp
from cimc.passes.dac_range import fit_inputs
from cimc.passes.requantise import code_clamp, multipliers, offsets
from cimc.targets import Target

WEIGHT_HIGH = 127


@dataclass(frozen=True)
class Im2col:
    """nn.conv and nn.dense -> xbar.mvm (rows = kernel rows x kernel columns x channels), depthwise -> xbar.depthwise.

    `depthwise` is digital, array (a matrix per channel), or auto: digital where the target has a depthwise unit.
    """

    name: ClassVar[str] = "im2col"
    target: Target
    depthwise: str = "auto"

    def __call__(self, graph: Graph) -> Graph:
        layers = [op for op in graph.operations if isinstance(op, ConvOp | DenseOp) and not self._is_digital(op)]
        fit_inputs(graph, layers, self.target)
        for op in graph.operations:
            if isinstance(op, ConvOp) and self._is_digital(op):
                replace(op, [_depthwise(graph, op)])
            elif isinstance(op, ConvOp):
                replace(op, [_convolution(graph, op)])
            elif isinstance(op, DenseOp):
                weight = graph.weights.get(op.weight)
                replace(op, [_mvm(graph, op, weight[np.newaxis], None)])
        return graph

    def _is_digital(self, op: ConvOp | DenseOp) -> bool:
        if isinstance(op, DenseOp):
            return False
        wanted = self.depthwise == "digital" or (
            self.depthwise == "auto" and bool(self.target.constants["digital.depthwise"])
        )
        return wanted and op.weight.dims[2] == 1 and int_value(op.group) > 1


def window_of(op: ConvOp | MaxPoolOp | AvgPoolOp, kernel: tuple[int, int]) -> Ints:
    """Return the `xbar` window of a windowed `nn` operation."""
    pads = int_values(op.pads)
    out = shape_of(op.out)
    return ints([*kernel, *int_values(op.stride), *int_values(op.dilation), pads[0], pads[1], out[0], out[1]])


def _convolution(graph: Graph, op: ConvOp) -> MvmOp:
    weight = graph.weights.get(op.weight)
    height, width, channels, outputs = weight.shape
    group = int_value(op.group)
    split = weight.reshape(height * width * channels, group, outputs // group)
    pointwise = (height, width) == (1, 1) and set(int_values(op.stride)) == {1} and set(int_values(op.pads)) == {0}
    window = None if pointwise and group == 1 else window_of(op, (height, width))
    return _mvm(graph, op, np.moveaxis(split, 1, 0), window)


def _mvm(graph: Graph, op: ConvOp | DenseOp, weight: np.ndarray, window: Ints | None) -> MvmOp:
    label = op.label.data
    low, high = code_clamp(op.clamp, code_of(op.out))
    bias = np.zeros(weight.shape[0] * weight.shape[2]) if op.bias is None else graph.weights.get(op.bias)
    properties = {
        "label": text(label),
        "low": integer(low),
        "high": integer(high),
        "weight": graph.weights.add(f"{label}.matrix", np.asarray(weight, np.float32)),
        "bias": graph.weights.add(f"{label}.bias", np.asarray(bias, np.float64)),
    }
    if window is not None:
        properties["window"] = window
    if op.steps is not None:
        steps = graph.weights.get(op.steps).reshape(weight.shape[0], weight.shape[2])
        properties["steps"] = graph.weights.add(f"{label}.steps", steps)
    return MvmOp.create(operands=[op.x], result_types=[op.out.type], properties=properties)


def _depthwise(graph: Graph, op: ConvOp) -> DepthwiseOp:
    label, x, y = op.label.data, code_of(op.x), code_of(op.out)
    weight = graph.weights.get(op.weight).astype(np.float64)
    height, width, _, outputs = weight.shape
    channels = int_value(op.group)
    steps = _tap_steps(graph, op, weight)
    codes = np.rint(weight / np.where(steps > 0.0, steps, 1.0)).astype(np.int64).reshape(height * width, outputs)
    scale, shift = multipliers(x.scale.data * steps / y.scale.data, label)
    bias = np.zeros(outputs) if op.bias is None else graph.weights.get(op.bias).astype(np.float64)
    offset = offsets(bias / y.scale.data + y.zero.data, shift, label) - x.zero.data * codes.sum(axis=0) * scale
    low, high = code_clamp(op.clamp, y)
    return DepthwiseOp.create(
        operands=[op.x],
        result_types=[op.out.type],
        properties={
            "label": text(label),
            "window": window_of(op, (height, width)),
            "weights": graph.weights.add(
                f"{label}.taps", codes.reshape(height * width, channels, outputs // channels).astype(np.int8)
            ),
            "scale": graph.weights.add(f"{label}.scale", scale.astype(np.int32)),
            "offset": graph.weights.add(f"{label}.offset", offset),
            "shift": integer(shift),
            "low": integer(low),
            "high": integer(high),
        },
    )


def _tap_steps(graph: Graph, op: ConvOp, weight: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the real value of one code of each output's taps: the model's own, or such that the codes are 8-bit."""
    largest = np.max(np.abs(weight), axis=(0, 1, 2))
    if op.steps is not None:
        given = graph.weights.get(op.steps).astype(np.float64)
        if np.all(np.rint(largest / given) <= WEIGHT_HIGH):
            return given
    return np.asarray(largest / WEIGHT_HIGH)
