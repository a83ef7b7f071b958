"""Reads a model file without changing it: protobuf, declared sizes, external data, versions."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import onnx
from google.protobuf.message import DecodeError

from cimc.diagnostics import Diagnostic, DiagnosticError, fail
from cimc.frontend.demands import require_moderate
from cimc.frontend.external import ExternalFiles
from cimc.frontend.tensors import check_external, declared_bytes, take_out, tensors, typed_elements
from cimc.frontend.wire import Bytes, Content, content_of
from cimc.ir.weights import Array
from cimc.isa.budgets import budgets, require
from cimc.isa.opening import open_within

AXES_MOST = 64
"""As many axes as numpy's arrays have."""


@dataclass(frozen=True)
class ModelFile:
    """A model without the data of its large initialisers, these by name; sha256 and bytes of the file and its data."""

    model: onnx.ModelProto
    large: Mapping[str, Array]
    content: Content
    stored: int


def read(path: Path) -> ModelFile:
    """Return the model of a file. Raises CimcError CIM0001, CIM0101, CIM0102, CIM0108 or CIM0111, OverBudget."""
    content = _content(path)
    model = _parse(path, content.light)
    require("nodes", len(model.graph.node), "nodes in the model")
    _check_names(model.graph, path)
    _check_axes(model.graph)
    check_versions(model)
    check_sizes(model, content.raw)
    require_moderate(model)
    with ExternalFiles(path.parent) as files:
        check_external(model, files)
        light, large = take_out(model, content.raw, files)
        files.add_to(content.hashed)
        return ModelFile(light, large, content, content.size + files.total)


def model_digest(path: Path) -> str:
    """Return the sha256 of the model file and of the external data it names. Raises as `read` does."""
    content = _content(path)
    model = _parse(path, content.light)
    check_sizes(model, content.raw)
    with ExternalFiles(path.parent) as files:
        check_external(model, files)
        files.add_to(content.hashed)
        return content.digest


def stored_model(path: Path) -> tuple[onnx.ModelProto, int]:
    """Return the model of a file as it stands, and the bytes of it and its external data. Raises as `read` does."""
    with _opened(path) as file:
        content = file.read()
    model = _parse(path, content)
    with ExternalFiles(path.parent) as files:
        check_external(model, files)
        return model, len(content) + files.total


def _content(path: Path) -> Content:
    with _opened(path) as file:
        return content_of(file)


def _opened(path: Path) -> BinaryIO:
    try:
        return open_within(path, "model_bytes")
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


def _check_axes(graph: onnx.GraphProto) -> None:
    for value in (*graph.input, *graph.output):
        axes = len(value.type.tensor_type.shape.dim)
        if axes > AXES_MOST:
            raise fail("CIM0102", f"value '{value.name}' has {axes} axes, {AXES_MOST} are the most")


def check_versions(model: onnx.ModelProto) -> None:
    """Raise CimcError CIM0108 for an IR version or opset that the installed onnx package does not know."""
    newest = onnx.defs.onnx_opset_version()
    opset = next((entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")), 1)
    if model.ir_version > onnx.IR_VERSION:
        raise _too_new("IR version", model.ir_version, onnx.IR_VERSION)
    if opset > newest:
        raise _too_new("opset", opset, newest)


def _too_new(what: str, found: int, newest: int) -> DiagnosticError:
    message = f"the model has {what} {found}, the onnx package {onnx.__version__} reads up to {newest}"
    return fail("CIM0108", message, hint="export with an older opset, or install a newer onnx package")


def check_sizes(model: onnx.ModelProto, raw: Mapping[int, Bytes]) -> None:
    """Raise CimcError for impossible or oversized tensors, before anything is allocated for them.

    `raw` is the data of some initialisers, by their place, which the model does not hold.
    """
    total, found = 0, []
    for place, tensor in enumerate(tensors(model)):  # initialisers come first
        size = declared_bytes(tensor)
        total += max(size, 0)
        if len(tensor.dims) > AXES_MOST:
            message = f"tensor '{tensor.name}' has {len(tensor.dims)} axes, {AXES_MOST} are the most"
            found.append(Diagnostic("CIM0102", message))
        elif size < 0:
            found.append(Diagnostic("CIM0102", f"tensor '{tensor.name}' declares shape {tuple(tensor.dims)}"))
        elif (held := None if place in raw else typed_elements(tensor)) is not None and held != math.prod(tensor.dims):
            message = f"tensor '{tensor.name}' of shape {tuple(tensor.dims)} has {math.prod(tensor.dims)} elements"
            found.append(Diagnostic("CIM0102", f"{message} and holds {held}"))
        elif (stored := _stored_bytes(tensor, raw.get(place))) not in (None, size):
            message = f"tensor '{tensor.name}' of shape {tuple(tensor.dims)} needs {size} bytes"
            found.append(Diagnostic("CIM0102", f"{message} and holds {stored}"))
    limit = budgets().external_bytes
    if total > limit:
        message = f"the model declares {total:,} bytes of constants, the limit is {limit:,}"
        raise fail("CIM0111", message, hint="no target of ours holds a model of this size")
    if found:
        raise DiagnosticError(found)


def _stored_bytes(tensor: onnx.TensorProto, raw: Bytes | None) -> int | None:
    """Return how many bytes of raw data there are, in the tensor or apart; None where it has no such data."""
    if raw is not None:
        return raw.size
    return len(tensor.raw_data) if tensor.HasField("raw_data") else None
