"""The sample model on noisy chips: both interpreters, and evaluation over chips and times."""

import json
import sys

import numpy as np
import pytest
from command_line.files import SAMPLES, lay

from cimc.backends.interpreter import Interpreter
from cimc.backends.machine import ports
from cimc.backends.machine.observer import Writes
from cimc.backends.noise.profiles import load_profile
from cimc.backends.noise.sources import Noise
from cimc.backends.noise.table import NAMES
from cimc.backends.reference import instructions as reference
from cimc.command_line import main
from cimc.isa.container import load_program


@pytest.fixture
def digits(tmp_path):
    lay("digits.cimb", tmp_path)
    return tmp_path / "digits.cimb"


def test_both_interpreters_agree_on_the_sample_model(digits):
    program = load_program(str(digits))
    (port,) = program.inputs
    x = np.load(SAMPLES / "digits_test.npz")["x"][:1].astype(np.float32) / 16
    codes = ports.quantise(port, x.reshape(1, *port.model_shape))
    noise = Noise(load_profile("pcm"), 9, 3600, frozenset(NAMES), 40)
    literal, fast = [], []
    keep = [Writes(lambda i, v, to=to: to.append((i, v.tolist()))) for to in (literal, fast)]
    reference.run(program, {port.name: codes[0].tolist()}, keep[0], noise)
    Interpreter(program, noise=noise).run({port.name: codes}, keep[1])
    assert fast == literal


def evaluated(capsys, digits, *options):
    data = ["--data", str(SAMPLES / "digits_test.npz"), "--scale", "0.0625", "--limit", "200", "--json"]
    capsys.readouterr()
    assert main(["eval", str(digits), *data, *options]) == 0
    return json.loads(capsys.readouterr().out)


def test_chips_together_score_as_one_by_one(capsys, digits):
    together = evaluated(capsys, digits, "--noise", "pcm", "--time", "1h,30d", "--seeds", "3", "--seed", "5")
    assert together["seeds"] == [5, 6, 7]
    for row in together["times"]:
        options = ["--noise", "pcm", "--time", row["time"], "--seed"]
        single = [evaluated(capsys, digits, *options, str(seed))["accuracy"] for seed in together["seeds"]]
        assert row["values"] == single
        assert row["mean"] == pytest.approx(np.mean(single))
        assert row["deviation"] == pytest.approx(np.std(single, ddof=1))
        half = 4.302653 * np.std(single, ddof=1) / np.sqrt(3)
        assert row["low"] == pytest.approx(row["mean"] - half)
        assert row["high"] == pytest.approx(min(row["mean"] + half, 1.0))


def test_one_chip_has_no_interval(capsys, digits):
    (row,) = evaluated(capsys, digits, "--noise", "pcm", "--seeds", "1")["times"]
    assert (row["time"], row["deviation"], row["low"], row["high"]) == ("0s", None, None, None)


def test_the_plot(capsys, digits, tmp_path):
    pytest.importorskip("matplotlib", reason="the extra `plot` is not installed")
    plain = ["--noise", "pcm", "--time", "0s,1d", "--seeds", "2"]
    rows = evaluated(capsys, digits, *plain)
    pictures = []
    for name in ("a.png", "b.png"):
        assert evaluated(capsys, digits, *plain, "--plot", str(tmp_path / name)) == rows
        pictures.append((tmp_path / name).read_bytes())
    assert pictures[0].startswith(b"\x89PNG")
    assert pictures[0] == pictures[1]


def test_a_plot_of_one_chip_at_one_time(capsys, digits, tmp_path):
    pytest.importorskip("matplotlib", reason="the extra `plot` is not installed")
    evaluated(capsys, digits, "--noise", "pcm", "--plot", str(tmp_path / "one.png"))
    assert (tmp_path / "one.png").exists()


def test_a_plot_without_matplotlib_is_refused_before_any_work(capsys, digits, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    data = ["--data", "missing.npz", "--noise", "pcm", "--plot", str(tmp_path / "p.png")]
    assert main(["eval", str(digits), *data]) == 2
    assert "error[CIM0004]" in capsys.readouterr().err


def test_the_table(capsys, digits):
    data = ["--data", str(SAMPLES / "digits_test.npz"), "--scale", "0.0625", "--limit", "100"]
    capsys.readouterr()
    assert main(["eval", str(digits), *data, "--noise", "pcm", "--time", "25s,1y"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "accuracy on 100 samples, 1 chip of pcm"
    assert [line.split()[0] for line in lines[2:-1]] == ["25s", "1y"]
    assert "chips 0 to 0; noisy: drift, programming, read; compensation column" in lines[-1]
