"""The untouched ONNX model on onnxruntime: the float answer that integers are held against."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cimc.ir.attributes import int_value, int_values
from cimc.ir.graph import Graph
from cimc.ir.nn import InputOp, OutputOp

Array = NDArray[Any]

NUMBERS = {
    "tensor(float)": np.float32,
    "tensor(int8)": np.int8,
    "tensor(uint8)": np.uint8,
    "tensor(int16)": np.int16,
    "tensor(uint16)": np.uint16,
    "tensor(int32)": np.int32,
    "tensor(int64)": np.int64,
    "tensor(bool)": np.bool_,
}
"""onnxruntime's names of the element types that inputs may have."""


def run_float(path: Path, graph: Graph, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """Return the outputs [N, *per-sample shape] by name for inputs [N, *per-sample shape] given in float32.

    `graph` is the model imported: it knows where the model's own tensors have the batch. A batch that the file fixes
    is filled chunk by chunk, the last one with its last sample repeated.
    """
    session = _session(path)
    kinds = {value.name: NUMBERS[value.type] for value in session.get_inputs()}
    inputs = {name: array.astype(kinds[name]) for name, array in inputs.items()}
    feeds = {op.label.data: _axis(op) for op in graph.module.ops if isinstance(op, InputOp)}
    results = {op.label.data: op for op in graph.module.ops if isinstance(op, OutputOp)}
    count = len(next(iter(inputs.values())))
    step = _step({value.name: value.shape for value in session.get_inputs()}, feeds) or max(count, 1)
    parts = []
    for start in range(0, count, step):
        rows = np.minimum(np.arange(start, start + step), count - 1)
        found = session.run(list(results), {name: _fed(inputs[name][rows], axis) for name, axis in feeds.items()})
        parts.append([_samples(array, op, step) for array, op in zip(found, results.values(), strict=True)])
    return {name: np.concatenate([part[index] for part in parts])[:count] for index, name in enumerate(results)}


def _session(path: Path) -> Any:
    """Return a session that computes what ONNX defines, whatever the processor has.

    Without VNNI, 16-bit sums of products of 8-bit codes saturate unless `x64quantprecision` is set. The option turns a
    QGemm of signed codes, which does not saturate, into a form that has no kernel: such a model is loaded without it.
    """
    from onnxruntime.capi.onnxruntime_pybind11_state import NotImplemented as NoKernel

    try:
        return _opened(path, {"session.disable_quant_qdq": "1", "session.x64quantprecision": "1"})
    except NoKernel:
        return _opened(path, {"session.disable_quant_qdq": "1"})


def _opened(path: Path, entries: Mapping[str, str]) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    for key, value in entries.items():
        options.add_session_config_entry(key, value)
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def _axis(op: InputOp | OutputOp) -> int:
    return int_value(op.batch_axis) if op.batch_axis else 0


def _step(shapes: Mapping[str, list[Any]], feeds: Mapping[str, int]) -> int | None:
    """Return how many samples one run takes, None for any number."""
    sizes = [1 if axis < 0 else shapes[name][axis] for name, axis in feeds.items()]
    return next((size for size in sizes if isinstance(size, int)), None)


def _fed(samples: Array, axis: int) -> Array:
    return np.asarray(samples[0]) if axis < 0 else np.ascontiguousarray(np.moveaxis(samples, 0, axis))


def _samples(array: Array, op: OutputOp, count: int) -> Array:
    """Return [count, *per-sample shape] of one of the model's own outputs."""
    axis, shape = _axis(op), int_values(op.model_shape)
    if axis < 0:
        return array[np.newaxis]
    if array.ndim == len(shape):  # the batch axis holds several rows of each sample
        array = array.reshape(*array.shape[:axis], count, -1, *array.shape[axis + 1 :])
    return np.moveaxis(array, axis, 0)
