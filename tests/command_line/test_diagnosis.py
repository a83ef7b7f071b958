"""cimc diagnose, twin and report on a measured chip of the sample model."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from command_line.files import SAMPLES

Command = Callable[[str], tuple[int, str]]
DATA = f"--input {SAMPLES / 'digits_test.npz'} --limit"
PCM = "--noise pcm --time 1d"


def damaged() -> None:
    """Take a row of chip.npz, and move an ADC."""
    arrays = dict(np.load("chip.npz"))
    arrays["tile0.dead_rows"] = np.arange(1024) == 850
    arrays["tile0.adc_offset"] = np.where(np.arange(128) == 4, 3.0, 0.0)
    np.savez("chip.npz", **arrays)


def test_faults_are_told_as_text_json_csv_and_on_the_page(cimc: Command, folder: Path) -> None:
    assert cimc(f"chip digits.cimb {PCM} --seed 7 -o chip.npz")[0] == 0
    told = "ok: 74 columns are as those of chips of pcm after 1d\n"
    status, output = cimc("diagnose digits.cimb --chip chip.npz")
    assert status == 0 and output.partition("\n")[2] == told
    damaged()
    status, told = cimc("diagnose digits.cimb --chip chip.npz -o verdicts.json")
    assert status == 1
    assert "tile 0: dead row, row 850 (24 columns): confidence 1.0000" in told
    assert "tile 0: ADC offset, ADC 4: offset +3.00 LSB (4 columns)" in told
    found = json.loads((folder / "verdicts.json").read_text())
    assert [fault["kind"] for fault in found["faults"]] == ["dead row", "ADC offset"]
    scores = np.array(found["deviations"]["0"]["scores"], float)
    assert scores.shape == (len(found["deviations"]["0"]["rows"]), 74)
    assert np.nanmean(scores[found["deviations"]["0"]["rows"].index(850)]) > 2 * np.nanmean(scores)
    assert cimc("diagnose digits.cimb --chip chip.npz --json -o verdicts.csv")[0] == 1
    with (folder / "verdicts.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["cause"] for row in rows] == [one["cause"] for one in found["verdicts"]]
    assert sum(row["cause"] == "dead row" for row in rows) == 24
    assert cimc("report digits.cimb --chip chip.npz -o report.html") == (0, "")
    page = (folder / "report.html").read_text()
    for part in ("<h2>The chip</h2>", "<td>dead row</td>", 'alt="deviations of tile 0"', "rows 808 to 1023"):
        assert part in page


def test_a_twin_comes_from_adc_codes(cimc: Command, folder: Path) -> None:
    assert cimc(f"run digits.cimb {DATA} 40 {PCM} --seed 7 --layers --adc -o measured.npz") == (0, "")
    status, told = cimc(f"twin digits.cimb --measured measured.npz {DATA} 40 --time 1d --noise pcm -o twin.npz")
    assert status == 0
    assert "\n69 of 74 columns are identified\n  node_linear: inputs leave its offset open by 1." in told
    assert cimc(f"run digits.cimb {DATA} 40 --chip twin.npz --layers -o twin_run.npz --time 2d")[0] == 0
    assert cimc(f"diagnose digits.cimb --chip twin.npz --measured measured.npz {DATA} 40")[0] == 0
    for words, told in (
        (f"{DATA} 39", "error[CIM0216]: measured.npz was measured with other inputs"),
        ("", "error[CIM0003]: --measured are codes of inputs, but there is no --input"),
    ):
        status, output = cimc(f"diagnose digits.cimb --chip twin.npz --measured measured.npz {words}")
        assert status != 0
        assert told in output


@pytest.mark.nightly
@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("codes", ["", "--adc"], ids=["layers", "adc"])
def test_a_twin_of_256_samples_scores_as_its_chip_within_the_bands(cimc: Command, seed: int, codes: str) -> None:
    """All samples score, and 0.5 points are two of 400."""
    chip, labelled = f"{PCM} --seed {seed}", f"--data {SAMPLES / 'digits_test.npz'} --json"
    assert cimc(f"run digits.cimb {DATA} 256 {chip} --layers {codes} -o measured.npz") == (0, "")
    assert cimc(f"twin digits.cimb --measured measured.npz {DATA} 256 --time 1d -o twin.npz")[0] == 0
    scores = [json.loads(cimc(f"eval digits.cimb {labelled} {one}")[1]) for one in (chip, "--chip twin.npz")]
    assert abs(round(400 * scores[0]["accuracy"]) - round(400 * scores[1]["accuracy"])) <= 2
    assert cimc(f"bands digits.cimb {DATA} 256 {PCM} --seeds 12 --seed 100 -o bands.npz")[0] == 0
    assert cimc(f"run digits.cimb {DATA} 256 --chip twin.npz --layers -o twin_run.npz") == (0, "")
    assert cimc("check-silicon bands.npz twin_run.npz")[0] == 0
