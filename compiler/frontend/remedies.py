"""What to do about an operator that cannot be compiled."""

from collections.abc import Mapping

from cimc.diagnostics import Diagnostic
from cimc.frontend.node import Node
from cimc.frontend.qoperators import SUMS
from cimc.frontend.quantisation import DYNAMIC

QDQ = "export with QuantizeLinear and DequantizeLinear, as brevitas.export.export_onnx_qcdq does"
QUANTISERS = tuple(
    f"{domain}.{operator}"
    for domain in ("onnx.brevitas", "qonnx.custom_op.general", "finn.custom_op.general")
    for operator in ("Quant", "BipolarQuant", "Trunc", "FloatQuant", "IntQuant")
)
"""Fake quantisation of Brevitas and QONNX: the scales are there, but as a node that no runtime has."""

REMEDIES: Mapping[str, str] = {
    "Hardmax": "take the place of the largest score with ArgMax",
    "TopK": "take the largest score with ReduceMax or ArgMax, and sort outside",
    "NonMaxSuppression": "end the model before it and suppress boxes on the host",
    "InstanceNormalization": "train with batch normalisation, which costs nothing in inference",
    "GroupNormalization": "train with batch normalisation, which costs nothing in inference",
    "Loop": "export with a fixed number of steps, unrolled",
    "Scan": "export with a fixed number of steps, unrolled",
    "If": "export the branch that inference takes: a condition must not depend on data or on the batch size "
    "(an input that always has one value is stated: --constant NAME=NUMBER)",
    "RandomNormalLike": "export in evaluation mode",
    "RandomUniformLike": "export in evaluation mode",
    "Bernoulli": "export in evaluation mode",
    "Einsum": "write it as Transpose, Reshape and MatMul",
    "Range": "its bounds must be constants",
    "NonZero": "its result has no fixed size; end the model before it",
    "Compress": "its result has no fixed size; end the model before it",
    "Unique": "its result has no fixed size; end the model before it",
    **dict.fromkeys(QUANTISERS, QDQ),
    **dict.fromkeys(SUMS, "cast its sums to FLOAT before anything else reads them, or export with QuantizeLinear"),
}
"""Operator -> the next step for whoever wants its model compiled."""


OPTIMISED = (
    "it was written for onnxruntime alone: give cimc the model as it was exported, before onnxruntime optimised it"
)
GENERAL = "docs/operators.md lists what there is; replace the node, or cut the model before it"
STATIC = "quantise with fixed scales: onnxruntime.quantization.quantize_static, or give cimc the float model"


def unsupported(node: Node) -> Diagnostic:
    """Return the problem of a node without a lowering."""
    if node.operator in DYNAMIC:
        return Diagnostic("CIM0103", "its scales are found at run time", node.name, node.operator, STATIC)
    return Diagnostic(
        "CIM0103",
        "no lowering exists for this operator",
        node.name,
        node.operator,
        REMEDIES.get(node.operator, OPTIMISED if node.operator.startswith("com.microsoft.") else GENERAL),
    )
