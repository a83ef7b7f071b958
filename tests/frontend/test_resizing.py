"""Resize and Upsample in their modes and coordinate transformations, against onnxruntime."""

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from frontend.onnx_models import assert_agrees, model, node, operations, written

from cimc.frontend import check
from cimc.frontend.resizing import TRANSFORMS

IMAGE = {"x": ("N", 2, 5, 6)}
NEAREST = ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")


def resize(scales: Any = None, sizes: Any = None, **attributes: Any) -> Any:
    given = "x - s" if scales is not None else "x - - z"
    constants = {"s": np.array(scales)} if scales is not None else {"z": np.array(sizes)}
    return model([node("Resize", given, "y", **attributes)], IMAGE, constants)


@pytest.mark.parametrize(("transform", "rule"), list(product(TRANSFORMS, NEAREST)))
@pytest.mark.parametrize("scales", [[1.0, 1.0, 2.0, 3.0], [1.0, 1.0, 0.8, 1.5]])
def test_nearest(transform: str, rule: str, scales: list[float], tmp_path: Path) -> None:
    how = {"coordinate_transformation_mode": transform, "nearest_mode": rule}
    assert_agrees(written(resize(scales, mode="nearest", **how), tmp_path))


@pytest.mark.parametrize(("transform", "mode"), list(product(TRANSFORMS, ["linear", "cubic"])))
@pytest.mark.parametrize("scales", [[1.0, 1.0, 2.0, 3.0], [1.0, 1.0, 0.8, 1.5]])
def test_interpolation(transform: str, mode: str, scales: list[float], tmp_path: Path) -> None:
    assert_agrees(written(resize(scales, mode=mode, coordinate_transformation_mode=transform), tmp_path))


@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
def test_sizes(mode: str, tmp_path: Path) -> None:
    assert_agrees(written(resize(sizes=[9, 8], mode=mode, axes=[2, 3]), tmp_path))


def test_cubic_options(tmp_path: Path) -> None:
    how = {"mode": "cubic", "cubic_coeff_a": -0.5, "exclude_outside": 1}
    assert_agrees(written(resize([1.0, 1.0, 1.5, 0.8], **how), tmp_path))


def test_nearest_is_movement_only(tmp_path: Path) -> None:
    graph = assert_agrees(written(resize([1.0, 1.0, 2.0, 2.0], coordinate_transformation_mode="asymmetric"), tmp_path))
    assert set(operations(graph)) == {"pick"}


def test_upsample_of_an_older_opset(tmp_path: Path) -> None:
    proto = model([node("Upsample", "x s", "y", mode="nearest")], IMAGE, {"s": np.array([1.0, 1.0, 2.0, 3.0])}, opset=9)
    assert_agrees(written(proto, tmp_path))


def older(operator: str, opset: int, mode: str, scales: list[float], shape: tuple[Any, ...]) -> Any:
    """A resize from before opset 11, which said nothing of coordinates."""
    if opset < 9:
        return model([node(operator, "x", "y", mode=mode, scales=scales)], {"x": shape}, opset=opset)
    return model([node(operator, "x s", "y", mode=mode)], {"x": shape}, {"s": np.array(scales)}, opset=opset)


GROWING: list[list[float]] = [[1, 1, 2, 2], [1, 1, 3, 1], [1, 1, 1.5, 1.7], [1, 1, 1.3, 1.1], [1, 1.5, 2, 1]]
SHRINKING: list[list[float]] = [[1, 1, 0.5, 0.5], [1, 1, 0.6, 0.7], [1, 1, 0.5, 2.5]]
OLDER = [
    *product([("Upsample", 7), ("Upsample", 9), ("Resize", 10)], ["nearest", "linear"], GROWING),
    *product([("Resize", 10)], ["nearest", "linear"], SHRINKING),
]


@pytest.mark.parametrize(("kind", "mode", "scales"), OLDER)
def test_coordinates_before_opset_11(kind: tuple[str, int], mode: str, scales: list[float], tmp_path: Path) -> None:
    """ONNX's converter takes them for the later default, half pixels; onnxruntime judges the file as it is."""
    scales = [float(scale) for scale in scales]
    assert_agrees(written(older(*kind, mode, scales, ("N", 2, 5, 6)), tmp_path))


@pytest.mark.parametrize("kind", [("Upsample", 7), ("Upsample", 9), ("Resize", 10)])
def test_coordinates_of_a_resize_inside(kind: tuple[str, int], tmp_path: Path) -> None:
    """ONNX's converter gives the results of an Upsample other names, where they are no outputs of the model."""
    proto = older(*kind, "linear", [1.0, 1.0, 1.5, 2.0], ("N", 2, 5, 6))
    proto.graph.node[0].output[0] = "inside"
    proto.graph.node.append(node("Transpose", "inside", "y", perm=[0, 2, 3, 1]))
    assert_agrees(written(proto, tmp_path))


@pytest.mark.parametrize(("mode", "rank"), [("nearest", 3), ("linear", 3), ("nearest", 5), ("linear", 5)])
def test_other_ranks_before_opset_11(mode: str, rank: int, tmp_path: Path) -> None:
    shape, scales = ("N", 2, 3, 4, 5)[:rank], [1.0, 1.0, 1.5, 2.0, 1.7][:rank]
    assert_agrees(written(older("Resize", 10, mode, scales, shape), tmp_path))


@pytest.mark.parametrize("opset", [10, 21])
def test_data_that_keep_their_shape_are_copied(opset: int, tmp_path: Path) -> None:
    """A factor of 1.3 on three pixels makes three: onnxruntime copies them."""
    how = {} if opset == 10 else {"coordinate_transformation_mode": "asymmetric"}
    nodes = [node("Resize", "x s" if opset == 10 else "x - s", "y", mode="linear", **how)]
    proto = model(nodes, {"x": ("N", 1, 3, 3)}, {"s": np.array([1.0, 1.0, 1.3, 1.2])}, opset=opset)
    assert_agrees(written(proto, tmp_path))


@pytest.mark.parametrize("opset", [10, 13, 21])
def test_nearest_codes_are_picked_as_they_are(opset: int, tmp_path: Path) -> None:
    """Between quantising and dequantising, nothing is computed."""
    given = "q s" if opset == 10 else "q - s"
    how = {} if opset == 10 else {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    nodes = [
        node("QuantizeLinear", "x k z", "q"),
        node("Resize", given, "r", mode="nearest", **how),
        node("DequantizeLinear", "r k z", "y"),
    ]
    constants = {"k": np.float32(0.05), "z": np.int8(-3), "s": np.array([1.0, 1.0, 2.0, 1.5])}
    assert_agrees(written(model(nodes, IMAGE, constants, opset=opset), tmp_path))


def test_interpolated_codes_are_refused(tmp_path: Path) -> None:
    """How far runtimes round them is nowhere said."""
    nodes = [
        node("QuantizeLinear", "x k z", "q"),
        node("Resize", "q - s", "r", mode="linear"),
        node("DequantizeLinear", "r k z", "y"),
    ]
    constants = {"k": np.float32(0.05), "z": np.int8(-3), "s": np.array([1.0, 1.0, 2.0, 1.5])}
    (problem,) = check(written(model(nodes, IMAGE, constants), tmp_path))
    assert problem.code == "CIM0104" and "dequantise it before" in problem.hint
