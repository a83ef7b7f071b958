"""What onnx's checker or converter refuses and runtimes run, brought to the form that they take."""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import onnx

from cimc.diagnostics import Diagnostic, DiagnosticError
from cimc.frontend.conversion import DOMAIN, nodes_of, opset_of
from cimc.frontend.tensors import declared_bytes
from cimc.isa.budgets import budgets

CONSTANTS_APART = 4
"""The IR version from which an initialiser need not be an input too; runtimes do not ask it of older files either."""
PER_GROUP = range(18, 21)
"""Opsets whose GroupNormalization has a scale for each group, which onnx calls deprecated."""
HIDDEN = "cimc.hidden"


def tidy(model: onnx.ModelProto) -> None:
    """Name the graph, its nodes, domains and the outputs' types where a file leaves out what follows, in place."""
    model.ir_version = max(model.ir_version, CONSTANTS_APART)
    if not model.graph.name:
        model.graph.name = "model"
    name_nodes(model.graph)
    for named in (*model.opset_import, *nodes_of(model.graph)):
        if named.domain in DOMAIN:
            named.domain = ""
    for domain in sorted(_unlisted_domains(model)):
        model.opset_import.add(domain=domain, version=1)
    for value in model.graph.output:  # the checker wants a type and a shape here; ours are inferred
        if not value.HasField("type"):
            value.type.tensor_type.elem_type = onnx.TensorProto.FLOAT
        if value.type.HasField("tensor_type"):
            value.type.tensor_type.shape.SetInParent()


def _unlisted_domains(model: onnx.ModelProto) -> set[str]:
    """Return the domains of others that nodes name and the file does not import: what is of them is refused by name."""
    return {node.domain for node in nodes_of(model.graph)} - {entry.domain for entry in model.opset_import} - {""}


def name_nodes(graph: onnx.GraphProto) -> None:
    """Call each node that has no name after its operator and its number in the graph, such as Conv_3, in place."""
    for number, node in enumerate(graph.node):
        node.name = node.name or f"{node.op_type}_{number}"


@contextmanager
def without_deprecated(model: onnx.ModelProto) -> Iterator[None]:
    """Keep from the checker the nodes that it calls deprecated and that mean what they say."""
    hidden = [node for node in nodes_of(model.graph) if node.op_type == "GroupNormalization" and node.domain == ""]
    if opset_of(model) not in PER_GROUP or not hidden:
        yield
        return
    model.opset_import.add(domain=HIDDEN, version=1)
    for node in hidden:
        node.domain = HIDDEN
    try:
        yield
    finally:
        model.opset_import.pop()
        for node in hidden:
            node.domain = ""


def make_dense(model: onnx.ModelProto) -> None:
    """Write sparse initialisers and constants out, in place. Raises CimcError CIM0111 for ones too large for that."""
    graph = model.graph
    constants = [attribute for node in nodes_of(graph) for attribute in node.attribute if attribute.name == SPARSE]
    sparse = [*graph.sparse_initializer, *(attribute.sparse_tensor for attribute in constants)]
    found = [problem for tensor in sparse for problem in _size_problems(tensor)]
    if found:
        raise DiagnosticError(found)
    graph.initializer.extend(map(_dense, graph.sparse_initializer))
    graph.ClearField("sparse_initializer")
    for attribute in constants:
        attribute.CopyFrom(onnx.helper.make_attribute("value", _dense(attribute.sparse_tensor)))


SPARSE = "sparse_value"


def _size_problems(sparse: onnx.SparseTensorProto) -> Iterator[Diagnostic]:
    size = declared_bytes(onnx.TensorProto(dims=sparse.dims, data_type=sparse.values.data_type))
    limit = budgets().external_bytes
    if not 0 <= size <= limit:
        message = f"sparse '{sparse.values.name}' of shape {tuple(sparse.dims)} needs {size:,} bytes written out"
        yield Diagnostic("CIM0111", f"{message}, the limit is {limit:,}")


def _dense(sparse: onnx.SparseTensorProto) -> onnx.TensorProto:
    """Return a tensor whose elements are zero but for the values given, by flat indices or by one an axis."""
    values, places = (onnx.numpy_helper.to_array(tensor) for tensor in (sparse.values, sparse.indices))
    array = np.zeros(tuple(sparse.dims), values.dtype)
    array[tuple(places.T) if places.ndim == 2 else np.unravel_index(places, array.shape)] = values
    return onnx.numpy_helper.from_array(array, sparse.values.name)
