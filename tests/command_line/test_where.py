"""cimc where: the table of all places, the same in both forms."""

import csv
from collections.abc import Callable
from pathlib import Path

import pyarrow.parquet
from command_line.files import SAMPLES

Command = Callable[[str], tuple[int, str]]
ASKED = f"where digits.cimb --model {SAMPLES / 'digits.onnx'} -o"


def test_a_parquet_table_holds_the_csv_table_with_numbers_as_numbers(cimc: Command, folder: Path) -> None:
    assert cimc(f"{ASKED} all.csv")[0] == cimc(f"{ASKED} all.parquet")[0] == 0
    with (folder / "all.csv").open() as file:
        told = list(csv.DictReader(file))
    found = pyarrow.parquet.read_table(folder / "all.parquet").to_pylist()
    assert len(found) == len(told) > 0
    assert isinstance(found[0]["row"], int)
    assert isinstance(found[0]["real"], float)
    for row, texts in zip(found, told, strict=True):
        assert {name: type(value)(texts[name]) for name, value in row.items() if value is not None} == {
            name: value for name, value in row.items() if value is not None
        }
        assert all(not texts[name] for name, value in row.items() if value is None)


def test_a_table_of_another_ending_is_refused(cimc: Command) -> None:
    status, told = cimc(f"{ASKED} all.txt")
    assert status == 2
    assert "a .csv or .parquet file" in told
