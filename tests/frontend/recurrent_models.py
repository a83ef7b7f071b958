"""Models of one recurrent node, in every form that the standard knows."""

from typing import Any

import numpy as np
import onnx
from frontend.onnx_models import model, node, weights

GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}
STATES = {"LSTM": ("h", "c"), "GRU": ("h",), "RNN": ("h",)}


def recurrent(
    operator: str,
    direction: str = "forward",
    initial: str = "computed",
    steps: int = 5,
    rows: int | str = "N",
    hidden: int = 6,
    lengths: Any = None,
    peepholes: bool = False,
    **attributes: Any,
) -> onnx.ModelProto:
    """Return a model with all outputs; initial states are computed, constant or none, `rows` is ONNX's batch.

    `lengths` are constant, or an input where they are "computed".
    """
    directions = 2 if direction == "bidirectional" else 1
    size, features = GATES[operator] * hidden, 4
    inputs: dict[str, Any] = {"x": _rows_in_place((steps, rows, features), attributes)}
    constants: dict[str, Any] = {
        "w": weights(directions, size, features),
        "r": weights(directions, size, hidden, seed=1),
        "b": weights(directions, 2 * size, seed=2),
    }
    names = ["x", "w", "r", "b", "-" if lengths is None else "lengths"]
    if lengths == "computed":
        inputs["lengths"] = (rows,)
    elif lengths is not None:
        constants["lengths"] = np.array(lengths, np.int32)
    for seed, state in enumerate(STATES[operator]):
        names.append("-" if initial == "none" else state)
        if initial == "computed":
            inputs[state] = _rows_in_place((directions, rows, hidden), attributes)
        elif initial == "constant":
            count = 1 if rows == "N" else int(rows)
            constants[state] = weights(*_rows_in_place((directions, count, hidden), attributes), seed=3 + seed)
    if peepholes:
        names.append("p")
        constants["p"] = weights(directions, 3 * hidden, seed=5)
    outputs = ["y", *(f"y_{state}" for state in STATES[operator])]
    made = node(operator, " ".join(names), " ".join(outputs), hidden_size=hidden, direction=direction, **attributes)
    proto = model([made], inputs, constants, outputs)
    for value in proto.graph.input:
        if value.name == "lengths":
            value.type.tensor_type.elem_type = onnx.TensorProto.INT32
    return proto


def _rows_in_place(shape: tuple[Any, ...], attributes: dict[str, Any]) -> tuple[Any, ...]:
    return (shape[1], shape[0], *shape[2:]) if attributes.get("layout") else shape
