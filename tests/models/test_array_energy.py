"""What the array takes for the real networks with idle rows at full price: figures of before prices had bounds."""

from pathlib import Path

import pytest
from models.models import MODELS

from cimc.backends.cost.estimate import estimate
from cimc.driving.arrays import feed, load_arrays
from cimc.driving.driver import Request, compile_model
from cimc.driving.feeding import EVERY
from cimc.targets import load_target

MICROJOULES = {
    "kws_dscnn_fp32": "12.112",
    "vww_mobilenetv1_fp32": "121.917",
    "resnet8_cifar10_fp32": "78.034",
    "ad01_autoencoder_fp32": "0.290",
}
"""Network -> uJ of the array of `aon-cim` for a sample: phases x 19.349 nJ."""


@pytest.mark.nightly
@pytest.mark.parametrize("stem", MICROJOULES)
def test_the_array_takes_what_it_took_where_idle_rows_cost_as_much(stem: str, shared_models: Path) -> None:
    model = next(one for one in MODELS if one.stem == stem)
    file = str(shared_models / "data" / f"{model.calibration}.npz")
    request = Request(
        load_target("aon-cim"),
        data=lambda intakes: feed(load_arrays(file), intakes, file),
        preprocessing={EVERY: model.stated},
    )
    cost = estimate(compile_model(shared_models / f"{stem}.onnx", request).emission.program)
    assert cost.target.constants["energy.idle_rows"] == 1
    assert f"{float(cost.component('array').value) / 1e6:.3f}" == MICROJOULES[stem]
