"""Brings a model to one form: functions inlined, the batch fixed, opset 21, checked by onnx."""

from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass

import onnx
import onnx.checker
import onnx.inliner

from cimc.diagnostics import Diagnostic, DiagnosticError, fail
from cimc.frontend.conversion import converted, first_lines, opset_of
from cimc.frontend.ordering import sort_nodes
from cimc.frontend.qoperators import expand_quantised
from cimc.frontend.reading import ModelFile
from cimc.frontend.specialisation import AS_THE_FILE, Specialisation
from cimc.frontend.stated_constants import state_constants
from cimc.frontend.stated_shapes import option_for, size_of, state_shapes
from cimc.frontend.tidying import make_dense, name_nodes, tidy, without_deprecated
from cimc.ir.weights import Array

REALS = tuple(getattr(onnx.TensorProto, name) for name in ("FLOAT", "FLOAT16", "BFLOAT16", "DOUBLE"))
"""Element types of real numbers, which are all the same here: codes are coarser than any of them."""
WHOLE = (onnx.TensorProto.INT64, onnx.TensorProto.INT32, onnx.TensorProto.BOOL)
"""Element types of inputs of whole numbers, which are their own codes."""
UNBATCHED = "if no axis of the model is a batch, compile with --unbatched"

CODES = tuple(getattr(onnx.TensorProto, name) for name in ("INT8", "UINT8", "INT16", "UINT16"))
FED = (*REALS, *CODES, *WHOLE)
"""Element types of inputs: real numbers, the integers of a quantised model, or whole numbers."""


@dataclass(frozen=True)
class Prepared:
    """A checked model; `batch` is the size its shapes are inferred at, `free` says the file left it open.

    `axes` names the batch axis of each input; None where the model is taken as unbatched. `large` are the initialisers
    whose data the protobuf does not hold, `stored` the bytes of the file and of its external data. `constants` are the
    inputs of the file that have become constants.
    """

    model: onnx.ModelProto
    large: Mapping[str, Array]
    batch: int
    free: bool
    axes: Mapping[str, int | None]
    stored: int
    constants: Mapping[str, Array]

    @property
    def opset(self) -> int:
        return opset_of(self.model)


def prepare(file: ModelFile, stated: Specialisation = AS_THE_FILE) -> Prepared:
    """Return the prepared model; the file's own is changed. Raises CimcError with every bad input at once.

    Where some input has an open axis, each input's batch lies along its open axis, else along the first one.
    An unbatched model has none: a run of it is one sample.
    """
    model = file.model
    tidy(model)
    sort_nodes(model.graph)
    state_shapes(list(real_inputs(model.graph)), stated.shapes)
    _check(model, file.large)
    make_dense(model)
    fixed = state_constants(model.graph, stated.constants)
    if model.functions:  # of another opset too, where the checker finds that their operators are the same in both
        model = onnx.inliner.inline_local_functions(model, convert_version=True)
    inputs = list(real_inputs(model.graph))
    axes = {value.name: None if stated.unbatched else _batch_axis(value) for value in inputs}
    found = [diagnostic for value in inputs for diagnostic in _input_problems(value, axes[value.name])]
    if found:
        raise DiagnosticError(found)
    batch, free = (1, False) if stated.unbatched else _batch(inputs, axes)
    _fix_batch(model.graph, inputs, axes, batch)
    model = converted(model)
    expand_quantised(model.graph)
    name_nodes(model.graph)
    return Prepared(model, file.large, batch, free, axes, file.stored, fixed)


def real_inputs(graph: onnx.GraphProto) -> Iterator[onnx.ValueInfoProto]:
    """Yield the inputs a user feeds: those that are not initialisers too."""
    constants = {tensor.name for tensor in graph.initializer}
    return (value for value in graph.input if value.name not in constants)


def _check(model: onnx.ModelProto, large: Container[str]) -> None:
    emptied = [(tensor, list(tensor.dims)) for tensor in model.graph.initializer if tensor.name in large]
    for tensor, _ in emptied:  # without data, the checker takes only tensors without elements
        tensor.dims[:] = [0]
    try:
        with without_deprecated(model):
            onnx.checker.check_model(model)
    except Exception as error:  # besides ValidationError, whatever the checker's C++ raises on damaged files
        raise fail("CIM0102", first_lines(error)) from None
    for tensor, dims in emptied:
        tensor.dims[:] = dims
    if not model.graph.output:
        raise fail("CIM0110", "the model has no output")


def _batch_axis(value: onnx.ValueInfoProto) -> int:
    """Return the only open axis of an input, else the first axis."""
    sizes = [size_of(dim) for dim in value.type.tensor_type.shape.dim]
    return sizes.index(None) if sizes.count(None) == 1 else 0


def _input_problems(value: onnx.ValueInfoProto, batch: int | None) -> Iterator[Diagnostic]:
    name, tensor = f"input '{value.name}'", value.type.tensor_type
    if not value.type.HasField("tensor_type") or tensor.elem_type not in FED:
        names = {number: name for name, number in onnx.TensorProto.DataType.items()}
        kind = names.get(tensor.elem_type, f"of type {tensor.elem_type}") if tensor.elem_type else "no tensor"
        hint = "export the float model; cimc quantises it"
        fed = ", ".join(map(onnx.TensorProto.DataType.Name, FED))
        yield Diagnostic("CIM0104", f"{name} is {kind}, only {fed} can be fed", hint=hint)
        return
    shape = [size_of(dim) for dim in tensor.shape.dim]
    shown = tuple("?" if size is None else size for size in shape)
    if not shape and batch is not None:
        yield Diagnostic("CIM0109", f"{name} is a scalar: it has no batch axis", hint=UNBATCHED)
    elif any(size is None and axis != batch for axis, size in enumerate(shape)):
        hint = f"state the sizes, as numbers: {option_for(value, batch)}"
        yield Diagnostic("CIM0105", f"{name} has shape {shown}: only the batch axis may be open", hint=hint)
    if 0 in shape:
        yield Diagnostic("CIM0107", f"{name} has shape {shown}")


def _batch(inputs: list[onnx.ValueInfoProto], axes: Mapping[str, int | None]) -> tuple[int, bool]:
    """Return the batch size of the shapes, and whether no input fixes it."""
    sizes = {value.name: size_of(value.type.tensor_type.shape.dim[axes[value.name] or 0]) for value in inputs}
    fixed = {size for size in sizes.values() if size is not None}
    if len(fixed) > 1:
        listed = ", ".join(f"'{name}': {size or 'open'}" for name, size in sizes.items())
        message = f"the inputs have different first axes ({listed}); the first axis is the batch"
        raise fail("CIM0109", message, hint=UNBATCHED)
    return next(iter(fixed), 1), not fixed


def _fix_batch(
    graph: onnx.GraphProto, inputs: list[onnx.ValueInfoProto], axes: Mapping[str, int | None], batch: int
) -> None:
    del graph.value_info[:]
    for value in inputs:
        axis = axes[value.name]
        if axis is not None:
            value.type.tensor_type.shape.dim[axis].dim_value = batch
    for value in graph.output:
        value.type.tensor_type.ClearField("shape")
