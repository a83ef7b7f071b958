"""The untouched ONNX model on onnxruntime: the float answer that integers are held against."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray


def run_float(path: Path, inputs: Mapping[str, NDArray[np.float32]]) -> dict[str, NDArray[Any]]:
    """Return the outputs by name for float32 inputs [N, ...]; one sample at a time where the batch is fixed to one."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    count = len(next(iter(inputs.values())))
    step = 1 if any(value.shape and value.shape[0] == 1 for value in session.get_inputs()) else count
    parts = [
        session.run(names, {name: array[i : i + step] for name, array in inputs.items()}) for i in range(0, count, step)
    ]
    return {name: np.concatenate([part[index] for part in parts]) for index, name in enumerate(names)}
