"""The untouched ONNX model on onnxruntime: the float answer that integers are held against."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cimc.diagnostics import DiagnosticError, fail
from cimc.evaluate import elements, samples_at_once
from cimc.frontend import stored_bytes
from cimc.inference import Confined, Grant, Refused
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
VALUE_BYTES = 16
"""Address space for each element of all values: as much again as the widest type, for what operators hold beside."""


def run_float(path: Path, graph: Graph, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """Return the outputs [N, *per-sample shape] by name for inputs [N, *per-sample shape] given in float32.

    `graph` is the model imported: it knows where the model's own tensors have the batch. A batch that the file fixes
    is filled chunk by chunk, the last one with its last sample repeated. A file that leaves the batch open and means
    one sample, as by a reshape to [1, -1], is run sample by sample. Raises CimcError CIM0211 with what onnxruntime
    says.
    """
    try:
        with _opened(path, graph) as session:
            runner = _Runner.of(session, graph)
            samples = {name: array.astype(runner.kinds[name]) for name, array in inputs.items()}
            step = min(max(len(next(iter(samples.values()))), 1), samples_at_once(graph))
            return _outputs(runner, samples, step)
    except Refused as error:
        raise _refused(path, error) from None


def _outputs(runner: "_Runner", samples: Mapping[str, Array], step: int) -> dict[str, Array]:
    try:
        return runner.outputs(samples, runner.fixed or step)
    except Refused:
        if runner.fixed or step == 1:
            raise
    return runner.outputs(samples, 1)


class _OtherShape(Refused):
    """onnxruntime gives an output of another shape than the model has for so many samples."""


@dataclass(frozen=True)
class _Runner:
    """A session, the inputs' types, the ports of the model, and how many samples one run takes where that is fixed."""

    session: Confined
    kinds: Mapping[str, Any]
    feeds: Mapping[str, int]
    results: Mapping[str, OutputOp]
    fixed: int | None

    @staticmethod
    def of(session: Confined, graph: Graph) -> "_Runner":
        feeds = {op.label.data: _axis(op) for op in graph.module.ops if isinstance(op, InputOp)}
        results = {op.label.data: op for op in graph.module.ops if isinstance(op, OutputOp)}
        kinds = {value.name: NUMBERS[value.kind] for value in session.inputs if value.name in feeds}
        shapes = {value.name: value.shape for value in session.inputs}
        return _Runner(session, kinds, feeds, results, _step(shapes, feeds))

    def outputs(self, inputs: Mapping[str, Array], step: int) -> dict[str, Array]:
        """Return the outputs of all samples, `step` of them a run."""
        count, parts = len(next(iter(inputs.values()))), []
        for start in range(0, count, step):
            rows = np.minimum(np.arange(start, start + step), count - 1)
            feed = {name: _fed(inputs[name][rows], axis) for name, axis in self.feeds.items()}
            found = self.session.run(list(self.results), feed, step)
            parts.append({name: _samples(found[name], op, step) for name, op in self.results.items()})
        return {name: np.concatenate([part[name] for part in parts])[:count] for name in self.results}


def _refused(path: Path, error: Exception) -> DiagnosticError:
    return fail("CIM0211", f"{path}: {error}", hint="what was compiled is not held against the float model")


def _opened(path: Path, graph: Graph) -> Confined:
    """Return a session of a model file; node names, which onnxruntime wants to differ, are dropped where they do not.

    Raises Refused.
    """
    grant = Grant(stored_bytes(path), VALUE_BYTES * elements(graph) * samples_at_once(graph))
    try:
        return Confined(path, grant)
    except Refused:
        unnamed = _without_names(path)
        if unnamed is None:
            raise
    return Confined(
        unnamed, grant, {"session.model_external_initializers_file_folder_path": str(path.parent.resolve())}
    )


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
