"""Fold batch normalisation, scales and biases into the weights next to them, where that is exact in real arithmetic."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from xdsl.ir import Attribute, Operation
from xdsl.rewriter import Rewriter

from cimc.ir import nn
from cimc.ir.attributes import int_value, int_values
from cimc.ir.build import again
from cimc.ir.dead_code import drop_unused
from cimc.ir.graph import Graph, only_user, producer
from cimc.ir.location import fused, replace
from cimc.ir.types import WeightRef, shape_of

Reals = NDArray[np.float64]
Changes = dict[str, Attribute | None]


@dataclass(frozen=True)
class FoldAffine:
    """An affine map folds into the layer or affine map before it, or into the layer behind it where padding allows."""

    name: ClassVar[str] = "fold-affine"

    def __call__(self, graph: Graph) -> Graph:
        for op in graph.operations:
            if isinstance(op, nn.AffineOp):
                _into_producer(graph, op)
        for op in reversed(graph.operations):
            if isinstance(op, nn.AffineOp) and op.clamp is None:
                _into_consumer(graph, op)
        drop_unused(graph)
        return graph


def _times(weight: NDArray[np.generic], scale: Reals) -> NDArray[np.generic]:
    """Return the float32 nearest to weight * scale (last axis) in double, no copy of a large weight in double."""
    if np.all(scale == 1.0):
        return weight
    product = np.empty(weight.shape, np.float32)
    with np.errstate(over="ignore"):
        np.multiply(weight, scale, out=product, dtype=np.float64, casting="same_kind")
    return product


def _kept(graph: Graph, name: str, array: NDArray[np.generic]) -> WeightRef | None:
    """Keep a folded constant as float32; None where it left float32's range."""
    with np.errstate(over="ignore"):
        single = array.astype(np.float32, copy=False)
    return graph.weights.add(name, single) if np.all(np.isfinite(single)) else None


def _last_axis(array: Reals, size: int) -> Reals | None:
    """Return a broadcasting constant as one value per entry of the last axis; None where other axes matter."""
    if array.size != array.shape[-1]:
        return None
    return np.array(np.broadcast_to(array.reshape(-1), (size,)))


def _into_producer(graph: Graph, op: nn.AffineOp) -> None:
    before = producer(op.x)
    fold = FOLDS.get(type(before))
    if fold is None or not isinstance(before, nn.Canonical) or only_user(op.x) is None:
        return
    clamped = before.clamp if isinstance(before, nn.Activated) else op.clamp
    changes = fold(graph, before, op) if clamped is None else None
    if changes is None:
        return
    clamp = {} if op.clamp is None else {"clamp": op.clamp}
    folded = again(before, before.operands, shape_of(op.out), label=op.label, **changes, **clamp)
    folded.location = fused([before.location, op.location])
    replace(op, [folded])
    Rewriter.erase_op(before)


def _merged(graph: Graph, first: nn.AffineOp, second: nn.AffineOp) -> Changes | None:
    """(x * s + b) * t + c is x * (s * t) + (b * t + c)."""
    scale = graph.weights.reals(first.scale) * graph.weights.reals(second.scale)
    bias = graph.weights.reals(first.bias) * graph.weights.reals(second.scale) + graph.weights.reals(second.bias)
    return _constants(graph, second.label.data, scale=scale, bias=bias)


def _scaled_outputs(graph: Graph, layer: nn.Layer, op: nn.AffineOp) -> Changes | None:
    outputs = shape_of(op.out)[-1]
    scale = _last_axis(graph.weights.reals(op.scale), outputs)
    offset = _last_axis(graph.weights.reals(op.bias), outputs)
    if scale is None or offset is None:
        return None
    weight = _times(graph.weights.get(layer.weight), scale)
    old = graph.bias_of(layer)
    arrays: dict[str, NDArray[np.generic]] = {"weight": weight, "bias": old * scale + offset}
    if layer.steps is not None:
        arrays["steps"] = graph.weights.reals(layer.steps) * np.abs(scale)
    return _constants(graph, op.label.data, **arrays)


def _of_last_axis(graph: Graph, norm: nn.NormOp, op: nn.AffineOp) -> Changes | None:
    """A normalisation has a scale and a bias for every element of its axis."""
    size = shape_of(op.out)[-1]
    scale, offset = (_last_axis(graph.weights.reals(ref), size) for ref in (op.scale, op.bias))
    if scale is None or offset is None:
        return None
    bias = graph.weights.reals(norm.bias) * scale + offset
    return _constants(graph, op.label.data, scale=graph.weights.reals(norm.scale) * scale, bias=bias)


FOLDS: Mapping[type[Operation], Callable[[Graph, Any, nn.AffineOp], Changes | None]] = {
    nn.ConvOp: _scaled_outputs,
    nn.DenseOp: _scaled_outputs,
    nn.AffineOp: _merged,
    nn.NormOp: _of_last_axis,
}
"""What an affine map makes of the constants of the operation before it; None where they cannot say it."""


def _constants(graph: Graph, label: str, **arrays: NDArray[np.generic]) -> Changes | None:
    """Keep arrays as properties of the same names; None where one left float32's range."""
    found = {name: _kept(graph, f"{label}.{name}", array) for name, array in arrays.items()}
    kept: Changes = {name: ref for name, ref in found.items() if ref is not None}
    return kept if len(kept) == len(arrays) else None


def _into_consumer(graph: Graph, op: nn.AffineOp) -> None:
    view = only_user(op.out)
    layer = only_user(view.out) if isinstance(view, nn.ReshapeOp) else view
    if isinstance(layer, nn.ConvOp) and view is layer:
        changes = _scaled_channels(graph, layer, op)
    elif isinstance(layer, nn.DenseOp):
        changes = _scaled_rows(graph, layer, op)
    else:
        return
    if changes is None:
        return
    changes["steps"] = None
    source = op.x
    if isinstance(view, nn.ReshapeOp):
        straight = again(view, [op.x], shape_of(view.out))
        replace(view, [straight], also=[op])
        source = straight.out
    replace(layer, [again(layer, [source], shape_of(layer.out), **changes)], also=[op])


def _scaled_channels(graph: Graph, layer: nn.ConvOp, op: nn.AffineOp) -> Changes | None:
    """Scale the input channels of a convolution; its padding must stay zero under the map."""
    channels, group = shape_of(op.x)[-1], int_value(layer.group)
    scale = _last_axis(graph.weights.reals(op.scale), channels)
    offset = _last_axis(graph.weights.reals(op.bias), channels)
    if scale is None or offset is None or (np.any(offset) and any(int_values(layer.pads))):
        return None
    weight = graph.weights.reals(layer.weight)
    inputs, outputs = weight.shape[2], weight.shape[3]
    row = np.arange(inputs)[:, None] + (np.arange(outputs) // (outputs // group) * inputs)[None, :]
    bias = graph.bias_of(layer)
    bias = bias + (weight * offset[row]).sum(axis=(0, 1, 2))
    return _constants(graph, layer.label.data, weight=weight * scale[row], bias=bias)


def _scaled_rows(graph: Graph, layer: nn.DenseOp, op: nn.AffineOp) -> Changes | None:
    """Scale the rows of a matrix; the map may act on the data before it is flattened into one vector."""
    inputs = layer.weight.dims[0]
    scale = _per_row(graph.weights.reals(op.scale), shape_of(op.x), shape_of(layer.x))
    offset = _per_row(graph.weights.reals(op.bias), shape_of(op.x), shape_of(layer.x))
    if scale is None or offset is None:
        return None
    weight = graph.weights.reals(layer.weight)
    bias = graph.bias_of(layer)
    rows = np.broadcast_to(scale, (inputs,))[:, None]
    return _constants(graph, layer.label.data, weight=weight * rows, bias=bias + offset @ weight)


def _per_row(array: Reals, before: tuple[int, ...], flat: tuple[int, ...]) -> Reals | None:
    """Return a constant of data of shape `before` as one value per matrix row; None where it varies otherwise."""
    if before == flat:
        return _last_axis(array, flat[-1])
    if int(np.prod(before)) != flat[-1]:
        return None
    return np.array(np.broadcast_to(array, before)).reshape(-1)
