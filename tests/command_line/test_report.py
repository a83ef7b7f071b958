"""cimc report on the sample model: the same facts as JSON and as CSV."""

import csv
import json

import pytest
from command_line.files import SAMPLES, lay

from cimc.command_line import main
from cimc.passes.pipeline import DEFAULT

DATA = ["--input", str(SAMPLES / "digits_test.npz"), "--scale", "0.0625", "--limit", "40"]


def test_json_and_csv_agree(folder):
    lay("digits.cimb", folder)
    for name in ("report.json", "report.csv"):
        assert main(["report", "digits.cimb", *DATA, "--noise", "pcm", "--time", "1d", "-o", name]) == 0
    report = json.loads((folder / "report.json").read_text())
    assert (report["samples"], report["noise"]["seconds"], len(report["layers"])) == (40, 86400, 4)
    columns = [
        (layer["instruction"], layer["exact_sensitivity_db"], block["block"], column)
        for layer in report["layers"]
        for block in layer["blocks"]
        for column in block["columns"]
    ]
    with (folder / "report.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(columns) == 16 + 24 + 24 + 10
    for row, (instruction, ratio, block, column) in zip(rows, columns, strict=True):
        assert (int(row["instruction"]), float(row["exact_sensitivity_db"]), int(row["block"])) == (
            instruction,
            ratio,
            block,
        )
        assert {name: int(row[name]) for name in column} == column
        assert 0 < float(row["range_share"]) <= 1 and 0 < float(row["conductance_share"]) <= 1


def test_a_report_says_what_a_refit_wins_back(folder, capsys):
    """The whole program's ratio rises, and every layer has its line."""
    lay("digits.cimb", folder)
    refit = ["--compensation", "refit", "--calib", str(SAMPLES / "digits_calib.npz")]
    ratios = []
    for how in (["--compensation", "none"], refit):
        assert main(["report", "digits.cimb", *DATA, "--noise", "pcm", "--time", "30d", *how, "-o", "report.json"]) == 0
        report = json.loads((folder / "report.json").read_text())
        assert report["compensation"] == how[1]
        ratios.append(report["exact_outputs_db"])
        *lines, origin = capsys.readouterr().out.splitlines()
        assert f"compensation {how[1]}" in origin
        assert [line.split()[0] for line in lines] == ["layer", *(layer["layer"] for layer in report["layers"])]
    assert ratios[1] > ratios[0] + 3


def test_a_report_gives_the_common_range_of_the_adcs(folder):
    """S is the ADC's full scale by the largest code times the largest conductance."""
    lay("digits.cimb", folder)
    assert main(["report", "digits.cimb", *DATA, "-o", "report.json"]) == 0
    adc = json.loads((folder / "report.json").read_text())["adc"]
    assert adc["s"] == pytest.approx(127 * 2 ** adc["divide"] / adc["multiplier"] / (127 * 508))


def test_blocks_near_the_adc_lose_less_to_the_wires(folder):
    """IR drop alone, one digital factor a column: the outputs come nearer to the exact ones."""
    ratios = []
    for end in ("start", "adc"):
        pipeline = DEFAULT.replace(",place,", f",place{{near={end}}},")
        calibration = ["--calib", str(SAMPLES / "digits_calib.npz"), "--scale", "0.0625"]
        model = str(SAMPLES / "digits.onnx")
        assert main(["compile", model, *calibration, "--pass-pipeline", pipeline, "-o", "digits.cimb"]) == 0
        wires = ["--noise", "pcm,wire.resistance=2", "--sources", "ir_drop"]
        assert main(["report", "digits.cimb", *DATA, *wires, "-o", "report.json"]) == 0
        ratios.append(json.loads((folder / "report.json").read_text())["exact_outputs_db"])
    assert ratios[1] > ratios[0] + 3, ratios
