"""Convolution and pool windows, swept against onnxruntime."""

from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import numpy as np
import onnxruntime as ort
import pytest
from frontend.onnx_models import assert_agrees, model, node, weights, written
from hypothesis import HealthCheck, assume, given, settings

RULES = ("NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER")


@st.composite
def windows(draw: st.DrawFn, pool: bool) -> dict[str, Any]:
    """Attributes of a two-dimensional window, and the size it moves over."""
    pair = st.tuples(st.integers(1, 3), st.integers(1, 3))
    kernel, stride, dilation = draw(pair), draw(pair), draw(pair)
    rule = draw(st.sampled_from(RULES))
    found: dict[str, Any] = {"kernel_shape": list(kernel), "strides": list(stride), "dilations": list(dilation)}
    if rule == "NOTSET":
        limit = [k - 1 for k in kernel] if pool else [2, 2]
        found["pads"] = [draw(st.integers(0, limit[a % 2])) for a in range(4)]
    else:
        found["auto_pad"] = rule
    if pool:
        found["ceil_mode"] = draw(st.integers(0, 1))
    return {"size": (draw(st.integers(1, 9)), draw(st.integers(1, 9))), "attributes": found}


def runs(proto: Any, shape: tuple[int, ...]) -> bool:
    """Whether onnxruntime takes the model at all."""
    options = ort.SessionOptions()
    options.log_severity_level = 4
    try:
        session = ort.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
        found = session.run(None, {"x": np.ones((1, *shape), np.float32)})[0]
        return bool(found.size > 0 and np.isfinite(found).all())
    except Exception:  # onnxruntime's own exception types are not public
        return False


SWEEP = settings(
    max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.filter_too_much]
)


@SWEEP
@given(window=windows(pool=False), group=st.sampled_from([1, 2, 4]))
def test_conv(window: dict[str, Any], group: int, tmp_path: Path) -> None:
    kernel = window["attributes"]["kernel_shape"]
    constants = {"w": weights(8, 4 // group, *kernel), "b": weights(8)}
    shape = (4, *window["size"])
    proto = model([node("Conv", "x w b", "y", group=group, **window["attributes"])], {"x": ("N", *shape)}, constants)
    assume(runs(proto, shape))
    assert_agrees(written(proto, tmp_path))


@SWEEP
@given(window=windows(pool=True))
def test_max_pool(window: dict[str, Any], tmp_path: Path) -> None:
    shape = (3, *window["size"])
    proto = model([node("MaxPool", "x", "y", **window["attributes"])], {"x": ("N", *shape)})
    assume(runs(proto, shape) and has_data_everywhere(window))
    assert_agrees(written(proto, tmp_path))


@SWEEP
@given(window=windows(pool=True), include=st.integers(0, 1))
def test_average_pool(window: dict[str, Any], include: int, tmp_path: Path) -> None:
    shape = (3, *window["size"])
    attributes = {**window["attributes"], "count_include_pad": include}
    proto = model([node("AveragePool", "x", "y", **attributes)], {"x": ("N", *shape)})
    assume(runs(proto, shape) and has_data_everywhere(window))
    assert_agrees(written(proto, tmp_path))


def has_data_everywhere(window: dict[str, Any]) -> bool:
    """Whether every position is defined: the kernel fits, and dilated taps cannot all fall into padding."""
    attributes = window["attributes"]
    pads = attributes.get("pads", [0, 0, 0, 0])
    for a, size in enumerate(window["size"]):
        reach = attributes["dilations"][a] * (attributes["kernel_shape"][a] - 1) + 1
        if attributes.get("auto_pad", "NOTSET")[:4] != "SAME" and size + pads[a] + pads[a + 2] < reach:
            return False
        if attributes["dilations"][a] > 1 and (attributes["ceil_mode"] or "auto_pad" in attributes or size < 3 * reach):
            return False
    return True


CEIL = [
    {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1},
    {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1], "ceil_mode": 1, "count_include_pad": 1},
    {"kernel_shape": [2, 2], "strides": [3, 3], "pads": [1, 1, 1, 1], "ceil_mode": 1, "count_include_pad": 1},
    {"kernel_shape": [1, 1], "strides": [3, 3], "ceil_mode": 1},
]


@pytest.mark.parametrize("size", [4, 5, 6, 7, 8])
@pytest.mark.parametrize("attributes", CEIL)
def test_ceil_mode(attributes: dict[str, Any], size: int, tmp_path: Path) -> None:
    proto = model([node("AveragePool", "x", "y", **attributes)], {"x": ("N", 2, size, size)})
    assert_agrees(written(proto, tmp_path))
