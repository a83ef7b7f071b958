"""cimc report on the sample model: the same facts as JSON and as CSV."""

import csv
import json

from command_line.files import SAMPLES, lay

from cimc.command_line import main

DATA = ["--input", str(SAMPLES / "digits_test.npz"), "--scale", "0.0625", "--limit", "40"]


def test_json_and_csv_agree(folder):
    lay("digits.cimb", folder)
    for name in ("report.json", "report.csv"):
        assert main(["report", "digits.cimb", *DATA, "--noise", "pcm", "--time", "1d", "-o", name]) == 0
    report = json.loads((folder / "report.json").read_text())
    assert (report["samples"], report["noise"]["seconds"], len(report["layers"])) == (40, 86400, 4)
    columns = [
        (layer["instruction"], layer["sensitivity_db"], block["block"], column)
        for layer in report["layers"]
        for block in layer["blocks"]
        for column in block["columns"]
    ]
    with (folder / "report.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(columns) == 16 + 24 + 24 + 10
    for row, (instruction, ratio, block, column) in zip(rows, columns, strict=True):
        assert (int(row["instruction"]), float(row["sensitivity_db"]), int(row["block"])) == (instruction, ratio, block)
        assert {name: int(row[name]) for name in column} == column
