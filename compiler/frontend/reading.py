"""Reads a model file without changing it: protobuf, declared sizes, external data, versions."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError

from cimc.diagnostics import CimcError, Diagnostic, fail

LARGEST_CONSTANTS = 4 << 30
"""Bytes of constants a model may declare: beyond this nothing is allocated."""


def read(path: Path) -> onnx.ModelProto:
    """Return the model with all its tensors. Raises CimcError CIM0001, CIM0101, CIM0102, CIM0108 or CIM0111."""
    model = _parse(path, _bytes(path))
    _check_names(model.graph, path)
    check_versions(model)
    check_sizes(model)
    _load_external(model, path)
    return model


def model_digest(path: Path) -> str:
    """Return the sha256 of the model file and of the external data it names."""
    content = _bytes(path)
    result = hashlib.sha256(content)
    for name in sorted({_location(tensor) for tensor in tensors(_parse(path, content)) if _is_external(tensor)}):
        result.update(name.encode() + _bytes(path.parent / name))
    return result.hexdigest()


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise fail("CIM0001", f"{path}: {error.strerror or error}") from None


def _parse(path: Path, content: bytes) -> onnx.ModelProto:
    try:
        model = onnx.load_model_from_string(content)
    except (DecodeError, UnicodeDecodeError) as error:
        raise fail("CIM0101", f"{path}: {error}", hint="export the model again, or check the download") from None
    if not model.HasField("graph") or not model.ir_version:
        found = "the file is empty" if not content else "no ONNX graph in it"
        raise fail("CIM0101", f"{path}: {found}", hint="export the model again, or check the download")
    return model


def _check_names(graph: onnx.GraphProto, path: Path) -> None:
    """Protobuf gives names that are not UTF-8 as bytes: no name of such a file can be trusted."""
    tensors_and_values = (*graph.initializer, *graph.input, *graph.output)
    names = [name for node in graph.node for name in (node.name, node.op_type, *node.input, *node.output)]
    names += [named.name for named in tensors_and_values]
    bad = next((name for name in names if not isinstance(name, str)), None)
    if bad is not None:
        raise fail("CIM0101", f"{path}: the name {bad!r} is not UTF-8", hint="export the model again")


def check_versions(model: onnx.ModelProto) -> None:
    """Raise CimcError CIM0108 for an IR version or opset that the installed onnx package does not know."""
    newest = onnx.defs.onnx_opset_version()
    opset = next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), 1)
    if model.ir_version > onnx.IR_VERSION:
        raise _too_new("IR version", model.ir_version, onnx.IR_VERSION)
    if opset > newest:
        raise _too_new("opset", opset, newest)


def _too_new(what: str, found: int, newest: int) -> CimcError:
    message = f"the model has {what} {found}, the onnx package {onnx.__version__} reads up to {newest}"
    return fail("CIM0108", message, hint="export with an older opset, or install a newer onnx package")


def check_sizes(model: onnx.ModelProto) -> None:
    """Raise CimcError for impossible or oversized tensors, before anything is allocated for them."""
    total, found = 0, []
    for tensor in tensors(model):
        size = declared_bytes(tensor)
        total += max(size, 0)
        if size < 0:
            found.append(Diagnostic("CIM0102", f"tensor '{tensor.name}' declares shape {tuple(tensor.dims)}"))
        elif tensor.HasField("raw_data") and len(tensor.raw_data) != size:
            message = f"tensor '{tensor.name}' of shape {tuple(tensor.dims)} needs {size} bytes"
            found.append(Diagnostic("CIM0102", f"{message} and holds {len(tensor.raw_data)}"))
    if found:
        raise CimcError(found)
    if total > LARGEST_CONSTANTS:
        message = f"the model declares {total:,} bytes of constants, the limit is {LARGEST_CONSTANTS:,}"
        raise fail("CIM0111", message, hint="no target of ours holds a model of this size")


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


def _is_external(tensor: onnx.TensorProto) -> bool:
    return bool(tensor.data_location == onnx.TensorProto.EXTERNAL)


def _location(tensor: onnx.TensorProto) -> str:
    return next((str(entry.value) for entry in tensor.external_data if entry.key == "location"), "")


def _load_external(model: onnx.ModelProto, path: Path) -> None:
    external = [tensor for tensor in tensors(model) if _is_external(tensor)]
    for tensor in external:
        _check_external(tensor, path.parent)
    if not external:
        return
    try:
        onnx.load_external_data_for_model(model, str(path.parent))
    except (onnx.checker.ValidationError, OSError, ValueError) as error:
        raise fail("CIM0102", f"external data: {error}") from None


def _check_external(tensor: onnx.TensorProto, folder: Path) -> None:
    entries = {entry.key: entry.value for entry in tensor.external_data}
    place = Path(entries.get("location", ""))
    if place.is_absolute() or ".." in place.parts or not place.parts:
        raise fail("CIM0102", f"tensor '{tensor.name}' has its data at '{place}', outside the model's folder")
    try:
        offset, available = int(entries.get("offset", 0)), (folder / place).stat().st_size
        length = int(entries.get("length", declared_bytes(tensor)))
    except (OSError, ValueError) as error:
        raise fail("CIM0102", f"tensor '{tensor.name}': external data '{place}': {error}") from None
    if offset < 0 or length != declared_bytes(tensor) or offset + length > available:
        message = f"tensor '{tensor.name}' wants {declared_bytes(tensor)} bytes at {offset} of '{place}'"
        raise fail("CIM0102", f"{message}, which states {length} and holds {available}")
