"""Networks in onnxruntime on one thread, which speed.py measures the interpreter against."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from cimc.inference.sessions import session

Run = Callable[[], Any]


def peers(path: Path, x: np.ndarray, batch: int) -> dict[str, Run]:
    """Return what runs `batch` of the inputs x [N, ...]: the model, and the int8 file of the same network beside it.

    That is NAME_int8_qdq.onnx where the model is NAME_fp32.onnx.
    """
    quantised = path.with_name(path.name.replace("_fp32", "_int8_qdq"))
    found = {"float32": runner(path, x, batch)}
    return found if quantised == path or not quantised.exists() else found | {"int8": runner(quantised, x, batch)}


def runner(path: Path, x: np.ndarray, batch: int) -> Run:
    """Return what runs `batch` inputs, one after the other where the file was exported for one."""
    network = session(str(path))
    port = network.get_inputs()[0]
    first, *rest = (size if isinstance(size, int) else -1 for size in port.shape)
    given = fed(x[:batch], port.type).reshape(-1, *rest)
    parts = np.split(given, batch // max(first, 1)) if first > 0 else [given]
    return lambda: [network.run(None, {port.name: part}) for part in parts]


def fed(x: np.ndarray, kind: str) -> np.ndarray:
    """Return inputs as a file takes them; where these are int8, codes of a range that all of x fills."""
    if kind != "tensor(int8)":
        return x
    return np.rint(x * (127 / np.abs(x).max())).astype(np.int8)
