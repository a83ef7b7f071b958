"""Sweeps of the sample model, run as people run them: as processes of their own."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

SAMPLES = Path(__file__).resolve().parents[2] / "samples"
GRID = """\
[[model]]
file = "{samples}/digits.onnx"
calib = "{samples}/digits_calib.npz"
data = "{samples}/digits_test.npz"
scale = 0.0625
limit = {limit}

[grid]
{grid}
"""

Sweep = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    """Return a function that writes a sweep file of the sample model under a name."""

    def write(grid: str, name: str = "sweep", limit: int = 60) -> Path:
        path = tmp_path / f"{name}.toml"
        path.write_text(GRID.format(samples=SAMPLES.as_posix(), grid=grid, limit=limit))
        return path

    return write


@pytest.fixture
def sweep() -> Sweep:
    """Return a function that starts `cimc sweep` in a session of its own."""

    def start(*arguments: object) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-m", "cimc", "sweep", "--model-root", str(SAMPLES), *map(str, arguments)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            env={**os.environ, "PYTHONWARNINGS": "default"},
        )

    return start
