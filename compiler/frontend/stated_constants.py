"""Inputs that always have one value, which a user states: `--constant sr=16000`. They become constants of the model."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from cimc.diagnostics import Diagnostic, DiagnosticError
from cimc.frontend.stated_shapes import option_for, size_of

WITHOUT_NUMBERS = frozenset(
    getattr(onnx.TensorProto, name) for name in ("UNDEFINED", "STRING", "COMPLEX64", "COMPLEX128")
)
"""Element types none of which is a number of ours; what is no tensor is undefined."""

Constants = Mapping[str, float]
"""Input -> the number that all its elements are."""


def state_constants(graph: onnx.GraphProto, constants: Constants) -> dict[str, NDArray[Any]]:
    """Make initialisers of inputs, in place, and return their arrays by name.

    Raises CimcError CIM0003 for an input that the model has not or whose sizes are open, and for a number that its
    type does not hold.
    """
    inputs = {value.name: value for value in graph.input}
    found = [problem for name, number in constants.items() for problem in _problems(inputs, name, number)]
    if found:
        raise DiagnosticError(found)
    arrays = {name: _array(inputs[name], number) for name, number in constants.items()}
    kept = [value for value in graph.input if value.name not in arrays]
    del graph.input[:]
    graph.input.extend(kept)
    graph.initializer.extend(onnx.numpy_helper.from_array(array, name) for name, array in arrays.items())
    return arrays


def _problems(inputs: Mapping[str, onnx.ValueInfoProto], name: str, number: float) -> Iterator[Diagnostic]:
    if name not in inputs:
        message = f"--constant {name}: the model has no such input"
        yield Diagnostic("CIM0003", message, hint=f"it has {', '.join(inputs)}")
        return
    value, kind = inputs[name], inputs[name].type.tensor_type.elem_type
    if kind not in WITHOUT_NUMBERS and None in _sizes(value):
        hint = f"state its sizes too: {option_for(value, None)}"
        yield Diagnostic("CIM0003", f"--constant {name}: the file leaves sizes of the input open", hint=hint)
    elif kind in WITHOUT_NUMBERS or not np.all(_array(value, number) == number):
        message = f"--constant {name}={number:g}: the input is {onnx.TensorProto.DataType.Name(kind)}"
        yield Diagnostic("CIM0003", message, hint="state a number of it")


def _sizes(value: onnx.ValueInfoProto) -> list[int | None]:
    return [size_of(dim) for dim in value.type.tensor_type.shape.dim]


def _array(value: onnx.ValueInfoProto, number: float) -> NDArray[Any]:
    """Return an input's array with one number everywhere, in its own type."""
    kind = onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
    shape = [size or 0 for size in _sizes(value)]
    with np.errstate(all="ignore"):
        return np.full(shape, np.asarray(number).astype(kind), kind)
