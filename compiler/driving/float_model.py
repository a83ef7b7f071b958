"""The untouched ONNX model on onnxruntime: the float answer that integers are held against."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cimc.diagnostics import DiagnosticError, fail
from cimc.ir.attributes import int_value, int_values
from cimc.ir.graph import Graph
from cimc.ir.nn import InputOp, OutputOp

Array = NDArray[Any]

NUMBERS = {
    "tensor(float)": np.float32,
    "tensor(float16)": np.float16,
    "tensor(double)": np.float64,
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
    is filled chunk by chunk, the last one with its last sample repeated. A file that leaves the batch open and means
    one sample, as by a reshape to [1, -1], is run sample by sample. Raises CimcError CIM0211 with what onnxruntime
    says.
    """
    runner = _Runner.of(path, graph)
    samples = {name: array.astype(runner.kinds[name]) for name, array in inputs.items()}
    count = len(next(iter(samples.values())))
    try:
        return runner.outputs(samples, runner.fixed or max(count, 1))
    except _refusals() as error:
        if runner.fixed or count == 1:
            raise _refused(path, error) from None
    try:
        return runner.outputs(samples, 1)
    except _refusals() as error:
        raise _refused(path, error) from None


class _OtherShape(Exception):
    """onnxruntime gives an output of another shape than the model has for so many samples."""


@dataclass(frozen=True)
class _Runner:
    """A session, the inputs' types, the ports of the model, and how many samples one run takes where that is fixed."""

    session: Any
    kinds: Mapping[str, Any]
    feeds: Mapping[str, int]
    results: Mapping[str, OutputOp]
    fixed: int | None

    @staticmethod
    def of(path: Path, graph: Graph) -> "_Runner":
        session = _session(path)
        given = session.get_inputs()
        feeds = {op.label.data: _axis(op) for op in graph.module.ops if isinstance(op, InputOp)}
        results = {op.label.data: op for op in graph.module.ops if isinstance(op, OutputOp)}
        kinds = {value.name: NUMBERS[value.type] for value in given if value.name in feeds}
        return _Runner(session, kinds, feeds, results, _step({value.name: value.shape for value in given}, feeds))

    def outputs(self, inputs: Mapping[str, Array], step: int) -> dict[str, Array]:
        """Return the outputs of all samples, `step` of them a run."""
        count, parts = len(next(iter(inputs.values()))), []
        for start in range(0, count, step):
            rows = np.minimum(np.arange(start, start + step), count - 1)
            feed = {name: _fed(inputs[name][rows], axis) for name, axis in self.feeds.items()}
            found = self.session.run(list(self.results), feed)
            parts.append([_samples(array, op, step) for array, op in zip(found, self.results.values(), strict=True)])
        return {name: np.concatenate([part[n] for part in parts])[:count] for n, name in enumerate(self.results)}


def _refusals() -> tuple[type[Exception], ...]:
    """Return what is raised for models and data that onnxruntime does not take, or takes for something else."""
    from onnxruntime.capi import onnxruntime_pybind11_state as state

    refused = (state.Fail, state.InvalidArgument, state.InvalidGraph, state.NotImplemented, state.RuntimeException)
    return (*refused, _OtherShape)


def _refused(path: Path, error: Exception) -> DiagnosticError:
    said = next(iter(str(error).splitlines()), type(error).__name__)
    return fail("CIM0211", f"{path}: {said}", hint="what was compiled is not held against the float model")


def _session(path: Path) -> Any:
    """Return a session of a model file; node names, which onnxruntime wants to differ, are dropped where they do not.

    Raises CimcError CIM0211.
    """
    try:
        return _exact(str(path), {})
    except _refusals() as error:
        unnamed = _without_names(path)
        if unnamed is None:
            raise _refused(path, error) from None
    folder = str(path.parent.resolve())
    try:
        return _exact(unnamed, {"session.model_external_initializers_file_folder_path": folder})
    except _refusals() as error:
        raise _refused(path, error) from None


def _exact(model: str | bytes, entries: Mapping[str, str]) -> Any:
    """Return a session that computes what ONNX defines, whatever the processor has.

    Without VNNI, 16-bit sums of products of 8-bit codes saturate unless `x64quantprecision` is set. The option turns a
    QGemm of signed codes, which does not saturate, into a form that has no kernel: such a model is loaded without it.
    """
    from onnxruntime.capi.onnxruntime_pybind11_state import NotImplemented as NoKernel

    plain = {"session.disable_quant_qdq": "1", **entries}
    try:
        return _opened(model, {**plain, "session.x64quantprecision": "1"})
    except NoKernel:
        return _opened(model, plain)


def _without_names(path: Path) -> bytes | None:
    """Return a model whose nodes have no names; None where no two of them share one."""
    import onnx

    model = onnx.load(str(path), load_external_data=False)
    names = [node.name for node in model.graph.node if node.name]
    if len(names) == len(set(names)):
        return None
    for node in model.graph.node:
        node.name = ""
    return bytes(model.SerializeToString())


def _opened(model: str | bytes, entries: Mapping[str, str]) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what goes wrong is raised
    for key, value in entries.items():
        options.add_session_config_entry(key, value)
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def _axis(op: InputOp | OutputOp) -> int:
    return int_value(op.batch_axis) if op.batch_axis else 0


def _step(shapes: Mapping[str, list[Any]], feeds: Mapping[str, int]) -> int | None:
    """Return how many samples one run takes, None for any number."""
    sizes = [1 if axis < 0 else shapes[name][axis] for name, axis in feeds.items()]
    return next((size for size in sizes if isinstance(size, int)), None)


def _fed(samples: Array, axis: int) -> Array:
    return np.asarray(samples[0]) if axis < 0 else np.ascontiguousarray(np.moveaxis(samples, 0, axis))


def _samples(array: Array, op: OutputOp, count: int) -> Array:
    """Return [count, *per-sample shape] of one of the model's own outputs. Raises _OtherShape."""
    axis, shape, found = _axis(op), int_values(op.model_shape), array
    if axis >= 0 and array.ndim == len(shape) and array.shape[axis] == count * shape[axis]:
        array = array.reshape(*array.shape[:axis], count, -1, *array.shape[axis + 1 :])  # several rows of each sample
    samples = array[np.newaxis] if axis < 0 else np.moveaxis(array, axis, 0)
    if samples.shape != (count, *shape):
        raise _OtherShape(f"output '{op.label.data}' has shape {found.shape} for {count} samples of shape {shape}")
    return samples
