"""The sample that turns recordings into clips: two of each, in the codes of keyword networks."""

import runpy
import sys
from pathlib import Path

import numpy as np
import pytest

SAMPLES = Path(__file__).parents[2] / "samples"


@pytest.fixture
def clips(monkeypatch):
    """Return what the sample defines."""
    monkeypatch.syspath_prepend(SAMPLES)
    return runpy.run_path(str(SAMPLES / "spoken_clips.py"))


def test_every_recording_becomes_two_clips_the_same_on_every_run(clips, tmp_path, monkeypatch, capsys):
    given = tmp_path / "digits.npz"
    tones = [np.sin(0.1 * np.arange(length)) * 9000 for length in (3000, 9000)]
    np.savez(given, samples=np.concatenate(tones).astype(np.int16), lengths=np.int32([3000, 9000]))
    for name in ("a.npz", "b.npz"):
        monkeypatch.setattr(sys, "argv", ["spoken_clips", str(given), str(tmp_path / name)])
        clips["main"]()
    first, second = (np.load(tmp_path / name)["x"] for name in ("a.npz", "b.npz"))
    assert (first.shape, first.dtype) == ((4, 49, 10, 1), np.int8)
    assert np.array_equal(first, second)
    assert not np.array_equal(first[:2], first[2:])
    assert "4 clips" in capsys.readouterr().out


def test_silence_is_the_lowest_code_of_the_network(clips):
    silent = clips["cepstrum"](np.zeros(clips["RATE"]), clips["mel_filters"]())
    assert silent.shape == (49, 10)
    assert np.rint(silent[:, 0] / clips["SCALE"] - clips["OFFSET"]).tolist() == [-128.0] * 49
    assert silent[:, 1:] == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("hertz", [200.0, 1000.0, 3000.0])
def test_a_tone_is_in_the_band_that_has_its_middle_next_to_it(clips, hertz):
    filters = clips["mel_filters"]()
    middles = np.arange(257)[filters.argmax(axis=0)] * 4000 / 256
    loudest = filters[round(hertz / 4000 * 256)].argmax()
    assert abs(middles[loudest] - hertz) <= 4000 / 256 + 0.06 * hertz
