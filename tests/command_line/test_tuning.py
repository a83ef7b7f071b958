"""`cimc tune` as a whole: what it refuses, and that what it writes is what `cimc compile --ranges` takes."""

import argparse
import json
from pathlib import Path

import numpy as np
import pytest
from frontend.onnx_models import model, node, weights, written
from targets.stages import normal

from cimc.command_line.main import main
from cimc.command_line.tuning import _settled
from cimc.driving.arrays import to_npz
from cimc.isa.errors import INVALID, USAGE

PHASE_NS = {8: 130, 6: 34, 4: 10}
"""What a product takes on `aon-cim`, by the bits of its input."""


def tuned(folder: Path, *options: str, samples: int = 20, labels: bool = True) -> int:
    """Return the status of `cimc tune` on a network of two layers; it writes r.json into the folder."""
    nodes = [node("Gemm", "x w", "h"), node("Relu", "h", "r"), node("Gemm", "r v", "y")]
    constants = {"w": weights(12, 8), "v": weights(8, 5, seed=1)}
    path = written(model(nodes, {"x": ("N", 12)}, constants), folder)
    classes = {"y": np.arange(samples) % 5} if labels else {}
    (folder / "data.npz").write_bytes(to_npz({"x": normal(samples, 12), **classes}))
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


def test_several_shares_give_a_file_each_and_a_front(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert tuned(tmp_path, "--within", "ns=0.6,0.1", "--by", "exhaustive") == 0
    printed = capsys.readouterr().out
    assert [json.loads((tmp_path / f"r-{share}.json").read_text())["bits"] for share in ("0.6", "0.1")][1] == {
        "r": [4, 8],
        "y": [4, 8],
    }
    assert not (tmp_path / "r.json").exists()
    front = printed[printed.index("front: % of the ns") :].splitlines()
    shares = [float(line.split()[0]) for line in front if line.split()[0].replace(".", "").isdigit() and "." in line]
    assert shares == sorted(shares, reverse=True) and shares[-1] == 7.7


@pytest.mark.parametrize("objective", ["accuracy", "agreement"])
def test_classes_judge(objective: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert tuned(tmp_path, "--within", "ns=0.5", "--objective", objective) == 0
    line = next(line for line in capsys.readouterr().out.splitlines() if "% right on data kept back" in line)
    assert all(0.0 <= float(share) <= 100.0 for share in line.split()[-2:])


def test_accuracy_without_labels_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert tuned(tmp_path, "--within", "ns=0.5", "--objective", "accuracy", labels=False) == INVALID
    assert "use --objective agreement" in capsys.readouterr().err


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
    asked = argparse.Namespace(within=("ns", (0.5,)), by="tpe", trials=7)
    assert vars(_settled(asked)) == vars(asked)
