"""Sizes that a file leaves open and a user states: `--shape input=1,3,48,192`."""

from collections.abc import Iterator, Mapping, Sequence

import onnx

from cimc.diagnostics import Diagnostic, DiagnosticError

Shape = Sequence[int | None]
Shapes = Mapping[str, Shape]
"""Input -> the size of each axis; None leaves one as the file has it."""


def state_shapes(inputs: Sequence[onnx.ValueInfoProto], shapes: Shapes) -> None:
    """Fix the axes of a model's inputs to the sizes stated, in place.

    Raises CimcError CIM0003 for an input that the model has not, and for sizes that the file contradicts, CIM0105 for
    an input that has no shape in the file and none stated.
    """
    by_name = {value.name: value for value in inputs}
    found = [problem for name, shape in shapes.items() for problem in _problems(by_name, name, shape)]
    found += [_unstated(value) for value in inputs if _has_no_shape(value) and value.name not in shapes]
    if found:
        raise DiagnosticError(found)
    for name, shape in shapes.items():
        if _has_no_shape(by_name[name]):
            by_name[name].type.tensor_type.shape.dim.extend(onnx.TensorShapeProto.Dimension() for _ in shape)
        for dim, size in zip(_dims(by_name[name]), shape, strict=True):
            if size is not None:
                dim.dim_value = size


def _has_no_shape(value: onnx.ValueInfoProto) -> bool:
    """Say whether a file leaves open even how many axes an input has."""
    return value.type.HasField("tensor_type") and not value.type.tensor_type.HasField("shape")


def _unstated(value: onnx.ValueInfoProto) -> Diagnostic:
    hint = f"state it, ? for the batch: --shape {value.name}=?,3,224,224"
    return Diagnostic("CIM0105", f"input '{value.name}' has no shape in the file", hint=hint)


def size_of(dim: onnx.TensorShapeProto.Dimension) -> int | None:
    """Return the size of an axis, None for an open one."""
    known = dim.HasField("dim_value") and dim.dim_value >= 0
    return int(dim.dim_value) if known else None


def option_for(value: onnx.ValueInfoProto, kept: int | None) -> str:
    """Return the option that states an input's open axes, by the names that the file gives them; `kept` stays open."""
    sizes = [
        "?" if axis == kept else str(size_of(dim) or dim.dim_param or f"SIZE{axis}")
        for axis, dim in enumerate(_dims(value))
    ]
    return f"--shape {value.name}={','.join(sizes)}"


def _dims(value: onnx.ValueInfoProto) -> Sequence[onnx.TensorShapeProto.Dimension]:
    return list(value.type.tensor_type.shape.dim)


def _problems(inputs: Mapping[str, onnx.ValueInfoProto], name: str, shape: Shape) -> Iterator[Diagnostic]:
    if name not in inputs:
        yield Diagnostic("CIM0003", f"--shape {name}: the model has no such input", hint=f"it has {', '.join(inputs)}")
        return
    dims = _dims(inputs[name])
    if _has_no_shape(inputs[name]):
        return
    if len(dims) != len(shape):
        message = f"--shape {name} states {len(shape)} axes, the input has {len(dims)}"
        hint = f"state them all, ? for one that stays open: {option_for(inputs[name], 0)}"
        yield Diagnostic("CIM0003", message, hint=hint)
        return
    for axis, (dim, size) in enumerate(zip(dims, shape, strict=True)):
        if size is not None and size_of(dim) not in (None, size):
            message = f"--shape {name} states {size} for axis {axis}, the file fixes it to {size_of(dim)}"
            yield Diagnostic("CIM0003", message, hint="only open axes can be stated")
