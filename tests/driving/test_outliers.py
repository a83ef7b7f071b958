"""Far values in calibration inputs: clipped behind a gap, and told; long tails and what asks to keep them stay."""

from pathlib import Path

import numpy as np
import pytest
from frontend.onnx_models import model, node, weights, written
from numpy.typing import NDArray

from cimc.driving.driver import Request, compile_model
from cimc.driving.outliers import without_outliers
from cimc.frontend import load
from cimc.isa.errors import CimcWarning
from cimc.passes.pipeline import DEFAULT
from cimc.proof.verdict import float_distances
from cimc.targets import load_target

RNG = np.random.default_rng(0)
CALM = RNG.uniform(-2.0, 2.0, (64, 3, 5, 4)).astype(np.float32)
TAIL = np.exp(RNG.normal(0.0, 1.5, CALM.shape)).astype(np.float32)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    nodes = [node("Conv", "x w", "c"), node("Relu", "c", "r"), node("Conv", "r v", "y")]
    proto = model(nodes, {"x": ("N", 3, 5, 4)}, {"w": weights(4, 3, 1, 1), "v": weights(2, 4, 1, 1)})
    return written(proto, tmp_path)


def with_far(*values: float) -> NDArray[np.float32]:
    far = CALM.copy()
    far.reshape(-1)[100 : 100 + len(values)] = values
    return far


@pytest.mark.parametrize("values", [(100.0,), (-1e4,), (30.0, 1e3, -1e6)])
def test_few_values_behind_a_gap_are_clipped_to_the_others(path: Path, values: tuple[float, ...]) -> None:
    with pytest.warns(CimcWarning, match="lie far beyond the others"):
        found = without_outliers(load(path), {"x": with_far(*values)})["x"]
    assert 1.9 < np.abs(found).max() <= 2.0
    np.testing.assert_allclose(found, np.where(np.abs(with_far(*values)) > 2.0, found, CALM))


@pytest.mark.parametrize("data", [CALM, TAIL, with_far(15.0), with_far(*[50.0] * 20), np.zeros_like(CALM)])
def test_other_data_stay_as_they_are(path: Path, data: NDArray[np.float32]) -> None:
    assert without_outliers(load(path), {"x": data})["x"] is data


def decibels(path: Path, pipeline: str) -> float:
    """Return the quality on inputs without far values of a program calibrated on one value in 3,840 that is 1,000."""
    request = Request(load_target("ideal"), pipeline, data=lambda _: {"x": with_far(1000.0)})
    with pytest.warns(CimcWarning, match="1 of 3840 values of input 'x' lie far beyond the others"):
        compilation = compile_model(path, request)
    return float_distances(str(path), compilation, {"x": CALM[:6]})[0].decibels


def test_one_far_value_does_not_take_the_codes_of_all_others(path: Path) -> None:
    """The layer behind it has its codes back too. With minmax every value counts."""
    assert decibels(path, DEFAULT) > 35.0
    assert decibels(path, DEFAULT.replace("calibrate", "calibrate{method=minmax}")) < 5.0
