"""A chip far noisier than the bands allow is refused, and its first bad layer named."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from cimc.command_line import main
from cimc.isa.binary import program_digest
from cimc.isa.container import load_program

SAMPLES = Path(__file__).parents[2] / "samples"
DATA = ["--input", str(SAMPLES / "digits_test.npz"), "--scale", "0.0625", "--limit", "20"]
CALIBRATION = ["--calib", str(SAMPLES / "digits_calib.npz"), "--scale", "0.0625"]


def test_a_noisier_chip_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    wild = ["--noise", "pcm,programming.scale=3,drift.scale=3", "--time", "1d", "--seed", "99"]
    assert main(["compile", str(SAMPLES / "digits.onnx"), *CALIBRATION, "-o", "digits.cimb"]) == 0
    noise = ["--noise", "pcm", "--time", "1d", "--seeds", "20", "--json"]
    capsys.readouterr()
    assert main(["bands", "digits.cimb", *DATA, *noise, "-o", "bands.npz"]) == 0
    said = json.loads(capsys.readouterr().out)
    stored = np.load("bands.npz")
    assert said["program"] == program_digest(load_program("digits.cimb")) and said["chips"] == 20
    assert [layer["layer"] for layer in said["layers"]] == stored["names"].tolist()
    assert [layer["mean difference"] for layer in said["layers"]] == np.stack([stored["low"], stored["high"]], 2)[
        :, 0
    ].tolist()
    assert main(["run", "digits.cimb", *DATA, *wild, "--layers", "-o", "wild.npz"]) == 0
    capsys.readouterr()
    assert main(["check-silicon", "bands.npz", "wild.npz"]) == 1
    assert re.search(
        r"^FAILED: node_conv2d is the first layer outside its band, program \w+$", capsys.readouterr().out, re.MULTILINE
    )


def code_of(capsys: pytest.CaptureFixture[str]) -> str:
    """Return the code of the first error that was printed."""
    return capsys.readouterr().err.partition("[")[2][:7]


def test_bands_belong_to_one_program_and_one_set_of_inputs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Layers measured with another program or on other inputs are refused, not judged; a bare measurement is judged."""
    monkeypatch.chdir(tmp_path)
    noise = ["--noise", "pcm", "--time", "1d"]
    for name, target in (("digits.cimb", "aon-cim"), ("other.cimb", "ideal")):
        assert main(["compile", str(SAMPLES / "digits.onnx"), *CALIBRATION, "--target", target, "-o", name]) == 0
    assert main(["bands", "digits.cimb", *DATA, *noise, "--seeds", "12", "-o", "bands.npz"]) == 0
    chip = [*noise, "--seed", "500", "--layers"]
    assert main(["run", "digits.cimb", *DATA, *chip, "-o", "same.npz"]) == 0
    assert main(["check-silicon", "bands.npz", "same.npz"]) == 0
    others = ["--input", str(SAMPLES / "digits_calib.npz"), "--limit", "20"]
    for program, data in (("other.cimb", DATA), ("digits.cimb", others)):
        assert main(["run", program, *data, *chip, "-o", "wrong.npz"]) == 0
        capsys.readouterr()
        assert main(["check-silicon", "bands.npz", "wrong.npz"]) == 3
        assert code_of(capsys) == "CIM0210"
    bare = {name: array for name, array in np.load("same.npz").items() if name != "layers.origin"}
    np.savez("bare.npz", **bare)
    assert main(["check-silicon", "bands.npz", "bare.npz"]) == 0
    assert "does not say what it was measured on" in capsys.readouterr().out


def test_bands_of_refitted_chips_hold_for_refitted_chips(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A refitted chip is within the bands of refitted chips; one without compensation is not."""
    monkeypatch.chdir(tmp_path)
    assert main(["compile", str(SAMPLES / "digits.onnx"), *CALIBRATION, "-o", "digits.cimb"]) == 0
    noise = ["--noise", "pcm", "--time", "30d"]
    refit = [*noise, "--compensation", "refit", *CALIBRATION[:2]]
    assert main(["bands", "digits.cimb", *DATA, *refit, "--seeds", "20", "-o", "bands.npz"]) == 0
    for how, status in ((refit, 0), ([*noise, "--compensation", "none"], 1)):
        assert main(["run", "digits.cimb", *DATA, *how, "--seed", "700", "--layers", "-o", "chip.npz"]) == 0
        assert main(["check-silicon", "bands.npz", "chip.npz"]) == status
