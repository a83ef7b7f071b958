"""Biases of depthwise layers with rounded taps: what rounding adds to their sums in the mean is taken off again.

As in "Data-free quantization through weight equalization and bias correction" (arXiv 1906.04721), with means of data.
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from cimc.diagnostics import fail
from cimc.evaluate import Batch, Evaluator, samples_at_once
from cimc.ir.facts import MEANS
from cimc.ir.graph import Graph, label_of
from cimc.ir.location import names_of
from cimc.ir.nn import Layer
from cimc.ir.types import code_of, shape_of
from cimc.passes.ranges import rounded

Means = Mapping[str, tuple[float, ...]]
"""Label of a depthwise layer -> the mean real value of each channel that it reads."""


def measured_means(graph: Graph, layers: Sequence[Layer], data: Batch) -> Means:
    """Return the means of what layers read, from a graph of codes on data, as ranges keep them."""
    labels = sorted({label_of(layer.x) for layer in layers})
    evaluator = Evaluator(graph, values=labels, batch=samples_at_once(graph))
    sums: dict[str, NDArray[np.int64]] = {}
    counts = dict.fromkeys(labels, 0)
    for label, array in evaluator.arrays(data):
        flat = array.reshape(-1, array.shape[-1])
        sums[label] = sums.get(label, np.zeros(flat.shape[1], np.int64)) + flat.sum(axis=0, dtype=np.int64)
        counts[label] += len(flat)
    return {layer.label.data: tuple(_reals(layer, sums, counts)) for layer in layers}


def _reals(layer: Layer, sums: Mapping[str, NDArray[np.int64]], counts: Mapping[str, int]) -> Iterator[float]:
    code, label = code_of(layer.x), label_of(layer.x)
    for total in sums[label].tolist():
        yield rounded((total / counts[label] - code.zero.data) * code.scale.data)


def correct_bias(graph: Graph, layer: Layer, before: NDArray[np.float64], means: Means) -> None:
    """Take off a layer's bias what its taps have more than those `before` them, times the means, and note these.

    Raises CimcError CIM0204 where there is not one mean for each channel.
    """
    found = np.array(means[layer.label.data])
    channels, outputs = shape_of(layer.x)[-1], before.shape[-1]
    if found.shape != (channels,):
        message = f"the ranges hold {found.size} means for {layer.label.data!r}, which reads {channels} channels"
        hint = "they belong to another model or version"
        raise fail("CIM0204", message, node=", ".join(names_of(layer.location)), hint=hint)
    added = (graph.weights.reals(layer.weight) - before).reshape(-1, outputs).sum(axis=0)
    bias = graph.bias_of(layer) - added * np.repeat(found, outputs // channels)
    name = f"{layer.label.data}.bias" if layer.bias is None else layer.bias.key.data
    layer.properties["bias"] = graph.weights.add(name, bias.astype(np.float32))
    MEANS.note(layer, graph.weights.add(f"{layer.label.data}.means", found))
