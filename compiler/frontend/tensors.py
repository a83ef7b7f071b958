"""The tensors of a model: external data checked and mapped from disk, large initialisers taken out of the protobuf."""

import errno
from collections.abc import Iterator, Mapping

import numpy as np
import onnx

from cimc.diagnostics import DiagnosticError, fail
from cimc.frontend.external import ExternalFiles
from cimc.frontend.wire import Bytes
from cimc.ir.weights import Array

LARGE_BYTES = 1 << 16
"""Initialisers of so many bytes are taken out: onnx's checker and converter would copy them several times."""

DATA_FIELDS = [name for name in onnx.TensorProto.DESCRIPTOR.fields_by_name if name.endswith(("_data", "_location"))]


PLAIN = {
    getattr(onnx.TensorProto, name)
    for name in ("FLOAT", "DOUBLE", "FLOAT16", "BFLOAT16", "BOOL", "INT8", "UINT8", "INT16", "UINT16")
} | {onnx.TensorProto.INT32, onnx.TensorProto.UINT32, onnx.TensorProto.INT64, onnx.TensorProto.UINT64}
"""Element types of which a typed field holds one number for each element."""

PACKED_BITS = {"INT4": 4, "UINT4": 4, "FLOAT4E2M1": 4, "INT2": 2, "UINT2": 2, "FLOAT6E2M3": 6, "FLOAT6E3M2": 6}
"""Bits of an element, by the type's name, where elements share bytes."""


def take_out(
    model: onnx.ModelProto, raw: Mapping[int, Bytes], files: ExternalFiles
) -> tuple[onnx.ModelProto, dict[str, Array]]:
    """Return the model without the data of its large initialisers, and these by name; external data is loaded.

    `raw` is data that the model does not hold, by the initialiser's place. Large external tensors stay on disk, mapped:
    only what is used of them is ever read. `model` itself is changed. `check_external` comes first.
    """
    large: dict[str, Array] = {}
    for place, tensor in enumerate(model.graph.initializer):
        if declared_bytes(tensor) < LARGE_BYTES or _type_of(tensor).isbuiltin != 1:
            if place in raw:
                tensor.raw_data = raw[place].tobytes()
        else:
            large[tensor.name] = _large(tensor, raw.get(place), files)
            for name in DATA_FIELDS:
                tensor.ClearField(name)
    for tensor in filter(_is_external, tensors(model)):
        _load(tensor, files)
    if not large:
        return model, large
    light = onnx.ModelProto()  # a protobuf gives the memory of cleared fields back only as a whole
    light.CopyFrom(model)
    return light, large


def check_external(model: onnx.ModelProto, files: ExternalFiles) -> None:
    """Open all external data of a model. Raises CimcError CIM0102 where some is missing, too short or outside."""
    for tensor in filter(_is_external, tensors(model)):
        _check_external(tensor, files)


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
    bits = PACKED_BITS.get(onnx.TensorProto.DataType.Name(tensor.data_type), 8 * width)
    return -(-count * bits // 8)


def typed_elements(tensor: onnx.TensorProto) -> int | None:
    """Return how many elements a tensor holds in a field of its type; None where they are elsewhere or packed."""
    if tensor.HasField("raw_data") or _is_external(tensor) or tensor.data_type not in PLAIN:
        return None
    return len(getattr(tensor, onnx.helper.tensor_dtype_to_field(tensor.data_type)))


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


def _large(tensor: onnx.TensorProto, raw: Bytes | None, files: ExternalFiles) -> Array:
    """Return the array of a tensor whose data is in a file of its own, in raw bytes, or in the tensor itself."""
    if _is_external(tensor):
        return _mapped(tensor, files)
    if raw is None:
        return onnx.numpy_helper.to_array(tensor)
    stored = raw.view(_type_of(tensor).newbyteorder("<")).reshape(tuple(tensor.dims))
    return np.asarray(stored, _type_of(tensor))


def _mapped(tensor: onnx.TensorProto, files: ExternalFiles) -> Array:
    """Return checked external data as a read-only array, read page by page when it is used."""
    entries, stored = _entries(tensor), _type_of(tensor).newbyteorder("<")
    place = files.file(entries["location"])
    found = np.memmap(place, stored, "r", int(entries.get("offset", 0)), tuple(tensor.dims))
    return np.require(np.asarray(found), _type_of(tensor), "A")


def _load(tensor: onnx.TensorProto, files: ExternalFiles) -> None:
    """Put checked external data into the tensor itself."""
    entries = _entries(tensor)
    tensor.raw_data = files.read(entries["location"], int(entries.get("offset", 0)), declared_bytes(tensor))
    tensor.data_location = onnx.TensorProto.DEFAULT
    del tensor.external_data[:]


def _check_external(tensor: onnx.TensorProto, files: ExternalFiles) -> None:
    entries = _entries(tensor)
    place = entries.get("location", "")
    try:
        available = files.size(place)
        offset = int(entries.get("offset", 0))
        length = int(entries.get("length", declared_bytes(tensor)))
    except (OSError, ValueError) as error:
        raise _unusable(tensor.name, place, error) from None
    if offset < 0 or length != declared_bytes(tensor) or offset + length > available:
        message = f"tensor '{tensor.name}' wants {declared_bytes(tensor)} bytes at {offset} of '{place}'"
        raise fail("CIM0102", f"{message}, which states {length} and holds {available}")


def _unusable(tensor: str, place: str, error: OSError | ValueError) -> DiagnosticError:
    reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
    if isinstance(error, OSError) and error.errno == errno.EPERM:
        return fail("CIM0102", f"tensor '{tensor}' has its data at '{place}', outside the model's folder: {reason}")
    return fail("CIM0102", f"tensor '{tensor}': external data '{place}': {reason}")
