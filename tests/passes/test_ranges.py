"""Ranges: what calibration finds, and how it is kept."""

import json
from typing import Any

import numpy as np
import pytest
from evaluate.graphs import GraphBuilder
from hypothesis import given
from hypothesis import strategies as st
from targets.stages import Array, chip, layers, lowered, normal, perceptron, relowered, through

from cimc.ir import nn
from cimc.ir.facts import GAIN, PEAKS, RANGE
from cimc.ir.text import print_graph
from cimc.isa.errors import CimcError
from cimc.passes.calibrate import BINS, Calibrate
from cimc.passes.chosen import Chosen
from cimc.passes.ranges import Ranges, rounded

KEPT = Ranges({"x": (-1.5, 1.5), "y": (0.0, 3.0)}, {"y": (17, 0, 1 << 31)}, (40000, 25), {"d0": (6, 8), "d1": (8, 2)})


def found(x: Array, function: str = "tanh", **options: Any) -> dict[str, tuple[float, ...]]:
    """Return the ranges of x and of y = function(x)."""
    b = GraphBuilder()
    a = b.input(x.shape[1:])
    if function == "relu":
        b.output(b.op(nn.ClampOp, [a], x.shape[1:], low=0.0, high=nn.UNBOUNDED))
    else:
        b.output(b.op(nn.UnaryOp, [a], x.shape[1:], function=function, parameters=[]))
    graph = through(b.graph(), Calibrate(data={"x": x}, **options))
    computed = [op for op in graph.module.ops if isinstance(op, nn.Computed)]
    return {op.label.data: RANGE.of(op) for op in computed}


@pytest.mark.parametrize("percentile", [99.0, 99.5, 99.99, 100.0])
@pytest.mark.parametrize("samples", [1, 3, 70])
def test_the_tail_tells_what_a_histogram_tells(
    percentile: float, samples: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    x = normal(samples, 12, 10, seed=samples).clip(-9.0, 2.0)  # ties at the end of the range
    short = [found(x, function, percentile=percentile) for function in ("tanh", "relu")]
    monkeypatch.setattr("cimc.passes.calibrate.LEAST_PERCENTILE", 101.0)
    assert short == [found(x, function, percentile=percentile) for function in ("tanh", "relu")]


@pytest.mark.parametrize("method", ["percentile", "mse"])
def test_huge_values_are_no_infinities(method: str) -> None:
    """Beyond 1e30 they are refused: test_codes_and_reals.py."""
    x = normal(6, 5)
    assert found(3e29 * np.abs(x) / np.abs(x).max(), "relu", method=method)["y"][1] > 2e29


@pytest.mark.parametrize("bits", [8, 6, 4, 2])
def test_the_least_squared_error_is_that_of_the_codes_the_dac_takes(bits: int) -> None:
    """With the codes of eight bits in mind, ranges of fewer are far too wide."""
    x = np.abs(normal(300, 40)) ** 1.5
    levels = (1 << (bits - 1)) - 1

    def error(reach: float) -> float:
        step = reach / levels
        return float(np.square(x - step * np.clip(np.rint(x / step), 0, levels)).mean())

    reach = found(x, "relu", method="mse", target=chip(**{"dac.bits": bits}))["y"][1]
    assert error(reach) <= 1.1 * min(map(error, np.linspace(0.04, 1.0, 97) * float(x.max())))


def test_json_round_trip() -> None:
    assert Ranges.from_json(json.loads(json.dumps(KEPT.to_json()))) == KEPT


@pytest.mark.parametrize(
    "change",
    [
        {"format": 2},
        {"activations": []},
        {"activations": {"x": [1.0]}},
        {"activations": {"x": ["a", "b"]}},
        {"activations": {"x": [1.0, -1.0]}},
        {"activations": {"x": [0.0, 0.0]}},
        {"activations": {"x": [1.0, 2.0]}},
        {"activations": {"x": [0.0, float("inf")]}},
        {"activations": {"x": [float("nan"), 1.0]}},
        {"activations": {"x": [False, True]}},
        {"columns": {"y": [1.5]}},
        {"gain": [40000.0, 25]},
        {"bits": {"y": [8, 7.5]}},
        {"bits": {"y": [8, 1]}},
        {"bits": {"y": [17, 8]}},
        {"columns": 3},
        {"columns": {"y": 3}},
        {"columns": {"y": [float("inf")]}},
        {"columns": {"y": [-1]}},
        {"columns": {"y": [1 << 80]}},
        {"gain": []},
        {"gain": [40000]},
        {"gain": [1, 25]},
        {"gain": [1 << 16, 25]},
        {"gain": [40000, 64]},
        {"gain": [40000, -1]},
        {"gains": {"d0": [1, 25]}},
    ],
    ids=str,
)
def test_damaged_ranges_are_refused(change: dict[str, Any]) -> None:
    with pytest.raises(CimcError) as caught:
        Ranges.from_json(KEPT.to_json() | change)
    assert caught.value.diagnostics[0].code == "CIM0204"


def test_what_is_no_whole_number_is_named_by_its_path() -> None:
    with pytest.raises(CimcError, match=r"columns\.y\[1\] is 1\.5, not a whole number"):
        Ranges.from_json(KEPT.to_json() | {"columns": {"y": [1, 1.5]}})


@pytest.mark.parametrize("data", [None, [], {}, 7, "text"])
def test_what_is_no_ranges_object_is_refused(data: object) -> None:
    with pytest.raises(CimcError, match="CIM0204"):
        Ranges.from_json(data)


@given(st.floats(1e-30, 1e30))
def test_rounding_keeps_ten_significant_bits(value: float) -> None:
    assert abs(rounded(value) / value - 1.0) <= 2.0**-10
    assert rounded(rounded(value)) == rounded(value) == -rounded(-value)


def test_minmax_is_the_largest_magnitude() -> None:
    x = normal(70, 40)
    reach = rounded(float(np.abs(np.tanh(x)).max()))
    assert found(x, method="minmax")["y"] == (-reach, reach)


@pytest.mark.parametrize("percentile", [90.0, 99.9])
def test_percentile_lies_in_the_bin_of_numpy_s(percentile: float) -> None:
    x = normal(70, 100)
    y = np.abs(np.tanh(x))
    low, high = found(x, percentile=percentile)["y"]
    exact = np.quantile(y, percentile / 100.0, method="inverted_cdf")
    assert low == -high
    assert abs(high - exact) <= y.max() / BINS + exact * 2.0**-10


def test_one_sided_data_has_a_one_sided_range() -> None:
    x = normal(8, 9)
    assert found(x, "relu", method="minmax")["y"] == (0.0, rounded(float(x.max())))
    assert found(-np.abs(x) - 1, "tanh", method="minmax")["y"][1] == 0.0


def test_learnt_ranges_stand_in_place_of_the_data_s() -> None:
    x = normal(70, 40)
    assert found(x, chosen=Chosen(learnt=Ranges({"y": (-0.5, 0.5)}))) == found(x) | {"y": (-0.5, 0.5)}
    with pytest.raises(CimcError, match=r"CIM0204.*'z', which is no value"):
        found(x, chosen=Chosen(learnt=Ranges({"z": (-0.5, 0.5)})))


def test_a_factor_of_a_value_that_is_not_there_is_refused() -> None:
    with pytest.raises(CimcError, match=r"CIM0204.*'z', which is no value"):
        found(normal(70, 40), chosen=Chosen(reach={"z": 0.5}))


@pytest.mark.parametrize("factor", [0.0, -1.0, float("inf"), "1", [1.0]])
def test_damaged_factors_are_refused(factor: object) -> None:
    with pytest.raises(CimcError, match="CIM0204"):
        Ranges.from_json(Ranges().to_json() | {"reach": {"d0": factor}})


@pytest.mark.parametrize("method", ["minmax", "percentile", "mse", "entropy"])
def test_all_zero_data_has_range_one(method: str) -> None:
    ranges = found(np.zeros((4, 5), np.float32), method=method)
    assert ranges == {"x": (-1.0, 1.0), "y": (0.0, 1.0)}


@pytest.mark.parametrize("coding", ["auto", "full", "symmetric"])
def test_centred_pixels_spend_all_codes_unless_told_not_to(coding: str) -> None:
    pixels = np.random.default_rng(0).uniform(0.25, 0.75, (20, 30)).astype(np.float32)
    pixels[0, :2] = 0.0, 1.0
    assert found(pixels, inputs=coding)["x"] == ((-1.0, 1.0) if coding == "symmetric" else (0.0, 1.0))


def test_dark_images_keep_their_black_at_rest() -> None:
    """About their middle these codes are smaller in root mean square, but black, half of all, would be the largest."""
    images = np.random.default_rng(0).uniform(0.4, 0.8, (20, 30)).astype(np.float32)
    images[:, ::2], images[0, 1] = 0.0, 1.0
    assert np.square(images - 0.5).mean() < np.square(images).mean()
    assert found(images)["x"] == (-1.0, 1.0)


def test_features_with_most_values_near_zero_stay_symmetric() -> None:
    features = np.random.default_rng(0).exponential(0.1, (20, 30)).astype(np.float32)
    features[0, 0] = 4.0
    assert found(features)["x"] == (-4.0, 4.0)


@pytest.mark.parametrize(("value", "wanted"), [(3.0, (0.0, 3.0)), (-3.0, (-3.0, 0.0)), (0.0, (-1.0, 1.0))])
def test_constant_inputs_keep_zero_in_range(value: float, wanted: tuple[float, float]) -> None:
    assert found(np.full((4, 5), value, np.float32))["x"] == wanted


def test_not_finite_values_name_the_value() -> None:
    x = normal(2, 3)
    x[1, 1] = np.nan
    with pytest.raises(CimcError, match=r"CIM0203.*'x'"):
        found(x)


def test_stored_ranges_give_the_same_graph() -> None:
    data = {"x": normal(20, 30)}
    small = chip(array__rows=16)
    seen = lowered(perceptron(30, 9, 4), data, "column-ranges", small)
    ranges = Ranges(
        {
            op.label.data: RANGE.of(op)
            for op in lowered(perceptron(30, 9, 4), data, "calibrate").module.ops
            if isinstance(op, nn.Computed)
        },
        {op.label.data: seen.weights.get(PEAKS.of(op)).ravel().tolist() for op in layers(seen)},
        GAIN.of(seen.module),
    )
    again = relowered(perceptron(30, 9, 4), Ranges.from_json(ranges.to_json()), target=small)
    assert print_graph(again) == print_graph(lowered(perceptron(30, 9, 4), data, target=small))


@pytest.mark.parametrize("lost", ["activations", "columns"])
def test_ranges_of_another_model_are_refused(lost: str) -> None:
    whole: dict[str, Any] = {
        "activations": {"x": (-1.0, 1.0), "d0": (-1.0, 1.0)}, "columns": {"d0": (9, 9, 9)}, "gain": (40000, 25)
    }  # fmt: skip
    relowered(perceptron(4, 3), Ranges(**whole))
    with pytest.raises(CimcError, match=r"CIM0204.*\n?.*'d0'"):
        relowered(perceptron(4, 3), Ranges(**(whole | {lost: {"x": (-1.0, 1.0)}})))
