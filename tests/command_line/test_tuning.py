"""`cimc tune` as a whole: what it refuses, and that what it writes is what `cimc compile --ranges` takes."""

import argparse
import json
from pathlib import Path

import pytest
from frontend.onnx_models import model, node, weights, written
from targets.stages import normal

from cimc.command_line.main import main
from cimc.command_line.tuning import _settled
from cimc.driving.arrays import to_npz
from cimc.isa.errors import INVALID, USAGE

PHASE_NS = {8: 130, 6: 34, 4: 10}
"""What a product takes on `aon-cim`, by the bits of its input."""


def tuned(folder: Path, *options: str, samples: int = 20) -> int:
    """Return the status of `cimc tune` on a network of two layers; it writes r.json into the folder."""
    nodes = [node("Gemm", "x w", "h"), node("Relu", "h", "r"), node("Gemm", "r v", "y")]
    constants = {"w": weights(12, 8), "v": weights(8, 5, seed=1)}
    path = written(model(nodes, {"x": ("N", 12)}, constants), folder)
    (folder / "data.npz").write_bytes(to_npz({"x": normal(samples, 12)}))
    return main(["tune", str(path), "--calib", str(folder / "data.npz"), "-o", str(folder / "r.json"), *options])


@pytest.mark.parametrize("by", ["greedy", "exhaustive"])
def test_bits_that_were_chosen_are_those_of_the_program(
    by: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tuned(tmp_path, "--within", "ns=0.5", "--by", by) == 0
    capsys.readouterr()
    ranges, program = str(tmp_path / "r.json"), str(tmp_path / "p.cimb")
    assert main(["compile", str(tmp_path / "model.onnx"), "--ranges", ranges, "-o", program, "--json"]) == 0
    chosen = json.loads((tmp_path / "r.json").read_text())["bits"]
    wanted = sum(PHASE_NS[chosen.get(label, [8, 8])[0]] for label in ("r", "y"))
    assert json.loads(capsys.readouterr().out)["array_us"] == pytest.approx(wanted / 1000)
    assert wanted <= 0.5 * 2 * PHASE_NS[8]


def test_too_few_samples_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert tuned(tmp_path, "--within", "ns=0.5", samples=7) == INVALID
    assert "data.npz holds 7 samples, tuning takes at least 8" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "found"),
    [
        (["--by", "greedy"], "--by says how bits are looked for, but there is no --within"),
        (["--within", "ns=0.5", "--trials", "5"], "--trials counts what optuna asks for"),
        (["--within", "ns=0.5", "--by", "exhaustive", "--trials", "5"], "bits are looked for by exhaustive"),
    ],
)
def test_options_of_another_search_are_refused(
    options: list[str], found: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert tuned(tmp_path, *options) == USAGE
    assert found in capsys.readouterr().err


def test_searches_have_the_trials_they_had_without_a_word() -> None:
    none = argparse.Namespace(within=None, by=None, trials=None)
    assert vars(_settled(none)) == {"within": None, "by": "greedy", "trials": 30}
    asked = argparse.Namespace(within=("ns", 0.5), by="tpe", trials=7)
    assert vars(_settled(asked)) == vars(asked)
