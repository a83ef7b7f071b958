"""The sample that says what fewer bits lose: a line for each value and width, and rows win back what they should."""

import runpy
import sys
from pathlib import Path

import pytest

SAMPLES = Path(__file__).parents[2] / "samples"
CALIB = str(SAMPLES / "digits_calib.npz")


@pytest.mark.parametrize("noise", [[], ["--noise", "pcm"]], ids=["plain", "aimed"])
def test_every_value_is_told_and_with_rows_six_bits_lose_little(noise: list[str], monkeypatch, capsys) -> None:
    script = runpy.run_path(str(SAMPLES / "bench" / "lowered_values.py"))
    model = str(SAMPLES / "digits.onnx")
    monkeypatch.setattr(sys, "argv", ["lowered_values.py", model, CALIB, CALIB, "--limit", "60", "--rows", "4", *noise])
    script["main"]()
    lines = [line.strip("| ").split(" | ") for line in capsys.readouterr().out.splitlines()[2:]]
    codes = {(value, int(bits)): float(alone) for value, bits, alone, _ in lines}
    values = {value for value, _ in codes} - {"none", "all"}
    assert set(codes) == {("none", 8)} | {(value, bits) for value in (*values, "all") for bits in (6, 4)}
    assert values and codes["all", 4] < codes["all", 6]
    assert codes["all", 6] > codes["none", 8] - 3.0
