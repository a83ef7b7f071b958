"""What is raised so that outputs meet a bound, and that programs which meet it keep their bytes."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from frontend.onnx_models import model, node, weights, written

import cimc
from cimc.command_line.main import main
from cimc.driving import raising
from cimc.driving.distances import Bound, FloatDistance, distances
from cimc.driving.driver import Request, compile_model, compile_to_pass
from cimc.driving.raising import FREE, Choice, Trial, raised
from cimc.evaluate import evaluate
from cimc.frontend import load
from cimc.ir.graph import Graph
from cimc.isa.binary import program_digest
from cimc.isa.container import load_program
from cimc.passes.pipeline import DEFAULT
from cimc.targets import load_target

RNG = np.random.default_rng(0)
X = RNG.normal(0.0, 1.0, (32, 6)).astype(np.float32)
NODES = [node("MatMul", "x w", "c"), node("Exp", "c", "e"), node("Mul", "e e", "m"), node("Log", "m", "y")]
"""An exponential that is squared, and its logarithm: rounded to 12 bits it has lost what is small."""

pytestmark = pytest.mark.filterwarnings("ignore::cimc.isa.errors.CimcWarning")


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    proto = model(NODES, {"x": ("N", 6)}, {"w": weights(6, 4)})
    return written(proto, tmp_path_factory.mktemp("raising"))


@pytest.fixture(scope="module")
def layer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    proto = model([node("MatMul", "x w", "y")], {"x": ("N", 6)}, {"w": weights(6, 4)})
    return written(proto, tmp_path_factory.mktemp("layer"))


REQUEST = Request(load_target("ideal"), data=lambda _: {"x": X})
FEW = Request(load_target("ideal"), data=lambda _: {"x": X[: raising.FEW]})
"""Samples that are not parted: ranges see what trials are compared on."""


def test_what_meets_the_bound_is_left_alone(path: Path) -> None:
    found = raised(path, REQUEST, Bound(decibels=1.0))
    assert found.after is found.before and not found.facts()["raised"]
    kept = found.compilation.emission.program
    assert kept.meta["options"]["pipeline"] == DEFAULT
    assert program_digest(kept) == program_digest(compile_model(path, REQUEST).emission.program)


def test_no_more_is_raised_than_the_bound_takes(path: Path) -> None:
    """Bits for the logarithm reach it; room for data that calibration has not seen comes with them."""
    found = raised(path, REQUEST, Bound(decibels=25.0))
    assert found.before.least < 25.0 <= found.after.least
    assert found.after.choice.steps == FREE[:1] and not found.after.choice.slices
    pipeline = found.compilation.emission.program.meta["options"]["pipeline"]
    assert "quantise{digital_bits=16}" in pipeline and "calibrate{room=2.0}" in pipeline
    assert found.facts()["before"]["mvms"] == found.facts()["after"]["mvms"]


def test_a_bound_that_all_slices_miss_leaves_none_of_them(layer: Path) -> None:
    found = raised(layer, REQUEST, Bound(decibels=200.0))
    assert found.refused is not None and found.refused.choice.slices
    assert found.refused.least > found.after.least and not found.after.choice.slices
    assert found.facts()["before"]["mvms"] == found.facts()["after"]["mvms"]
    assert f"all there are give {found.refused.least:.1f} dB" in "\n".join(found.lines())


def test_what_the_adc_leaves_is_told_where_the_bound_is_missed(layer: Path) -> None:
    """One layer alone: what its ADC leaves is more than what the program reaches, and what slices cannot pass."""
    found = raised(layer, replace(REQUEST, target=load_target("hermes-64")), Bound(decibels=200.0))
    assert found.adc is not None
    label, decibels = found.adc
    assert label == "y" and found.after.least - 3.0 < decibels < 60.0
    assert f"{decibels:.1f} dB of layer 'y'" in found.lines()[-1]
    assert raised(layer, REQUEST, Bound(decibels=200.0)).adc is None


def test_top_1_decides_where_it_alone_is_asked_for(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The step that reaches the samples asked for stays, though it has fewer dB than the program before it."""

    def run(self: raising._Trials, choice: Choice) -> Trial:
        return Trial(choice, (FloatDistance("y", 9.0 if choice.steps else 10.0, 1.0 if choice.steps else 0.5, 0.1),))

    monkeypatch.setattr(raising._Trials, "run", run)
    assert raised(path, REQUEST, Bound(top_1=90.0)).after.choice.steps == FREE[:1]


def test_a_step_that_helps_one_output_stays_though_another_is_the_least(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """y loses 0.3 dB and stays far below the bound; z gains 2.5 dB for nothing."""

    def run(self: raising._Trials, choice: Choice) -> Trial:
        both = {"y": 11.4, "z": 16.3} if choice.steps else {"y": 11.7, "z": 13.8}
        return Trial(choice, tuple(FloatDistance(name, decibels, 1.0, 0.1) for name, decibels in both.items()))

    monkeypatch.setattr(raising._Trials, "run", run)
    assert raised(path, REQUEST, Bound(decibels=25.0)).after.choice.steps == FREE[:1]


@pytest.mark.parametrize(("without", "room"), [(26.0, False), (24.0, True)])
def test_room_stays_away_only_where_the_bound_is_met_without_it(
    path: Path, monkeypatch: pytest.MonkeyPatch, without: float, room: bool
) -> None:
    def run(self: raising._Trials, choice: Choice) -> Trial:
        decibels = 23.0 if choice.room else without
        return Trial(choice, (FloatDistance("y", decibels if choice.steps else 20.0, 1.0, 0.1),))

    monkeypatch.setattr(raising._Trials, "run", run)
    monkeypatch.setattr(raising._Trials, "slices", lambda self, choice: [])
    assert raised(path, REQUEST, Bound(decibels=25.0)).after.choice.room is room


def test_trials_calibrate_once_and_once_more_with_room(layer: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def counted(path: Path, request: Request, name: str) -> Graph:
        asked.append(name)
        return compile_to_pass(path, request, name)

    monkeypatch.setattr(raising, "compile_to_pass", counted)
    found = raised(layer, REQUEST, Bound(decibels=48.0))
    assert found.after.choice.slices and found.after.meets(Bound(decibels=48.0))
    assert asked == ["calibrate", "calibrate"]


@pytest.mark.parametrize("bound", [Bound(decibels=25.0), Bound(decibels=45.0)])
def test_trials_measure_what_the_whole_compile_gives(path: Path, layer: Path, bound: Bound) -> None:
    for file in (path, layer):
        found = raised(file, FEW, bound)
        few = {"x": X[: raising.FEW]}
        real = evaluate(load(file), few)
        assert tuple(distances(evaluate(found.compilation.graph, few), real)) == found.after.distances
        assert found.whole == found.after and found.held_back == 0
        assert "too few to hold any back" in found.lines()[0]


def test_samples_held_back_show_what_ranges_have_not_seen(layer: Path) -> None:
    """Every fourth sample is four times as large: clipped in trials, not by ranges that have seen all."""
    large = X * np.where(np.arange(len(X)) % 4 == 3, 4.0, 1.0).astype(np.float32)[:, None]
    found = raised(layer, Request(REQUEST.target, data=lambda _: {"x": large}), Bound(decibels=30.0))
    assert found.before.least < 15.0 and found.whole.least > 30.0
    assert found.held_back == 8 and "dB on 8 samples held back" in found.lines()[0]


def test_a_program_that_meets_a_bound_only_on_samples_held_back_misses_it(layer: Path) -> None:
    found = raised(layer, REQUEST, Bound(decibels=30.0))
    poor = replace(found, whole=Trial(found.after.choice, (FloatDistance("y", 29.0, 1.0, 0.1),)))
    assert found.missed(Bound(decibels=30.0)) == []
    assert poor.missed(Bound(decibels=30.0)) == ["output 'y' has 29.0 dB, --min-sqnr asks for 30"]


def test_magnitudes_of_complex_numbers_keep_small_values(tmp_path: Path) -> None:
    """Of 1 to 1,000: a square of 16 bits holds nothing of the smallest, a quotient does."""
    nodes = [
        *(node("Mul", f"{part} {part}", f"{part}{part}") for part in "ab"),
        node("Add", "aa bb", "squares"),
        node("Sqrt", "squares", "length"),
        node("Sqrt", "length", "y"),
    ]
    path = written(model(nodes, {"a": ("N", 6), "b": ("N", 6)}), tmp_path)
    length, angle = 10.0 ** RNG.uniform(-3.0, 0.0, (32, 6)), RNG.uniform(0.0, 6.28, (32, 6))
    data = {"a": (length * np.cos(angle)).astype(np.float32), "b": (length * np.sin(angle)).astype(np.float32)}
    found = raised(path, Request(REQUEST.target, data=lambda _: data), Bound(decibels=40.0))
    assert found.after.choice.steps == FREE[:2]
    assert found.before.least < 25.0 and found.after.least > 60.0


def test_an_option_of_the_user_stands(path: Path) -> None:
    pipeline = DEFAULT.replace("quantise", "quantise{digital_bits=14}")
    found = raised(path, Request(REQUEST.target, pipeline, data=REQUEST.data), Bound(decibels=200.0))
    pipeline = found.compilation.emission.program.meta["options"]["pipeline"]
    assert "digital_bits=14" in pipeline and "digital_bits=16" not in pipeline


@pytest.fixture
def files(path: Path, tmp_path: Path) -> list[str]:
    np.savez(tmp_path / "x.npz", x=X)
    return [str(path), "--target", "ideal", "--calib", str(tmp_path / "x.npz"), "-o", str(tmp_path / "p.cimb")]


def test_compile_raises_tells_and_the_program_is_proved(files: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["compile", *files, "--no-float-check", "--min-sqnr", "25"]) == 0
    assert "raised                   16 bits for all that the digital unit reads" in capsys.readouterr().out
    data, program = files[4], files[6]
    assert main(["verify", files[0], program, "--input", data, "--min-sqnr", "25", "--limit", "4"]) == 0
    assert "digital_bits=16" in load_program(program).meta["options"]["pipeline"]


def test_a_bound_out_of_reach_is_told_and_the_best_program_written(
    files: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compile", *files, "--no-float-check", "--min-sqnr", "200", "--json"]) == 1
    said = capsys.readouterr()
    assert json.loads(said.out)["raised"]["raised"] and "--min-sqnr asks for 200" in said.err
    assert Path(files[6]).is_file()


def test_python_takes_the_bound_and_warns_where_it_is_missed(path: Path) -> None:
    given: dict[str, Any] = {"target": "ideal", "calibration": X}
    with pytest.warns(cimc.CimcWarning, match="asks for 200"):
        best = cimc.compile_model(path, **given, min_sqnr=200.0)
    enough = cimc.compile_model(path, **given, min_sqnr=25.0, min_top1=50.0)
    for program in (best, enough):
        assert "digital_bits=16" in program.meta["options"]["pipeline"]
    assert "digital_bits" not in cimc.compile_model(path, **given).meta["options"]["pipeline"]


def test_python_refuses_a_bound_without_calibration(path: Path) -> None:
    with pytest.raises(cimc.CimcError, match="measured on calibration data"):
        cimc.compile_model(path, target="ideal", min_top1=90.0)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--compile-to", "tile"], "leave out --compile-to"),
        (["--from", "tile"], "leave out --from"),
        ([], "add --calib DATA.npz"),
    ],
)
def test_a_bound_without_a_measure_is_refused(
    path: Path, tmp_path: Path, options: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["compile", str(path), "--target", "ideal", "-o", str(tmp_path / "p.cimb"), "--min-top1", "90"]
    assert main([*given, "--no-float-check", *options]) == 2
    assert told in capsys.readouterr().err
