"""Small float models, and their quantisation by onnxruntime in both of its forms."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

Array = NDArray[Any]
SHAPE = (3, 8, 8)


@dataclass(frozen=True)
class Form:
    """How onnxruntime writes a model: QDQ or QOperator, the types of activations and weights, scales per channel."""

    format: str
    activations: str = "QUInt8"
    weights: str = "QInt8"
    per_channel: bool = True

    def __str__(self) -> str:
        return "-".join((self.format, self.activations, self.weights, "channel" if self.per_channel else "tensor"))


def normal(seed: int, *shape: int, scale: float = 1.0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).normal(0.0, scale, shape).astype(np.float32)


def network() -> onnx.ModelProto:
    """Return convolutions, a residual sum, a depthwise layer, pools, a concatenation, a product and a softmax."""
    nodes = [
        ("Conv", "x w0 b0", "c0", {"pads": [1, 1, 1, 1]}),
        ("Relu", "c0", "r0", {}),
        ("MaxPool", "r0", "m", {"kernel_shape": [2, 2], "strides": [2, 2]}),
        ("Conv", "m w1 b1", "c1", {"pads": [1, 1, 1, 1]}),
        ("Add", "c1 m", "a", {}),
        ("Relu", "a", "r1", {}),
        ("Conv", "r1 w2 b2", "c2", {"pads": [1, 1, 1, 1], "group": 8}),
        ("Sigmoid", "c2", "s", {}),
        ("Concat", "s r1", "j", {"axis": 1}),
        ("GlobalAveragePool", "j", "g", {}),
        ("Flatten", "g", "f", {}),
        ("Gemm", "f w3 b3", "h", {"transB": 1}),
        ("Relu", "h", "k", {}),
        ("MatMul", "k w4", "l", {}),
        ("Softmax", "l", "y", {"axis": -1}),
    ]
    constants = {
        "w0": normal(0, 8, 3, 3, 3, scale=0.3),
        "b0": normal(1, 8, scale=0.2),
        "w1": normal(2, 8, 8, 3, 3, scale=0.2) * np.linspace(0.2, 2.0, 8, dtype=np.float32)[:, None, None, None],
        "b1": normal(3, 8, scale=0.2),
        "w2": normal(4, 8, 1, 3, 3, scale=0.4),
        "b2": normal(5, 8, scale=0.2),
        "w3": normal(6, 12, 16),
        "b3": normal(7, 12),
        "w4": normal(8, 12, 5),
    }
    graph = helper.make_graph(
        [helper.make_node(kind, x.split(), [y], name=f"the_{y}", **extra) for kind, x, y, extra in nodes],
        "network",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", *SHAPE])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 5])],
        [numpy_helper.from_array(array, name) for name, array in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def quantised(form: Form, folder: Path) -> Path:
    """Return the path of the network quantised by onnxruntime, calibrated on seeded data."""
    from onnxruntime import quantization

    class Data(quantization.CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self.rows: Iterator[Array] = iter(np.split(normal(9, 32, *SHAPE), 32))

        def get_next(self) -> dict[str, Array] | None:
            row = next(self.rows, None)
            return None if row is None else {"x": row}

    source, path = folder / "float.onnx", folder / f"{form}.onnx"
    onnx.save(network(), source)
    quantization.quantize_static(
        source,
        path,
        Data(),
        quant_format=quantization.QuantFormat[form.format],
        activation_type=quantization.QuantType[form.activations],
        weight_type=quantization.QuantType[form.weights],
        per_channel=form.per_channel,
    )
    return path
