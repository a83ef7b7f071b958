"""The tensors of a model: external data checked and mapped from disk, large initialisers taken out of the protobuf."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx

from cimc.diagnostics import fail
from cimc.ir.weights import Array

LARGE_BYTES = 1 << 16
"""Initialisers of so many bytes are taken out: onnx's checker and converter would copy them several times."""

DATA_FIELDS = [name for name in onnx.TensorProto.DESCRIPTOR.fields_by_name if name.endswith(("_data", "_location"))]


def take_out(model: onnx.ModelProto, folder: Path) -> tuple[onnx.ModelProto, dict[str, Array]]:
    """Return the model without the data of its large initialisers, and these by name; external data is loaded.

    Large external tensors stay on disk, mapped: only what is used of them is ever read. `model` itself is changed.
    Raises CimcError CIM0102 for external data that is missing, too short, or outside the folder.
    """
    for tensor in tensors(model):
        if _is_external(tensor):
            _check_external(tensor, folder)
    large: dict[str, Array] = {}
    for tensor in model.graph.initializer:
        if declared_bytes(tensor) >= LARGE_BYTES and _type_of(tensor).isbuiltin == 1:
            large[tensor.name] = _mapped(tensor, folder) if _is_external(tensor) else onnx.numpy_helper.to_array(tensor)
            for name in DATA_FIELDS:
                tensor.ClearField(name)
    try:
        onnx.load_external_data_for_model(model, str(folder))
    except (onnx.checker.ValidationError, OSError, ValueError) as error:
        raise fail("CIM0102", f"external data: {error}") from None
    if not large:
        return model, large
    light = onnx.ModelProto()  # a protobuf gives the memory of cleared fields back only as a whole
    light.CopyFrom(model)
    return light, large


def external_files(model: onnx.ModelProto) -> list[str]:
    """Return the names of the files that hold external data, sorted."""
    return sorted({_entries(tensor).get("location", "") for tensor in tensors(model) if _is_external(tensor)})


def declared_bytes(tensor: onnx.TensorProto) -> int:
    """Return the bytes a tensor's shape and type ask for; -1 for an impossible shape or type."""
    if any(dim < 0 for dim in tensor.dims):
        return -1
    count = 1
    for dim in tensor.dims:
        count *= int(dim)
    try:
        width = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize
    except (KeyError, TypeError, ValueError):
        return -1
    packed = tensor.data_type in (onnx.TensorProto.INT4, onnx.TensorProto.UINT4, onnx.TensorProto.FLOAT4E2M1)
    return (count + 1) // 2 if packed else count * width


def tensors(model: onnx.ModelProto) -> Iterator[onnx.TensorProto]:
    """Yield every tensor of a model: initialisers and attributes, subgraphs and functions included."""
    yield from _graph_tensors(model.graph)
    for function in model.functions:
        for node in function.node:
            yield from _node_tensors(node)


def _graph_tensors(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    for node in graph.node:
        yield from _node_tensors(node)


def _node_tensors(node: onnx.NodeProto) -> Iterator[onnx.TensorProto]:
    for attribute in node.attribute:
        if attribute.HasField("t"):
            yield attribute.t
        yield from attribute.tensors
        for graph in (*attribute.graphs, *((attribute.g,) if attribute.HasField("g") else ())):
            yield from _graph_tensors(graph)


def _type_of(tensor: onnx.TensorProto) -> "np.dtype[np.generic]":
    return np.dtype(onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type))


def _is_external(tensor: onnx.TensorProto) -> bool:
    return bool(tensor.data_location == onnx.TensorProto.EXTERNAL)


def _entries(tensor: onnx.TensorProto) -> dict[str, str]:
    return {str(entry.key): str(entry.value) for entry in tensor.external_data}


def _mapped(tensor: onnx.TensorProto, folder: Path) -> Array:
    """Return checked external data as a read-only array, read page by page when it is used."""
    entries, stored = _entries(tensor), _type_of(tensor).newbyteorder("<")
    place, offset = folder / entries["location"], int(entries.get("offset", 0))
    found = np.memmap(place, stored, "r", offset, tuple(tensor.dims))
    return np.require(np.asarray(found), _type_of(tensor), "A")


def _check_external(tensor: onnx.TensorProto, folder: Path) -> None:
    entries = _entries(tensor)
    place = Path(entries.get("location", ""))
    outside = place.is_absolute() or ".." in place.parts or not place.parts
    if outside or not (folder / place).resolve().is_relative_to(folder.resolve()):
        raise fail("CIM0102", f"tensor '{tensor.name}' has its data at '{place}', outside the model's folder")
    try:
        offset, available = int(entries.get("offset", 0)), (folder / place).stat().st_size
        length = int(entries.get("length", declared_bytes(tensor)))
    except (OSError, ValueError) as error:
        raise fail("CIM0102", f"tensor '{tensor.name}': external data '{place}': {error}") from None
    if offset < 0 or length != declared_bytes(tensor) or offset + length > available:
        message = f"tensor '{tensor.name}' wants {declared_bytes(tensor)} bytes at {offset} of '{place}'"
        raise fail("CIM0102", f"{message}, which states {length} and holds {available}")
