"""The IR of any level on onnxruntime; arithmetic written apart from reference/ and plan/, so equal bits prove all."""

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from cimc.evaluate.session import Array, Batch, Evaluator, arrays_of
from cimc.evaluate.sizes import elements, samples_at_once
from cimc.ir.graph import Graph

if TYPE_CHECKING:
    from onnx import ModelProto

__all__ = [
    "Batch",
    "Evaluator",
    "arrays_of",
    "elements",
    "evaluate",
    "given_name",
    "samples_at_once",
    "selftest",
    "to_onnx",
]


def evaluate(
    graph: Graph, inputs: Mapping[str, Array], values: Collection[str] | None = None, batch: int | None = None
) -> dict[str, Array]:
    """Return the model's outputs, or the values named by `values`, for arrays of shape [N, *model_shape] by input name.

    Outputs are float32 in the model's own shapes. Named values are as they are at this level, [N, *shape] in memory
    layout: float32, or integer codes. `batch` samples are computed at a time, by default `samples_at_once`.
    """
    return Evaluator(graph, values, batch or samples_at_once(graph)).run(inputs)


def to_onnx(graph: Graph, values: Collection[str] = (), codes: bool = False) -> "ModelProto":
    """Return the graph as an ONNX model with a dynamic first axis `batch` under the model's own input and output names.

    Values named by `values`, and with `codes` every value that is codes, become extra outputs named LABEL:value.
    The result gives the same bits at every optimisation level of onnxruntime where the graph is integer.
    """
    from cimc.evaluate.lower import lower

    return lower(graph, values, codes).model


def given_name(label: str) -> str:
    """Return under which name an Evaluator is fed a value that it is `given`."""
    from cimc.evaluate.lower import given_name

    return given_name(label)


def selftest() -> None:
    """Check that onnxruntime on this machine computes 8-bit extremes exactly. Raises CimcError where it does not."""
    from cimc.evaluate.extremes import check_extremes

    check_extremes()
