"""Brings a model to one opset, and keeps what onnx's converter would lose on the way."""

from collections.abc import Iterable, Iterator

import onnx
import onnx.version_converter

from cimc.diagnostics import Diagnostic, DiagnosticError, fail
from cimc.frontend.node import node_of

OPSET = 21
"""Older models are converted to this opset; newer ones are taken where their operators are the same."""
DOMAIN = ("", "ai.onnx")
COORDINATES_STATED = 11
"""The opset from which Resize states how places are computed; the converter gives older ones the later default."""
MASK_DEFINED = 12
"""The opset from which Dropout's mask is true throughout in inference; before, runtimes leave it false."""
TRAINING_MODE = 14
"""The opset from which BatchNormalization says whether it trains; before, five outputs said it."""
TRAINING = "train: it normalises by the statistics of the batch at hand"
EVALUATION = "export the model in evaluation mode, or take away all outputs of the node but the first"
BEFORE_COORDINATES = "floor_or_ceil"
"""`nearest_mode` of a resize from before: floor along an axis that grows, ceil along one that shrinks."""


def converted(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model at OPSET or newer, which may be the one given, changed.

    Raises CimcError CIM0108 with what the converter says, CIM0104 for what only had a meaning in training.
    """
    opset = opset_of(model)
    if opset >= OPSET:
        return model
    problems = list(_lost(model.graph, opset))
    if problems:
        raise DiagnosticError(problems)
    try:
        made = onnx.version_converter.convert_version(model, OPSET)
    except Exception as error:  # the converter raises whatever its C++ does
        said = first_lines(error).rpartition(" failed: ")[2]  # behind the place in its source and the assertion
        message = f"opset {opset} cannot be converted to {OPSET}: {said}"
        raise fail("CIM0108", message, hint=f"export the model with opset {OPSET}") from None
    for node in nodes_of(made.graph):
        if node.op_type == "Resize" and opset < COORDINATES_STATED:
            _state_coordinates(node)
    return made


def _lost(graph: onnx.GraphProto, opset: int) -> Iterable[Diagnostic]:
    """Yield a problem for every node that means something else in inference than it says."""
    read = read_in(graph)
    for node in map(node_of, nodes_of(graph)):
        further = [name for name in node.outputs[1:] if name in read]
        if node.operator == "BatchNormalization" and any(node.outputs[1:]) and opset < TRAINING_MODE:
            message = f"{len(node.outputs)} outputs: before opset {TRAINING_MODE} they are what makes it {TRAINING}"
            yield Diagnostic("CIM0104", message, node.name, node.operator, EVALUATION)
        if node.operator == "Dropout" and further and opset < MASK_DEFINED:
            message = f"the mask '{further[0]}' is used, which inference left undefined before opset {MASK_DEFINED}"
            yield Diagnostic("CIM0104", message, node.name, node.operator, "export without it, or with a newer opset")


def read_in(graph: onnx.GraphProto) -> set[str]:
    """Return the names of all tensors that a node reads or a graph gives out."""
    given = {value.name for value in graph.output}
    inner = [read_in(attribute.g) for node in graph.node for attribute in node.attribute if attribute.HasField("g")]
    return given.union(*inner, *(node.input for node in graph.node)) - {""}


def opset_of(model: onnx.ModelProto) -> int:
    """Return the version of ONNX's own operators that a model imports; 1 where it does not say."""
    return next((int(entry.version) for entry in model.opset_import if entry.domain in DOMAIN), 1)


def nodes_of(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """Yield every node of a graph, those of its nodes' subgraphs too."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from nodes_of(attribute.g)


def first_lines(error: Exception, count: int = 3) -> str:
    """Return the first lines of an error that onnx's C++ raised, as one."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return "; ".join(lines[:count]) or type(error).__name__


def _state_coordinates(node: onnx.NodeProto) -> None:
    """Say what a resize meant when its opset did not: place i of the result lies at i / factor of the data."""
    stated = {"coordinate_transformation_mode": "asymmetric", "nearest_mode": BEFORE_COORDINATES}
    node.attribute.extend(onnx.helper.make_attribute(name, value) for name, value in stated.items())
