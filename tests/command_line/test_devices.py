"""The option --device: the same files as without it, and what is said where torch is missing."""

import sys

import numpy as np
import pytest
from command_line.files import SAMPLES, lay

from cimc.command_line import main

FEEDING = ["--scale", "0.0625", "--limit", "60"]
NOISY = ["--noise", "pcm", "--time", "1d", "--sources", "programming,drift,read,cycle"]


@pytest.fixture
def digits(tmp_path):
    lay("digits.cimb", tmp_path)
    return str(tmp_path / "digits.cimb")


@pytest.mark.parametrize("options", [[], NOISY], ids=["exact", "noisy"])
def test_run_writes_the_same(digits, tmp_path, options):
    pytest.importorskip("torch", reason="the extra `gpu` is not installed")
    files = []
    for device in ("cpu", "torch:cpu"):
        out = tmp_path / f"{device.replace(':', '-')}.npz"
        given = ["--input", str(SAMPLES / "digits_test.npz"), *FEEDING, "-o", str(out), "--codes"]
        assert main(["run", digits, *given, *options, "--device", device]) == 0
        files.append(dict(np.load(out)))
    assert files[0].keys() == files[1].keys()
    assert all(np.array_equal(array, files[1][name]) for name, array in files[0].items())


def test_eval_prints_the_same(digits, capsys):
    pytest.importorskip("torch", reason="the extra `gpu` is not installed")
    printed = []
    for device in ("cpu", "torch:cpu"):
        capsys.readouterr()
        given = ["--data", str(SAMPLES / "digits_test.npz"), *FEEDING, *NOISY, "--seeds", "2"]
        assert main(["eval", digits, *given, "--device", device]) == 0
        printed.append(capsys.readouterr().out)
    assert printed[0] == printed[1]


def test_without_torch(digits, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    for name in [name for name in sys.modules if name.startswith("cimc.backends.torch_device")]:
        monkeypatch.delitem(sys.modules, name)  # what has imported it may not hide that it is missing
    given = ["--data", str(SAMPLES / "digits_test.npz"), *FEEDING, "--device", "cuda"]
    assert main(["eval", digits, *given]) == 2
    error = capsys.readouterr().err
    assert "error[CIM0541]: the device cuda needs torch, which is not installed" in error
    assert "pip install 'cimc[gpu]'" in error
