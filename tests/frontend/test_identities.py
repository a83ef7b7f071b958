"""What changes nothing is taken as that: empty parts, bounds at infinity, movements of the only sample."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from frontend.onnx_models import assert_agrees, model, node, operations, weights, written

from cimc.frontend import check

IMAGE = {"x": ("N", 4, 6, 5)}
ONE = {"x": (1, 4, 6, 5)}
INF = np.float32(np.inf)

EMPTY = {
    "constant": model([node("Concat", "x e", "y", axis=1)], ONE, {"e": np.zeros((1, 0, 6, 5), np.float32)}),
    "constant first": model([node("Concat", "e x x", "y", axis=-1)], ONE, {"e": np.zeros((1, 4, 6, 0), np.float32)}),
    "computed": model(
        [node("Slice", "x s s a", "e"), node("Relu", "e", "f"), node("Concat", "f x", "y", axis=1)],
        IMAGE,
        {"s": [2], "a": [1]},
    ),
    "split": model(
        [node("Split", "x s", "a b", axis=1), node("Concat", "b a", "y", axis=1)], IMAGE, {"s": np.array([4, 0])}
    ),
    "sum of nothing": model(
        [node("Slice", "x s s a", "e"), node("ReduceSum", "e a", "z"), node("Add", "x z", "y")],
        ONE,
        {"s": [2], "a": [1]},
    ),
    "scales": model([node("Resize", "x e s", "y")], IMAGE, {"e": np.zeros(0, np.float32), "s": [1.0, 1.0, 2.0, 2.0]}),
}


@pytest.mark.parametrize("case", EMPTY)
def test_operands_without_elements(case: str, tmp_path: Path) -> None:
    assert_agrees(written(EMPTY[case], tmp_path))


def test_an_empty_output_is_unsupported_not_invalid(tmp_path: Path) -> None:
    proto = model([node("Slice", "x s s a", "y")], IMAGE, {"s": [2], "a": [1]})
    (problem,) = check(written(proto, tmp_path))
    assert problem.code == "CIM0107" and "'y'" in problem.message


def bounded(operator: str, inputs: str, **constants: Any) -> onnx.ModelProto:
    return model([node(operator, inputs, "y")], IMAGE, constants)


BOUNDS = {
    "max": bounded("Max", "x k", k=-INF),
    "max first": bounded("Max", "k x", k=-INF),
    "max of many": bounded("Max", "x k l", k=-INF, l=np.float32(0.5)),
    "max of an axis": bounded("Max", "x k", k=np.array([0.5, -np.inf, -0.5, -np.inf, 0.0], np.float32)),
    "max expands": bounded("Max", "x k", k=np.full((1, 4, 6, 5), -np.inf, np.float32)),
    "min": bounded("Min", "x k", k=INF),
    "min of an axis": bounded("Min", "x k", k=np.array([[[0.5]], [[np.inf]], [[0.1]], [[-1.0]]], np.float32)),
    "min of two": model([node("Min", "x k z", "y")], {**IMAGE, "z": ("N", 4, 6, 5)}, {"k": INF}),
    "clip": bounded("Clip", "x k l", k=-INF, l=INF),
}


@pytest.mark.parametrize("case", BOUNDS)
def test_bounds_that_bound_nothing(case: str, tmp_path: Path) -> None:
    assert_agrees(written(BOUNDS[case], tmp_path))


@pytest.mark.parametrize(("operator", "value"), [("Max", np.inf), ("Min", -np.inf), ("Max", np.nan)])
def test_bounds_that_leave_nothing(operator: str, value: float, tmp_path: Path) -> None:
    (problem,) = check(written(bounded(operator, "x k", k=np.float32(value)), tmp_path))
    assert problem.code == "CIM0106" and "'k'" in problem.message


def moved(*nodes: onnx.NodeProto, **constants: Any) -> onnx.ModelProto:
    """Return a convolution of one sample behind which the axis of the batch is moved."""
    return model([node("Conv", "x w", "c"), *nodes], ONE, {"w": weights(3, 4, 1, 1), **constants})


MOVED = {
    "slice": moved(node("Slice", "c z o z", "y"), z=[0], o=[1]),
    "slice from before all": moved(node("Slice", "c b e z", "y"), b=[-(2**63)], e=[2**63 - 1], z=[0]),
    "slice backwards": moved(node("Slice", "c m e z", "y"), m=[-1], e=[99], z=[0]),
    "squeeze": moved(node("Squeeze", "c z", "y"), z=[0]),
    "squeeze all": moved(node("Squeeze", "c", "y")),
    "gather": moved(node("Gather", "c z", "y", axis=0), z=np.int64(0)),
    "gather one": moved(node("Gather", "c z", "y", axis=0), z=[0]),
    "there and back": moved(
        node("Squeeze", "c z", "s"),
        node("Unsqueeze", "s z", "u"),
        node("Conv", "u v", "y"),
        z=[0],
        v=weights(2, 3, 1, 1),
    ),
    "split": moved(node("Split", "c", "y", axis=0, num_outputs=1)),
    "flatten": moved(node("Flatten", "c", "y", axis=0)),
    "concat of one": moved(node("Concat", "c", "y", axis=0)),
    "mean": moved(node("ReduceMean", "c z", "y"), z=[0]),
}


@pytest.mark.parametrize("case", MOVED)
def test_movements_of_the_only_sample(case: str, tmp_path: Path) -> None:
    assert_agrees(written(MOVED[case], tmp_path))


def test_what_is_wrong_with_the_only_sample_as_unbatched_is_told(tmp_path: Path) -> None:
    proto = moved(node("Squeeze", "c z", "s"), node("Hardmax", "s", "y"), z=[0])
    assert {problem.code for problem in check(written(proto, tmp_path))} == {"CIM0103"}


@pytest.mark.parametrize("size", ["N", 2])
def test_movements_of_a_batch_stay_refused(size: Any, tmp_path: Path) -> None:
    proto = model([node("Slice", "x z o z", "y")], {"x": (size, 4)}, {"z": [0], "o": [1]})
    assert {problem.code for problem in check(written(proto, tmp_path))} == {"CIM0109"}


def test_equal_ranks_are_not_called_different(tmp_path: Path) -> None:
    nodes = [node("Transpose", "x", "t", perm=[1, 0]), node("Add", "x t", "y")]
    (problem,) = check(written(model(nodes, {"x": (3, 3)}), tmp_path))
    assert "rank" not in problem.message and "different axes" in problem.message


def test_a_slice_of_the_whole_fixed_batch(tmp_path: Path) -> None:
    proto = model([node("Slice", "x z t z", "y")], {"x": (3, 4)}, {"z": [0], "t": [3]})
    assert operations(assert_agrees(written(proto, tmp_path), {"x": weights(3, 4)})) in ([], ["slice"])
