"""The arrow from float to integers: ratios of single layers, the verdict on outputs, what cures a poor one."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from frontend.onnx_models import model, node, weights, written

from cimc.command_line.main import main
from cimc.driving.distances import Bound, FloatDistance, shortfalls
from cimc.driving.driver import Compilation, Request, compile_model
from cimc.ir.types import CodeType
from cimc.passes.requantise import quantised
from cimc.proof.layer_losses import Comparison, LayerLoss
from cimc.proof.quality import cure, dearest, poor
from cimc.targets import load_target

RNG = np.random.default_rng(0)
X = RNG.normal(0.0, 1.0, (16, 3, 6, 6)).astype(np.float32)
NODES = [node("Conv", "x w", "c"), node("Relu", "c", "r"), node("Conv", "r v", "d"), node("Sigmoid", "d", "y")]


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Compilation]:
    """Two layers and a function, calibrated on a tenth of what they will see: much is clipped."""
    proto = model(NODES, {"x": ("N", 3, 6, 6)}, {"w": weights(4, 3, 3, 3), "v": weights(2, 4, 1, 1)})
    path = written(proto, tmp_path_factory.mktemp("quality"))
    return path, compile_model(path, Request(load_target("ideal"), data=lambda _: {"x": X / 10}))


def losses(compiled: tuple[Path, Compilation], scale: float) -> dict[str, LayerLoss]:
    path, compilation = compiled
    found = Comparison(str(path), compilation).losses({"x": X * scale})
    return {one.tensor: one for one in found}


def test_every_tensor_has_its_losses(compiled: tuple[Path, Compilation]) -> None:
    found = losses(compiled, 0.1)
    assert [(one.unit, one.layer) for one in found.values()] == [
        ("crossbar", "the_c"),
        ("crossbar", "the_d"),
        ("digital", "the_y"),
    ]
    for one in found.values():
        assert one.float_accumulated_db is not None and one.float_accumulated_db > 25
        assert one.float_sensitivity_db is not None and one.float_sensitivity_db >= 25
        assert 0 < one.codes_used <= one.codes and one.mean_error <= one.largest_error


@pytest.mark.parametrize("zero", [0, 3])
def test_floats_are_rounded_to_codes_as_the_compiler_rounds_them(zero: int) -> None:
    code = CodeType.of(8, 0, 255, zero, 0.5)
    assert quantised(np.float32([0.25, 0.75, 1.25, 200.0]), code).tolist() == [zero, zero + 2, zero + 2, 255]


def test_what_is_beyond_the_range_shows(compiled: tuple[Path, Compilation]) -> None:
    """Ten times the data that ranges come from: the first layer's error lies beyond its range."""
    found = losses(compiled, 1.0)
    first = found["r"]
    assert first.clips > 100 and first.beyond_share > 0.5
    assert dearest(list(found.values())) == min(found.values(), key=lambda one: one.float_sensitivity_db or 0.0)
    assert "method=minmax" in cure(compiled[1].emission.program, first)


def test_accumulated_is_what_the_program_computes(compiled: tuple[Path, Compilation]) -> None:
    """The last tensor's ratio is that of the program's output."""
    from cimc.proof.verdict import float_distances

    path, compilation = compiled
    (output,) = float_distances(str(path), compilation, {"x": X / 10})
    assert losses(compiled, 0.1)["y"].float_accumulated_db == pytest.approx(output.decibels, abs=0.01)


def test_what_hides_scores_from_a_softmax_loses_nothing(tmp_path: Path) -> None:
    """Codes say minus infinity by their lowest: neither the constant nor the hidden scores are an error."""
    nodes = [node("MatMul", "x w", "s"), node("Add", "s m", "a"), node("Softmax", "a", "y", axis=-1)]
    mask = np.triu(np.full((6, 6), -1e9, np.float32), 1)
    path = written(model(nodes, {"x": ("N", 6, 5)}, {"w": weights(5, 6), "m": mask}), tmp_path)
    data = {"x": RNG.normal(0.0, 1.0, (16, 6, 5)).astype(np.float32)}
    compilation = compile_model(path, Request(load_target("ideal"), data=lambda _: data))
    found = [*Comparison(str(path), compilation).losses(data)]
    assert {"s", "a", "y"} <= {one.tensor for one in found}
    for one in found:
        assert one.float_accumulated_db is None or one.float_accumulated_db > 20
        assert one.float_sensitivity_db is None or one.float_sensitivity_db > 20
        assert one.largest_error < 1.0


def distance(decibels: float, top_1: float) -> FloatDistance:
    return FloatDistance("y", decibels, top_1, 1.0)


@pytest.mark.parametrize(
    ("one", "is_poor"),
    [(distance(20.0, 0.95), False), (distance(19.9, 1.0), True), (distance(40.0, 0.9), True)],
)
def test_an_output_is_poor_below_20_db_or_95_percent(one: FloatDistance, is_poor: bool) -> None:
    assert bool(poor([one])) == is_poor


@pytest.mark.parametrize(
    ("bounds", "count"),
    [((None, None), 0), ((20.0, 90.0), 0), ((20.1, None), 1), ((None, 90.1), 1), ((30.0, 95.0), 2)],
)
def test_bounds_that_were_asked_for(bounds: tuple[float | None, float | None], count: int) -> None:
    assert len(list(shortfalls([distance(20.0, 0.9)], Bound(*bounds)))) == count


@pytest.fixture
def files(compiled: tuple[Path, Compilation], tmp_path: Path) -> list[str]:
    """Model, program and data whose quality is poor, as the command line takes them."""
    small, large, program = tmp_path / "small.npz", tmp_path / "large.npz", tmp_path / "p.cimb"
    np.savez(small, x=X / 10)
    np.savez(large, x=X)
    assert main(["compile", str(compiled[0]), "--target", "ideal", "--calib", str(small), "-o", str(program)]) == 0
    return [str(compiled[0]), str(program), "--input", str(large)]


@pytest.mark.filterwarnings("ignore::cimc.isa.errors.CimcWarning")
def test_verify_warns_and_fails_below_a_bound(files: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", *files, "--min-sqnr", "3"]) == 0
    said = capsys.readouterr()
    assert "quality below 20 dB or 95 %: 'y'" in said.err and "--set 'calibrate{method=minmax}'" in said.err
    assert "FAILED" not in said.out
    assert main(["verify", *files, "--min-sqnr", "80"]) == 1
    assert "FAILED: output 'y' has" in capsys.readouterr().out


def test_compare_writes_what_it_prints(files: list[str], tmp_path: Path) -> None:
    for name in ("report.json", "report.csv"):
        assert main(["compare", *files, "-o", str(tmp_path / name)]) == 0
    facts: dict[str, Any] = json.loads((tmp_path / "report.json").read_text())
    with (tmp_path / "report.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert (facts["samples"], facts["noise"]) == (16, None)
    assert [{key: str(value) for key, value in layer.items()} for layer in facts["layers"]] == rows


def test_noise_shows_in_what_has_accumulated(files: list[str], tmp_path: Path) -> None:
    ratios = []
    for noise in ([], ["--noise", "generic"]):
        assert main(["compare", *files, *noise, "-o", str(tmp_path / "report.json")]) == 0
        (first, *_) = json.loads((tmp_path / "report.json").read_text())["layers"]
        ratios.append((first["float_accumulated_db"], first["float_sensitivity_db"]))
    assert ratios[0][0] > ratios[1][0] and ratios[0][1] == ratios[1][1]
