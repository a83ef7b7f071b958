"""The untouched ONNX model, some samples at a time: the float answer that graphs and integers are held against."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cimc.diagnostics import DiagnosticError, fail
from cimc.driving.float_session import Runtime, onnxruntime_of
from cimc.evaluate import samples_at_once
from cimc.ir.attributes import int_value, int_values
from cimc.ir.graph import Graph
from cimc.ir.nn import InputOp, OutputOp
from cimc.passes.code_types import bounds

Array = NDArray[Any]


@dataclass(frozen=True)
class Place:
    """Where a tensor of the file has its samples, -1 for nowhere, and what one of them is."""

    axis: int
    shape: tuple[int, ...]


def run_float(path: Path, graph: Graph, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """Return the outputs [N, *per-sample shape] by name for inputs [N, *per-sample shape] given in float32.

    `graph` is the model imported: it knows where the model's own tensors have the batch. A batch that the file fixes
    is filled chunk by chunk, the last one with its last sample repeated. A file that leaves the batch open and means
    one sample, as by a reshape to [1, -1], is run sample by sample. Raises CimcError CIM0211 with what onnxruntime
    says.
    """
    places = {op.label.data: _place(op) for op in graph.module.ops if isinstance(op, OutputOp)}
    with onnxruntime_of(path, graph) as runtime:
        model = FloatModel.of(path, graph, runtime)
        samples = model.typed(inputs)
        step = model.fixed or min(max(len(next(iter(samples.values()))), 1), samples_at_once(graph))
        try:
            return model.outputs(samples, places, step)
        except DiagnosticError:
            if model.fixed or step == 1:
                raise
        return model.outputs(samples, places, 1)


@dataclass(frozen=True)
class FloatModel:
    """A model ready to run: its inputs and their types, `constants` that other inputs of the file always are.

    `fixed` is how many samples one run takes, where the file says so.
    """

    path: Path
    runtime: Runtime
    inputs: Mapping[str, InputOp]
    kinds: Mapping[str, Any]
    constants: Mapping[str, Array]
    fixed: int | None

    @staticmethod
    def of(path: Path, graph: Graph, runtime: Runtime) -> "FloatModel":
        """Return the model of a file; `graph` is what it was imported as. Raises CimcError CIM0211."""
        inputs = {op.label.data: op for op in graph.module.ops if isinstance(op, InputOp)}
        stated = {value.name: value.type.tensor_type for value in _stated(path) if value.name in inputs}
        kinds = {name: _kind(path, tensor.elem_type) for name, tensor in stated.items()}
        sizes = [1 if _axis(op) < 0 else _size(stated[name], _axis(op)) for name, op in inputs.items()]
        return FloatModel(path, runtime, inputs, kinds, graph.fixed, next((size for size in sizes if size), None))

    def typed(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        """Return inputs [N, *per-sample shape] in the model's own types; whole ones rounded as a port rounds them."""
        return {name: _whole(op, inputs[name]).astype(self.kinds[name]) for name, op in self.inputs.items()}

    def outputs(self, samples: Mapping[str, Array], places: Mapping[str, Place], step: int) -> dict[str, Array]:
        """Return tensors [N, *per-sample shape] of all samples, `step` of them a run. Raises CimcError CIM0211."""
        parts = list(self.stream(samples, places, step))
        for name, place in places.items():
            if any(name not in part for part in parts):
                message = f"{self.path}: output '{name}' is not {step} samples of shape {place.shape}"
                raise fail("CIM0211", message, hint="what was compiled is not held against the float model")
        return {name: np.concatenate([part[name] for part in parts]) for name in places}

    def stream(
        self, samples: Mapping[str, Array], places: Mapping[str, Place], step: int
    ) -> Iterator[dict[str, Array]]:
        """Yield tensors [samples, *per-sample shape] run by run, without those that have another shape."""
        count = len(next(iter(samples.values())))
        for start in range(0, count, step):
            rows = np.minimum(np.arange(start, start + step), count - 1)
            feed = {name: _fed(samples[name][rows], _axis(op)) for name, op in self.inputs.items()}
            found = self.runtime(list(places), {**feed, **self.constants}, step)
            ours = {name: _samples(array, places[name], step) for name, array in found.items()}
            yield {name: array[: count - start] for name, array in ours.items() if array is not None}


def _stated(path: Path) -> Any:
    """Return what a file says of its inputs."""
    import onnx

    return onnx.load(str(path), load_external_data=False).graph.input


def _kind(path: Path, element: int) -> Any:
    import onnx

    if element == onnx.TensorProto.BFLOAT16:
        raise fail("CIM0211", f"{path}: numpy has no type for inputs of BFLOAT16", hint="feed FLOAT to compare")
    return onnx.helper.tensor_dtype_to_np_dtype(element)


def _size(tensor: Any, axis: int) -> int | None:
    """Return the size that a file states for an axis; None for an open one."""
    if not tensor.HasField("shape"):
        return None
    dim = tensor.shape.dim[axis]
    return int(dim.dim_value) if dim.HasField("dim_value") and dim.dim_value > 0 else None


def _whole(op: InputOp, real: Array) -> Array:
    """Return what the port makes of the values of an input of whole numbers or codes; real ones as they are."""
    if op.code is None and op.integers is None:
        return real
    nearest, code = np.rint(real), op.own_code
    if code is None:
        return np.asarray(nearest)
    return np.asarray(np.clip(nearest, *bounds(code)))


def _axis(op: InputOp | OutputOp) -> int:
    return int_value(op.batch_axis) if op.batch_axis else 0


def _place(op: OutputOp) -> Place:
    return Place(_axis(op), int_values(op.model_shape))


def _fed(samples: Array, axis: int) -> Array:
    return np.asarray(samples[0]) if axis < 0 else np.ascontiguousarray(np.moveaxis(samples, 0, axis))


def _samples(array: Array, place: Place, count: int) -> Array | None:
    """Return [count, *per-sample shape] of one of the model's own tensors; None where it has another shape."""
    axis, shape = place.axis, place.shape
    if axis >= 0 and array.ndim == len(shape) and array.shape[axis] == count * shape[axis]:
        array = array.reshape(*array.shape[:axis], count, -1, *array.shape[axis + 1 :])  # several rows of each sample
    samples = array[np.newaxis] if axis < 0 else np.moveaxis(array, axis, 0) if axis < array.ndim else array
    return samples if samples.shape == (count, *shape) else None
