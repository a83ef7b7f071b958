"""A model file on a runtime of others: onnxruntime as ONNX defines it, or onnx's own reference where that refuses."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cimc.diagnostics import DiagnosticError, fail
from cimc.evaluate import elements, samples_at_once
from cimc.frontend import stored_model
from cimc.inference import Confined, Grant, Refused
from cimc.ir.graph import Graph
from cimc.isa.opening import resolved

if TYPE_CHECKING:
    from onnx import ModelProto

Array = NDArray[Any]
Runtime = Callable[[Sequence[str], Mapping[str, Array], int], Mapping[str, Array]]
"""(names of tensors, inputs by name, how many samples they hold) -> what is known of the tensors. Raises CIM0211."""

VALUE_BYTES = 16
"""Address space for each element of all values: as much again as the widest type, for what operators hold beside."""

CODE_PRODUCTS = {"ConvInteger", "MatMulInteger", "QGemm", "QLinearConv", "QLinearMatMul"}
"""Operators that multiply 8-bit codes."""


@contextmanager
def onnxruntime_of(path: Path, graph: Graph, shown: Collection[str] = ()) -> Iterator[Runtime]:
    """Give a run of a model file on one thread; tensors `shown` can be asked for as well.

    It is not optimised, but for models whose products of codes would saturate on some processors.
    `graph` is the model imported. Node names, which onnxruntime wants to differ, are dropped where they do not.
    Raises CimcError CIM0211.
    """
    model, stored = stored_model(path)
    grant = Grant(stored, VALUE_BYTES * elements(graph) * samples_at_once(graph))
    with _told(path), _opened(path, model, shown, grant) as session:
        yield lambda names, feed, samples: _run(path, session, names, feed, samples)


def _run(
    path: Path, session: Confined, names: Sequence[str], feed: Mapping[str, Array], samples: int
) -> Mapping[str, Array]:
    with _told(path):
        return session.run(list(names), feed, samples)


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Raise CIM0211 for what onnxruntime says."""
    try:
        yield
    except Refused as error:
        raise _refused(path, error) from None


def reference_of(path: Path) -> Runtime:
    """Return a run of a model file by onnx's reference evaluator, node after node in Python.

    Raises CimcError CIM0211.
    """
    import onnx
    from onnx.reference import ReferenceEvaluator

    try:
        evaluator = ReferenceEvaluator(onnx.load(str(path)))
    except Exception as error:  # whatever it raises on files that it does not know
        raise _refused(path, error) from None
    return lambda names, feed, samples: _evaluated(path, evaluator, names, feed)


def _evaluated(path: Path, evaluator: Any, names: Sequence[str], feed: Mapping[str, Array]) -> Mapping[str, Array]:
    try:
        with np.errstate(all="ignore"):
            found = evaluator.run(None, dict(feed), intermediate=True)
    except Exception as error:  # it is Python of others on a model of others
        raise _refused(path, error) from None
    return {name: np.asarray(found[name]) for name in names if isinstance(found.get(name), np.ndarray | np.generic)}


def _refused(path: Path, error: Exception) -> DiagnosticError:
    said = next(iter(str(error).splitlines()), type(error).__name__)
    return fail("CIM0211", f"{path}: {said}", hint="what was compiled is not held against the float model")


def _opened(path: Path, model: "ModelProto", shown: Collection[str], grant: Grant) -> Confined:
    """Return a session of a model file. Raises Refused."""
    folder = {"session.model_external_initializers_file_folder_path": str(resolved(path.parent))}
    optimised = _may_saturate(model)
    if shown or _names_collide(model):
        return Confined(_changed(model, shown), grant, folder, optimised)
    return Confined(resolved(path), grant, optimised=optimised)  # the process may stand elsewhere


def _names_collide(model: "ModelProto") -> bool:
    names = [node.name for node in model.graph.node if node.name]
    return len(names) > len(set(names))


def _may_saturate(model: "ModelProto") -> bool:
    """Return whether products of 8-bit codes may saturate on some processors unless onnxruntime rewrites them.

    It does so where it optimises (see `exact_session`). Operators with codes inside do not fuse with others.
    """
    return any(node.op_type in CODE_PRODUCTS for node in model.graph.node)


def _changed(model: "ModelProto", shown: Collection[str]) -> bytes:
    """Return the model with more outputs, and without the names of nodes where two share one."""
    import onnx

    if _names_collide(model):
        for node in model.graph.node:
            node.name = ""
    given = {value.name for value in model.graph.output}
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in shown if name not in given)
    return bytes(model.SerializeToString())
