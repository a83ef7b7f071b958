"""Resize and Upsample in their modes and coordinate transformations, against onnxruntime."""

from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from frontend.onnx_models import assert_agrees, model, node, operations, written

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
