"""Far values in calibration inputs are told with figures."""

import warnings
from pathlib import Path

import numpy as np
import pytest
from frontend.onnx_models import model, node, weights, written

from cimc.driving.driver import Request, compile_model
from cimc.isa.errors import CimcWarning
from cimc.targets import load_target

UNIFORM = np.random.default_rng(0).uniform(-2.0, 2.0, (64, 3, 5, 4)).astype(np.float32)
CONV = model([node("Conv", "x w", "y")], {"x": ("N", 3, 5, 4)}, {"w": weights(4, 3, 1, 1)})


def compiled(folder: Path, factor: float, count: int = 1) -> list[str]:
    """Compile on data some of which are `factor` times as large; return what was warned of."""
    x = UNIFORM.copy()
    x.reshape(-1)[:count] = 2.0 * factor
    request = Request(load_target("ideal"), data=lambda _: {"x": x})
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always", CimcWarning)
        compile_model(written(CONV, folder), request)
    return [str(one.message) for one in found]


@pytest.mark.parametrize(("factor", "count"), [(50.0, 1), (5000.0, 1), (50.0, 3)])
def test_few_far_values(factor: float, count: int, tmp_path: Path) -> None:
    (message,) = compiled(tmp_path, factor, count)
    assert f"{count} of 3840 values of input 'x'" in message and f"up to {2.0 * factor:.4g}" in message


@pytest.mark.parametrize(("factor", "count"), [(1.0, 1), (5.0, 1), (50.0, 400)])
def test_what_is_no_outlier(factor: float, count: int, tmp_path: Path) -> None:
    """Not far, or not few: a tenth of the data at 100 is what the data are like."""
    assert compiled(tmp_path, factor, count) == []
