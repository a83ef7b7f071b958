"""A chip far noisier than the bands allow is refused, and its first bad layer named."""

import re
from pathlib import Path

import pytest

from cimc.command_line import main

SAMPLES = Path(__file__).parents[2] / "samples"
DATA = ["--input", str(SAMPLES / "digits_test.npz"), "--scale", "0.0625", "--limit", "20"]
CALIBRATION = ["--calib", str(SAMPLES / "digits_calib.npz"), "--scale", "0.0625"]


def test_a_noisier_chip_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    wild = ["--noise", "pcm,programming.scale=3,drift.scale=3", "--time", "1d", "--seed", "99"]
    assert main(["compile", str(SAMPLES / "digits.onnx"), *CALIBRATION, "-o", "digits.cimb"]) == 0
    assert (
        main(["bands", "digits.cimb", *DATA, "--noise", "pcm", "--time", "1d", "--seeds", "20", "-o", "bands.npz"]) == 0
    )
    assert main(["run", "digits.cimb", *DATA, *wild, "--layers", "-o", "wild.npz"]) == 0
    capsys.readouterr()
    assert main(["check-silicon", "bands.npz", "wild.npz"]) == 1
    assert re.search(
        r"^FAILED: node_relu@\d+ is the first layer outside its band$", capsys.readouterr().out, re.MULTILINE
    )
