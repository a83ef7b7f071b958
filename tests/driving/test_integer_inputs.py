"""Integer models calibrated on real values are told; on their codes, or on fractions of them, they are not."""

import warnings
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from cimc.driving.arrays import load_arrays
from cimc.driving.driver import graph_intakes
from cimc.driving.feeding import EVERY, Values, preprocessed
from cimc.driving.integer_inputs import warn_of_reals
from cimc.frontend import load
from cimc.isa.errors import CimcWarning

AD_SCALE, AD_ZERO = 0.3910152316093445, 89
CASES = {
    "kws codes": ("kws_dscnn_int8_qdq", "kws01_calib100", {}, False),
    "kws real values": ("kws_dscnn_int8_qdq", "kws01_calib100", {"offset": -83.0, "scale": 0.5847029}, True),
    "pictures": ("resnet8_cifar10_int8_qdq", "cifar10_calib256", {"offset": -128.0}, False),
    "ad codes": (
        "ad01_autoencoder_int8_qdq",
        "ad01_calib64",
        {"offset": AD_SCALE * AD_ZERO, "scale": 1 / AD_SCALE},
        False,
    ),
    "ad real values": ("ad01_autoencoder_int8_qdq", "ad01_calib64", {}, True),
    "vww codes": ("vww_mobilenetv1_int8_qdq", "vww_coco_calib64", {"offset": -128.0}, False),
    "vww real values": ("vww_mobilenetv1_int8_qdq", "vww_coco_calib64", {"scale": 1 / 255}, True),
}


LATE = ("pictures", "vww codes", "vww real values")


@pytest.mark.parametrize(
    ("stem", "data", "steps", "told"),
    [pytest.param(*case, id=name, marks=[pytest.mark.nightly] if name in LATE else []) for name, case in CASES.items()],
)
def test_real_values_of_codes(stem: str, data: str, steps: Values, told: bool, shared_models: Path) -> None:
    graph = load(shared_models / f"{stem}.onnx")
    raw: NDArray[np.generic] = load_arrays(f"{shared_models}/data/{data}.npz")["x"][:16]
    (intake,) = graph_intakes(graph, {EVERY: steps} if steps else {})
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always", CimcWarning)
        warn_of_reals(graph, {intake.name: preprocessed(raw.reshape(-1, *intake.shape), intake.preprocessing)})
    assert ["CIM0213" in str(one.message.code) for one in found] == [True] * told  # type: ignore[union-attr]
