"""The batch wherever a model has it: in front, in the middle, mixed with rows of each sample, or nowhere."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from frontend.onnx_models import assert_agrees, model, node, weights, written

from cimc.frontend import check, load
from cimc.ir.nn import InputOp, OutputOp
from cimc.ir.types import shape_of

SEQUENCE = {"x": ("N", 3, 4)}


def turned(*nodes: onnx.NodeProto, constants: Any = None, outputs: tuple[str, ...] = ("y",)) -> onnx.ModelProto:
    """Return a model that takes (batch, time, features) to `t` (time, batch, features) and goes on from there."""
    return model([node("Transpose", "x", "t", perm=[1, 0, 2]), *nodes], SEQUENCE, constants, outputs)


MOVED = {
    "turned": turned(outputs=("t",)),
    "turned_back": turned(node("Relu", "t", "r"), node("Transpose", "r", "y", perm=[1, 0, 2])),
    "dense": turned(node("MatMul", "t w", "y"), constants={"w": weights(4, 5)}),
    "last_step": turned(node("Gather", "t i", "y", axis=0), constants={"i": np.int64(-1)}),
    "middle_step": turned(
        node("Slice", "t s e a", "p"),
        node("Squeeze", "p a", "y"),
        constants={"s": [1], "e": [2], "a": [0]},
    ),
    "reversed_time": turned(node("Concat", "t t", "y", axis=0)),
    "mean_over_time": turned(node("ReduceMean", "t a", "y", keepdims=0), constants={"a": [0]}),
    "bias_per_step": turned(node("Add", "t c", "y"), constants={"c": weights(3, 1, 4)}),
    "two_turned": turned(node("Sigmoid", "t", "s"), node("Mul", "t s", "y")),
    "new_axis": turned(node("Unsqueeze", "t a", "y"), constants={"a": [1]}),
    "softmax_over_time": turned(node("Softmax", "t", "y", axis=0)),
    "padded": turned(node("Pad", "t p", "y"), constants={"p": [1, 0, 0, 0, 0, 2]}),
    "constant_of_higher_rank": model([node("Add", "x c", "y")], {"x": ("N", 4)}, {"c": weights(3, 1, 4)}),
    "rows_of_all_samples": model(
        [node("Reshape", "x s", "r"), node("Gemm", "r w b", "g"), node("Reshape", "g t", "y")],
        SEQUENCE,
        {"s": [-1, 4], "t": [-1, 3, 5], "w": weights(4, 5), "b": weights(5)},
    ),
    "rows_at_the_end": model([node("Reshape", "x s", "y")], SEQUENCE, {"s": [-1, 2]}),
    "size_from_the_shape": model(
        [
            node("Shape", "x", "n", start=0, end=1),
            node("Concat", "one n four", "s", axis=0),
            node("ReduceMean", "x a", "m"),
            node("Reshape", "m s", "y"),
        ],
        SEQUENCE,
        {"one": [1], "four": [4], "a": [1]},
    ),
    "open_second_axis": model([node("MatMul", "x w", "y")], {"x": (3, "N", 4)}, {"w": weights(4, 5)}),
    "two_places": model(
        [node("Transpose", "h", "t", perm=[1, 0, 2]), node("Add", "x t", "y")],
        {"x": ("N", 1, 4), "h": (1, "N", 4)},
    ),
}

UNBATCHED = {
    "softmax_over_all": model([node("Softmax", "x", "y", axis=0)], {"x": (3, 4)}),
    "different_sizes": model([node("Add", "x z", "y")], {"x": (3, 4), "z": (4,)}),
    "scalar": model([node("Mul", "x z", "y")], {"x": (3, 4), "z": ()}),
    "mean_of_everything": model([node("ReduceMean", "x", "y")], {"x": (3, 4)}),
    "rows_differ": model([node("Add", "x c", "y")], {"x": (3, 4)}, {"c": weights(3, 4)}),
    "bias_of_rows": model([node("Gemm", "x w b", "y")], {"x": (3, 4)}, {"w": weights(4, 5), "b": weights(3, 5)}),
    "turned_product": model([node("Gemm", "x w", "y", transA=1)], {"x": (4, 3)}, {"w": weights(4, 5)}),
    "image_of_one": model(
        [node("Conv", "x w", "c", pads=[1, 1, 1, 1]), node("GlobalAveragePool", "c", "y")],
        {"x": (1, 2, 5, 5)},
        {"w": weights(3, 2, 3, 3)},
    ),
    "flattened": model([node("Flatten", "x", "y", axis=0)], {"x": (3, 4)}),
}


@pytest.mark.parametrize("case", MOVED)
def test_moved(case: str, tmp_path: Path) -> None:
    assert_agrees(written(MOVED[case], tmp_path))


@pytest.mark.parametrize("case", UNBATCHED)
def test_unbatched(case: str, tmp_path: Path) -> None:
    graph = assert_agrees(written(UNBATCHED[case], tmp_path), unbatched=True)
    ports = [op for op in graph.module.ops if isinstance(op, (InputOp, OutputOp))]
    assert {op.batch_axis.value.data for op in ports if op.batch_axis} == {-1}


def test_the_value_of_a_sample_has_no_batch_axis(tmp_path: Path) -> None:
    graph = load(written(MOVED["dense"], tmp_path))
    output = next(op for op in graph.module.ops if isinstance(op, OutputOp))
    assert shape_of(output.x) == (3, 5)
    assert output.batch_axis is not None and output.batch_axis.value.data == 1


def test_different_first_axes_point_to_the_option(tmp_path: Path) -> None:
    (problem,) = check(written(UNBATCHED["different_sizes"], tmp_path))
    assert problem.code == "CIM0109" and "--unbatched" in problem.hint
