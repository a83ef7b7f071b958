"""Data unlike the calibration are told; those of real test sets are not."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from cimc.driving.arrays import load_arrays
from cimc.driving.calibration import calibration
from cimc.driving.feeding import Intake
from cimc.driving.guard import seen_by, warn_of_data
from cimc.isa.errors import CimcError, CimcWarning
from cimc.isa.preprocessing import Preprocessing
from cimc.isa.program import Port, Program
from cimc.passes.seen import Seen, seen_in

PORT = Port("x", 0, "i8", (1000,), (1000,), (0,), 1.0, 0, -128, 127)
IMAGES = np.random.default_rng(2).integers(0, 256, (64, 1000)).astype(np.float32)
SPARSE = np.eye(1000, dtype=np.float32)[:64]


def program(seen: Seen | None, port: Port = PORT) -> Program:
    inputs = {} if seen is None else {"x": seen.to_json()}
    return Program((), (), (port,), (), meta={"ranges": {"inputs": inputs}})


def told(seen: Seen | None, real: NDArray[Any], port: Port = PORT) -> list[str]:
    """Return the warnings of these data."""
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always", CimcWarning)
        warn_of_data(program(seen, port), port, real.astype(np.float32), "d.npz")
    return [str(one.message) for one in found]


@pytest.mark.parametrize(
    ("seen", "real", "said"),
    [
        (IMAGES, IMAGES + 3.0, "1 % of 'x' lies outside the calibrated range 0 to 255"),
        (IMAGES, IMAGES - 128.0, "50 % of 'x' lies outside"),
        (IMAGES, IMAGES / 255, "98 % of 'x' lies within 0.007843 to 0.9922, calibration saw 0 to 255"),
        (IMAGES, IMAGES / 3, "66 % of 'x' are no integers"),
    ],
    ids=["shifted", "centred", "0..1", "fractions"],
)
def test_unlike_data_are_told(seen: NDArray[np.float32], real: NDArray[np.float32], said: str) -> None:
    message = told(seen_in(seen, integers=True), real)[0]
    assert message.startswith(f"d.npz: {said}") and "--offset" in message


@pytest.mark.parametrize(
    ("seen", "real"),
    [(IMAGES, IMAGES), (IMAGES, IMAGES + 2.0), (IMAGES[:1], IMAGES), (SPARSE, SPARSE), (SPARSE[:0:-1], SPARSE)],
    ids=["same", "a little outside", "of one sample", "sparse", "sparse elsewhere"],
)
def test_like_data_are_not(seen: NDArray[np.float32], real: NDArray[np.float32]) -> None:
    assert told(seen_in(seen, integers=True), real) == []


def test_fractions_are_usual_where_the_model_takes_them() -> None:
    assert told(seen_in(IMAGES, integers=False), IMAGES / 3) == []
    assert told(seen_in(IMAGES / 3, integers=True), IMAGES / 3) == []


def test_a_program_that_saw_nothing_is_held_to_its_codes() -> None:
    assert told(None, IMAGES) != [] and told(None, IMAGES - 128.0) == told(None, IMAGES / 255) == []


def test_the_preprocessing_of_the_program_is_told() -> None:
    port = Port(**{**vars(PORT), "preprocessing": Preprocessing(scale=0.5)})
    assert "the program preprocesses raw data, x * 0.5" in told(seen_in(IMAGES, integers=False), IMAGES * 2, port)[0]


@pytest.mark.parametrize(
    "change",
    [{"low": 300.0}, {"middle": [1.0]}, {"middle": 3}, {"samples": 0}, {"samples": "9"}, {"sha256": 1}, {"whole": 1}],
    ids=str,
)
def test_damaged_facts_are_refused(change: dict[str, Any]) -> None:
    facts = {**seen_in(IMAGES, integers=False).to_json(), **change}
    with pytest.raises(CimcError, match="CIM0204"):
        seen_by(Program((), (), (PORT,), (), meta={"ranges": {"inputs": {"x": facts}}}), "x")


def test_what_is_seen_is_written_and_read() -> None:
    seen = seen_in(IMAGES, integers=True)
    assert (seen.low, seen.high, seen.middle, seen.samples, seen.whole) == (0.0, 255.0, (2.0, 253.0), 64, True)
    assert Seen.from_json(seen.to_json()) == seen
    assert seen.sha256 != seen_in(IMAGES[::-1], integers=True).sha256


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (IMAGES[:15], "ONLY 15 CALIBRATION SAMPLES"),
        (IMAGES[:1], "ONLY 1 CALIBRATION SAMPLE:"),
        (np.full((16, 1000), 7.0), "every value of 'x' is 7"),
        (np.zeros((16, 1000)), "every value of 'x' is 0"),
        (IMAGES, ""),
    ],
)
def test_poor_calibration_is_told(data: NDArray[Any], said: str) -> None:
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always", CimcWarning)
        calibration(lambda: {"x": data}, "c.npz")([Intake("x", (1000,))])
    assert [said in str(one.message) for one in found] == [True] * bool(said)


REAL = {
    "cifar10_calib256": ("cifar10_test1000",),
    "kws01_calib100": ("kws01_test500",),
    "vww_coco_calib64": ("vww_coco_val128",),
    "ad01_calib64": ("ad01_test132",),
    "mnist_calib512": ("mnist_test10k", "mnist_train60k"),
}


LARGE = [pytest.param(calib, marks=pytest.mark.nightly) for calib in REAL if calib != "kws01_calib100"]


@pytest.mark.parametrize("calib", ["kws01_calib100", *LARGE])
def test_no_real_test_set_is_told(calib: str, shared_models: Path) -> None:
    """Whole and of 16 samples alone; every one in other units is."""
    data = {name: load_arrays(f"{shared_models}/data/{name}.npz")["x"] for name in (calib, *REAL[calib])}
    known = [seen_in(part.astype(np.float32), integers=True) for part in (data[calib], data[calib][:16])]
    for test in (data[name][:256].astype(np.float32) for name in data):
        assert [told(seen, test) for seen in known] == [[], []]
        assert all(told(known[0], test / 255)) and told(known[0], test / 255)
