"""Sessions of onnxruntime on the processor, each on one thread."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

QUIET = 4
"""The severity from which onnxruntime writes: what goes wrong is raised."""


def session(
    model: str | bytes, entries: Mapping[str, str] | None = None, optimised: bool = True, lean: bool = False
) -> "InferenceSession":
    """Return a session of a model file or of a model's bytes; `entries` are settings by onnxruntime's names.

    A `lean` one keeps no memory between its runs. Raises whatever onnxruntime does.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = QUIET
    options.enable_cpu_mem_arena = not lean
    if not optimised:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    for key, value in (entries or {}).items():
        options.add_session_config_entry(key, value)
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def exact_session(model: str | bytes, entries: Mapping[str, str], optimised: bool = True) -> "InferenceSession":
    """Return a session that computes what ONNX defines, whatever the processor has.

    Without VNNI, 16-bit sums of products of 8-bit codes saturate unless `x64quantprecision` is set. The option turns a
    QGemm of signed codes, which does not saturate, into a form that has no kernel: such a model is loaded without it.
    """
    from onnxruntime.capi.onnxruntime_pybind11_state import NotImplemented as NoKernel

    plain = {"session.disable_quant_qdq": "1", **entries}
    try:
        return session(model, {**plain, "session.x64quantprecision": "1"}, optimised)
    except NoKernel:
        return session(model, plain, optimised)
